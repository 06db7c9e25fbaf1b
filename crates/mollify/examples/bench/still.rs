//! The one kind of node of this program: images that cost nothing.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Shape, Shapes, This, Unfinished};
use ports::{Compute, Images, Sigma};
use serde::Deserialize;
use tensor::Array;

/// Random images that never end; noisy ones if `noisy`.
#[derive(Component, Deserialize)]
#[require(Unfinished)]
pub struct Still {
    batch: usize,
    size: usize,
    channels: usize,
    noisy: bool,
}

impl Node for Still {
    type Value = Images;

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(Shape::from([self.size, self.size, self.channels])))
    }
}

pub fn still(this: This<Still>, old: Query<&Images>, compute: Compute) -> Result<Images> {
    let count = (this.batch * this.size * this.size * this.channels) as u64;
    let images = match old.get(this.node()) {
        Ok(old) => Images { before: old.before + this.batch as u64, ..old.clone() },
        Err(_) => {
            // The digits of a golden ratio: as even as random numbers for the purpose, and on [-1, 1].
            let numbers: Vec<f32> =
                (0..count).map(|i| 2.0 * (i as f64 * 0.618_033_988_75).fract() as f32 - 1.0).collect();
            let shape = [this.batch, this.size, this.size, this.channels];
            let mut images = Images::clean(compute.upload(&Array::new(shape, numbers))?, 0);
            if this.noisy {
                let sigmas: Vec<f32> = (0..this.batch).map(|i| 0.1 + i as f32 / this.batch as f32).collect();
                images.sigma = Sigma::Each(compute.upload(&Array::new([this.batch], sigmas))?);
            }
            images
        }
    };
    Ok(images)
}
