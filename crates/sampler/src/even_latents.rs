//! Latents in a row, to see what becomes of each.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoiser, Images, Sigma, Times};
use serde::Deserialize;
use tensor::Array;

/// Settings of even latents.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvenLatents {
    times: Wire<Times>,
    like: Wire<Denoiser>,
    count: usize,
    #[serde(default = "two")]
    spread: f64,
}

fn two() -> f64 {
    2.0
}

impl Node for EvenLatents {
    type Value = Images;

    const DOC: &'static str = "Latents that lie in a row instead of anywhere: the first number of image i goes evenly from \
        -spread σ to spread σ, and the others are 0.\n\
        Their trajectories show how the ODE bends (figure 3).";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("times", "the time steps, of which the first has the noise level"),
        ("like", "the denoiser whose images these become"),
        ("count", "how many, at least 2"),
        ("spread", "how far they reach, in standard deviations of the noise; 2 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.count < 2 {
            return Err(Mistake::new("count", format!("`count` is {}, expected at least 2", self.count)));
        }
        if self.spread > 0.0 && self.spread.is_finite() {
            return Ok(());
        }
        Err(Mistake::new("spread", format!("`spread` must be a finite number above 0, not {}", self.spread)))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.of(self.like)))
    }
}

/// Lays them out.
pub fn even_latents(
    this: This<EvenLatents>,
    times: Read<Times>,
    denoisers: Read<Denoiser>,
    images: Read<Images>,
    compute: Compute,
) -> Result<Images> {
    if let Some(made) = images.of(this.node()) {
        return Ok(made.clone());
    }
    let times = times.get(this.times)?;
    let sigma = times.path.sigma(times.t[0]);
    let image = denoisers.get(this.like)?.0.image();
    let size: usize = image.iter().product();
    let mut numbers = vec![0.0; this.count * size];
    for (at, image) in numbers.chunks_exact_mut(size).enumerate() {
        image[0] = this.spread * sigma * (2.0 * at as f64 / (this.count - 1) as f64 - 1.0);
    }
    let pixels = compute.upload(&Array::new([&[this.count], &image[..]].concat(), numbers))?;
    Ok(Images { pixels, sigma: Sigma::Same(sigma), step: None, before: 0 })
}
