//! Pictures, their noise levels and their labels.

use bevy_ecs::prelude::*;
use pipeline::keep_plain;
use serde::{Deserialize, Serialize};
use tensor::Tensor;

/// A batch of images, clean or noisy: x of Algorithm 2, y of the loss.
#[derive(Component, Clone, Debug)]
pub struct Images {
    /// `[n, h, w, c]`; clean ones lie in [-1, 1].
    pub pixels: Tensor,
    pub sigma: Sigma,
    /// Where in the sampling of these images this is.
    pub step: Option<Step>,
    /// How many images the run had seen before this batch.
    pub before: u64,
}

impl Images {
    /// Clean images.
    pub fn clean(pixels: Tensor, before: u64) -> Self {
        Images { pixels, sigma: Sigma::Same(0.0), step: None, before }
    }

    /// How many images there are.
    pub fn batch(&self) -> usize {
        self.pixels.shape()[0]
    }

    pub fn is_clean(&self) -> bool {
        matches!(self.sigma, Sigma::Same(0.0))
    }
}

/// The standard deviation of the noise in images.
#[derive(Clone, Debug)]
pub enum Sigma {
    /// One level for the whole batch.
    Same(f64),
    /// A level for each image: `[n]`.
    Each(Tensor),
}

/// A noise level for each image of a batch: `[n]`.
#[derive(Component, Clone, Debug)]
pub struct Sigmas(pub Tensor);

/// What the images show.
#[derive(Component, Clone, Debug)]
pub struct Labels {
    /// `[n, classes]`, one-hot or any vectors.
    pub rows: Tensor,
    /// The class of each image, where the labels are classes.
    pub classes: Option<Vec<u32>>,
}

/// What a denoiser makes of images: an estimate of the clean ones, `[n, h, w, c]`.
#[derive(Component, Clone, Debug)]
pub struct Denoised(pub Tensor);

/// One step of a sampling run, from one noise level to the next.
#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// From 0 to `steps - 1`.
    pub index: usize,
    pub steps: usize,
    /// t_i, the noise level at the start.
    pub from: f64,
    /// t_{i+1}, the noise level at the end; 0 in the last step.
    pub to: f64,
    /// How often the denoiser has been asked about these images so far.
    pub evaluations: usize,
}

impl Step {
    pub fn is_last(&self) -> bool {
        self.index + 1 == self.steps
    }
}

/// The time steps t_0 … t_N of a sampling run: noise levels that end in 0.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct Times(pub Vec<f64>);

/// The seeds of the images in flight. Checkpoints keep them; a batch that was cut short starts again.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seeds {
    pub ids: Vec<u64>,
    /// Whether this batch starts on this tick.
    pub fresh: bool,
    /// Whether no batch follows.
    pub last: bool,
}

keep_plain!(Seeds);
