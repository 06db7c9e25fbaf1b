//! What can be looked at: images, clean or noisy, and what denoisers make of them.

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use pipeline::{Read, Wire};
use ports::{Compute, Denoised, Images, Shown, Sigma};
use tensor::Tensor;

/// The standard deviation that clean images are taken to have, as in the paper: noise beyond it takes contrast.
const SIGMA_DATA: f64 = 0.5;

/// Reads whatever a node makes that can be looked at.
#[derive(SystemParam)]
pub struct Looks<'w, 's> {
    images: Read<'w, 's, Images>,
    denoised: Read<'w, 's, Denoised>,
    names: Query<'w, 's, &'static Name>,
}

/// A batch of images that can be looked at.
#[derive(Clone, Copy)]
pub(super) enum Look<'a> {
    Images(&'a Images),
    Denoised(&'a Denoised),
}

impl Looks<'_, '_> {
    /// What the node at the other end of a wire has made.
    pub(super) fn get(&self, wire: Wire<Shown>) -> Result<Look<'_>> {
        let images = self.images.of(wire.node()).map(Look::Images);
        let look = images.or_else(|| self.denoised.of(wire.node()).map(Look::Denoised));
        look.ok_or_else(|| format!("`{}` has made nothing to look at yet", self.name(wire)).into())
    }

    pub(super) fn name(&self, wire: Wire<Shown>) -> &str {
        self.names.get(wire.node()).map_or("?", Name::as_str)
    }
}

impl Look<'_> {
    /// `[n, h, w, c]`.
    pub(super) fn shape(&self) -> [usize; 4] {
        let shape = self.tensor().shape();
        [shape[0], shape[1], shape[2], shape[3]]
    }

    fn tensor(&self) -> &Tensor {
        match self {
            Look::Images(images) => &images.pixels,
            Look::Denoised(denoised) => &denoised.pixels,
        }
    }

    /// Whether these images have reached the end of their way, or never were on one; `None` where nothing tells.
    pub(super) fn arrived(&self) -> Option<bool> {
        match self {
            Look::Images(images) => Some(images.step.is_none_or(|step| step.is_last())),
            Look::Denoised(_) => None,
        }
    }

    /// The pixels with the contrast of clean images: those of noise level σ and scale s are divided by
    /// `s sqrt(1 + σ²/σ_data²)`, which leaves clean ones as they are.
    pub(super) fn pixels(&self, compute: &Compute) -> Result<Vec<f64>> {
        let mut pixels = compute.download(self.tensor())?.f64s();
        let Look::Images(images) = self else { return Ok(pixels) };
        let levels = match &images.sigma {
            Sigma::Same(level) => vec![*level; images.batch()],
            Sigma::Each(levels) => compute.download(levels)?.f64s(),
        };
        let size = pixels.len() / levels.len().max(1);
        for (image, level) in pixels.chunks_exact_mut(size.max(1)).zip(levels) {
            let spread = images.scale() * (level / SIGMA_DATA).hypot(1.0);
            image.iter_mut().for_each(|pixel| *pixel /= spread);
        }
        Ok(pixels)
    }
}
