//! Noise that fills the steps between the levels of pixels.

use bevy_ecs::prelude::*;
use philox::{Key, stream};
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Images};
use serde::Deserialize;
use tensor::{Bindings, Distribution};

/// Settings of the noise.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dequantize {
    images: Wire<Images>,
    levels: u32,
    #[serde(default)]
    seed: u64,
}

impl Node for Dequantize {
    type Value = Images;

    const DOC: &'static str = "Adds uniform noise as wide as a level to pixels that have finitely many (Theis et al. 2016).\n\
        A density of pixels that take 17 values says nothing, as it can be infinite there; one that was learnt from pixels \
        with this noise bounds the probability of the values.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("images", "clean images"),
        ("levels", "how many levels pixels have from -1 to 1: 256 of pictures, 17 of `Digits`"),
        ("seed", "which random numbers, 0 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.levels >= 2 {
            return Ok(());
        }
        Err(Mistake::new("levels", format!("`levels` is {}, expected 2 or more", self.levels)))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.of(self.images)))
    }
}

/// Adds the noise, which belongs to the image and not to its batch.
pub fn dequantize(this: This<Dequantize>, images: Read<Images>, mut compute: Compute) -> Result<Images> {
    let clean = images.get(this.images)?;
    if !clean.is_clean() {
        return Err("the images have noise already; wire clean ones".into());
    }
    let shape = clean.pixels.shape();
    let steps = clean.before..clean.before + clean.batch() as u64;
    let keys = steps.map(|step| Key { seed: this.seed, stream: stream::DEQUANTIZE, step });
    let bindings = Bindings::new().tensor("y", &clean.pixels).tensor("keys", &compute.keys(keys)?);
    let width = 2.0 / f64::from(this.levels - 1);
    let mut outputs = compute.run(&shape.to_string(), &bindings, |graph| {
        let (y, keys) = (graph.input("y", shape.clone()), graph.keys("keys", shape[0]));
        let uniform = graph.random(Distribution::Uniform, keys, 0, shape.clone());
        let filled = graph.map(&[y, uniform], |v| v(0) + (v(1) - 0.5) * width);
        graph.output("filled", filled);
    })?;
    Ok(Images { pixels: outputs.take("filled")?, ..clean.clone() })
}
