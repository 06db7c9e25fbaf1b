//! Images several times.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Images};
use serde::Deserialize;
use tensor::Array;

/// Settings of repetition.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    images: Wire<Images>,
    times: usize,
    #[serde(default)]
    count: Option<usize>,
}

impl Node for Repeat {
    type Value = Images;

    const DOC: &'static str = "Every image several times in a row: to look at what different noise levels, or seeds, make of the same.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("images", "clean images"),
        ("times", "how often each comes"),
        ("count", "how many images of a batch are taken, all unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        for (field, count) in [("times", self.times), ("count", self.count.unwrap_or(1))] {
            if count == 0 {
                return Err(Mistake::new(field, format!("`{field}` is 0, expected at least 1")));
            }
        }
        Ok(())
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.of(self.images)))
    }
}

/// Repeats the images of this tick.
pub fn repeat(this: This<Repeat>, images: Read<Images>, compute: Compute) -> Result<Images> {
    let images = images.get(this.images)?;
    if !images.is_clean() {
        return Err("the images have noise; repeat clean ones, and add noise afterwards".into());
    }
    let shape = images.pixels.shape();
    let count = this.count.unwrap_or(shape[0]).min(shape[0]);
    let pixels = compute.download(&images.pixels)?.f64s();
    let rows = pixels.chunks_exact((pixels.len() / shape[0]).max(1)).take(count);
    let repeated: Vec<f64> =
        rows.flat_map(|row| std::iter::repeat_n(row, this.times)).flatten().copied().collect();
    let pixels = compute.upload(&Array::new(shape.with(0, count * this.times), repeated))?;
    Ok(Images::clean(pixels, images.before))
}
