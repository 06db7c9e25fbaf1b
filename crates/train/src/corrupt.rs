//! Noise on training images.

use bevy_ecs::prelude::*;
use philox::stream;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Images, Sigma, Sigmas};
use serde::Deserialize;
use tensor::{Bindings, Distribution, Graph, Shape};

use crate::sample_keys::sample_keys;

/// Settings of noise.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corrupt {
    images: Wire<Images>,
    sigmas: Wire<Sigmas>,
    #[serde(default)]
    seed: u64,
}

impl Node for Corrupt {
    type Value = Images;

    const DOC: &'static str =
        "Adds white noise to images: y + n, where n has the image's noise level (equation 2).";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("images", "the clean images"),
        ("sigmas", "the noise level of each"),
        ("seed", "which random numbers, 0 unless given"),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.of(self.images)))
    }
}

/// Adds noise to the images.
pub fn corrupt(
    this: This<Corrupt>,
    images: Read<Images>,
    sigmas: Read<Sigmas>,
    mut compute: Compute,
) -> Result<Images> {
    let clean = images.get(this.images)?;
    let Sigmas(sigma) = sigmas.get(this.sigmas)?;
    let shape = clean.pixels.shape();
    if sigma.shape()[..] != [clean.batch()] {
        return Err(format!("there are {} images, but noise levels {}", clean.batch(), sigma.shape()).into());
    }
    let keys = sample_keys(clean, this.seed, stream::NOISE, &compute)?;
    let bindings = Bindings::new().tensor("y", &clean.pixels).tensor("sigma", sigma).tensor("keys", &keys);
    let mut made = compute.run(&shape.to_string(), &bindings, |graph| corrupt_graph(graph, shape))?;
    Ok(Images { pixels: made.take("x")?, sigma: Sigma::Each(sigma.clone()), ..clean.clone() })
}

/// `x = y + sigma · normal` for `y [n, h, w, c]`, `sigma [n]` and the `keys` of the draws.
pub fn corrupt_graph(graph: &mut Graph, shape: &Shape) {
    let n = shape[0];
    let (y, sigma) = (graph.input("y", shape.clone()), graph.input("sigma", [n]));
    let keys = graph.keys("keys", n);
    let sigma = graph.reshape(sigma, [n, 1, 1, 1]);
    let normal = graph.random(Distribution::Normal, keys, 0, shape.clone());
    let x = graph.map(&[y, sigma, normal], |v| v(0) + v(1) * v(2));
    graph.output("x", x);
}
