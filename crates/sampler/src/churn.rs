//! Fresh noise before a step (Algorithm 2, lines 4 to 6).

use bevy_ecs::prelude::*;
use philox::{Key, stream};
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoiser, Explain, Fact, Images, Others, Seeds, Step};
use serde::Deserialize;
use tensor::{Bindings, Distribution, Graph, Value};

use crate::place::{moved, only_downwards, place};

/// Settings of the churn.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    x: Wire<Images>,
    seeds: Wire<Seeds>,
    #[serde(default)]
    amount: f64,
    #[serde(default)]
    min: f64,
    #[serde(default = "no_limit")]
    max: f64,
    #[serde(default = "one")]
    noise: f64,
    #[serde(default)]
    by: Option<Wire<Denoiser>>,
}

fn no_limit() -> f64 {
    f64::INFINITY
}

fn one() -> f64 {
    1.0
}

impl Node for Churn {
    type Value = Images;

    const DOC: &'static str = "Raises images from t_i to t̂_i by fresh noise (Algorithm 2, lines 4 to 6).\n\
        Where no noise is due, none is drawn and the images stay as they are. Where a `Restart` is due, it is this \
        that takes them up.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the images at the start of a step"),
        ("seeds", "the seeds of the images, which decide about the noise"),
        ("amount", "S_churn, the noise of all steps together, 0 unless given"),
        ("min", "S_tmin, the lowest noise level that is churned, 0 unless given"),
        ("max", "S_tmax, the highest noise level that is churned, no limit unless given"),
        ("noise", "S_noise, the standard deviation of the fresh noise, 1 unless given"),
        ("by", "a denoiser that knows some noise levels only, to which t̂_i is rounded"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        for (field, number) in [("amount", self.amount), ("min", self.min), ("noise", self.noise)] {
            if !(number >= 0.0 && number.is_finite()) {
                return Err(Mistake::new(
                    field,
                    format!("`{field}` must be a finite number from 0 on, not {number}"),
                ));
            }
        }
        if self.max >= self.min {
            return Ok(());
        }
        let what = format!("noise levels from {} to {} are none at all", self.min, self.max);
        Err(Mistake::new("min", what).help("swap `min` and `max`"))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.of(self.x)))
    }
}

impl Explain for Churn {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        vec![Fact::Churn(self.amounts()), Fact::After(self.x.node())]
    }
}

impl Churn {
    fn amounts(&self) -> diffusion::Churn {
        diffusion::Churn { amount: self.amount, min: self.min, max: self.max, noise: self.noise }
    }
}

/// x̂ = keep · x + std · ε: what is left of the images at their new scale, and fresh noise (lines 4 and 6).
pub fn add_noise(graph: &mut Graph, x: Value, noise: Value, [keep, std]: [Value; 2]) -> Value {
    graph.map(&[x, noise, keep, std], |v| v(0) * v(2) + v(1) * v(3))
}

/// Adds noise where some is due.
pub fn churn(
    this: This<Churn>,
    images: Read<Images>,
    seeds: Read<Seeds>,
    denoisers: Read<Denoiser>,
    mut compute: Compute,
) -> Result<Images> {
    let x = images.get(this.x)?;
    let Step { path, at, index, .. } = place(x)?;
    let churn = this.amounts();
    let hat = raised(place(x)?, churn, denoisers.maybe(this.by)?);
    if hat.at == at {
        return Ok(moved(x, x.pixels.clone(), hat));
    }
    if hat.restart.is_none() {
        only_downwards([at, hat.to].map(|t| path.sigma(t)))?;
    }
    let shape = x.pixels.shape();
    let keys = keys(&seeds.get(this.seeds)?.ids, x, stream::CHURN, index as u64)?;
    let bindings = Bindings::new().tensor("x", &x.pixels).tensor("keys", &compute.keys(keys)?);
    let [s, s_hat] = [at, hat.at].map(|t| path.scale(t));
    let std = churn.noise_std(path.sigma(at), hat.sigma()) * s_hat;
    let bindings = bindings.scalar("keep", s_hat / s).scalar("std", std);
    let mut outputs = compute.run(&shape.to_string(), &bindings, |graph| {
        let (x, keys) = (graph.input("x", shape.clone()), graph.keys("keys", shape[0]));
        let noise = graph.random(Distribution::Normal, keys, 0, shape.clone());
        let scalars = ["keep", "std"].map(|name| graph.scalar(name));
        let x_hat = add_noise(graph, x, noise, scalars);
        graph.output("x_hat", x_hat);
    })?;
    Ok(moved(x, outputs.take("x_hat")?, hat))
}

/// Where noise takes images: to t̂_i (line 5), or to the top of a restart.
fn raised(step: Step, churn: diffusion::Churn, by: Option<&Denoiser>) -> Step {
    let sigma = step.sigma();
    let sigma_hat = churn.t_hat(sigma, step.steps);
    let at = match step.restart {
        Some(top) => top,
        None if sigma_hat == sigma => step.at,
        None => step.path.time(by.map_or(sigma_hat, |by| by.0.round_sigma(sigma_hat))),
    };
    let climbs = step.climbs + u32::from(at != step.at);
    Step { at, climbs, ..step }
}

/// The keys of a draw for every image.
pub(crate) fn keys(seeds: &[u64], of: &Images, stream: u32, step: u64) -> Result<impl Iterator<Item = Key>> {
    if seeds.len() != of.batch() {
        return Err(format!("there are {} seeds for {} images", seeds.len(), of.batch()).into());
    }
    Ok(seeds.iter().map(move |seed| Key { seed: *seed, stream, step }))
}
