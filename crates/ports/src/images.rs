//! Pictures, their noise levels and their labels.

use bevy_ecs::prelude::*;
use pipeline::{Mistake, keep_plain};
use serde::{Deserialize, Serialize};
use tensor::Tensor;

use crate::Step;

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

    /// s(t), by which the pixels are multiplied: 1 but on trajectories with another scaling.
    pub fn scale(&self) -> f64 {
        self.step.map_or(1.0, |step| step.path.scale(step.at))
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

/// Wants a list of noise levels: at least one, and each a finite number above 0.
pub fn check_sigmas(field: &str, sigmas: &[f64]) -> Result<(), Mistake> {
    if sigmas.is_empty() {
        return Err(Mistake::new(field, format!("`{field}` is empty, expected at least one noise level")));
    }
    match sigmas.iter().position(|sigma| !(*sigma > 0.0 && sigma.is_finite())) {
        Some(at) => {
            let what = format!("the noise level {} is not above 0", sigmas[at]);
            Err(Mistake::new(format!("{field}.{at}"), what))
        }
        None => Ok(()),
    }
}

/// What the images show.
#[derive(Component, Clone, Debug)]
pub struct Labels {
    /// `[n, classes]`, one-hot or any vectors.
    pub rows: Tensor,
    /// The class of each image, where the labels are classes.
    pub classes: Option<Vec<u32>>,
}

/// What augmentation did to images, for networks that are told: `[n, length]`, zeros where nothing was done.
#[derive(Component, Clone, Debug)]
pub struct AugmentLabels(pub Tensor);

/// What a denoiser makes of images.
#[derive(Component, Clone, Debug)]
pub struct Denoised {
    /// An estimate of the clean ones, `[n, h, w, c]`.
    pub pixels: Tensor,
    /// How many evaluations of networks an image has cost.
    pub evaluations: usize,
}

/// Images or what a denoiser makes of them, for wires to whatever can be looked at. Nobody makes one.
#[derive(Component)]
pub struct Shown;

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
