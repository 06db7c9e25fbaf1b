//! Where sampling starts: pure noise at the highest noise level (Algorithm 2, line 2).

use bevy_ecs::prelude::*;
use philox::{Key, stream};
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoiser, Images, Seeds, Sigma, Times};
use serde::Deserialize;
use tensor::{Bindings, Distribution, Graph, Shape, Value};

/// Settings of the latents.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latents {
    seeds: Wire<Seeds>,
    times: Wire<Times>,
    like: Wire<Denoiser>,
}

impl Node for Latents {
    type Value = (Images, Seeds);

    const DOC: &'static str =
        "Pure noise at the highest noise level, an image for every seed (Algorithm 2, line 2).";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("seeds", "the seeds, which alone decide about the noise"),
        ("times", "the time steps, of which the first has the noise level"),
        ("like", "the denoiser whose images these become"),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.of(self.like)))
    }
}

/// x_0 ~ N(0, σ² I), drawn from each sample's own key.
pub fn latent(graph: &mut Graph, keys: Value, sigma: Value, shape: impl Into<Shape>) -> Value {
    let noise = graph.random(Distribution::Normal, keys, 0, shape);
    graph.mul(noise, sigma)
}

/// Draws the latents of a batch when it starts.
pub fn latents(
    this: This<Latents>,
    seeds: Read<Seeds>,
    times: Read<Times>,
    denoisers: Read<Denoiser>,
    images: Read<Images>,
    mut compute: Compute,
) -> Result<(Images, Seeds)> {
    let seeds = seeds.get(this.seeds)?;
    if let (Some(drawn), false) = (images.of(this.node()), seeds.fresh) {
        return Ok((drawn.clone(), seeds.clone()));
    }
    let times = times.get(this.times)?;
    let sigma = times.path.sigma(times.t[0]);
    let shape: Shape = [&[seeds.ids.len()], &denoisers.get(this.like)?.0.image()[..]].concat().into();
    let keys = seeds.ids.iter().map(|seed| Key { seed: *seed, stream: stream::LATENT, step: 0 });
    let bindings = Bindings::new().tensor("keys", &compute.keys(keys)?).scalar("sigma", sigma);
    let mut outputs = compute.run(&shape.to_string(), &bindings, |graph| {
        let (keys, sigma) = (graph.keys("keys", shape[0]), graph.scalar("sigma"));
        let x = latent(graph, keys, sigma, shape.clone());
        graph.output("x", x);
    })?;
    let pixels = outputs.take("x")?;
    Ok((Images { pixels, sigma: Sigma::Same(sigma), step: None, before: 0 }, seeds.clone()))
}
