//! Fresh noise before a step (Algorithm 2, lines 4 to 6).

use bevy_ecs::prelude::*;
use philox::{Key, stream};
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Images, Seeds, Sigma};
use serde::Deserialize;
use tensor::{Bindings, Distribution, Graph, Value};

use crate::trajectory::place;

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
        Where no noise is due, none is drawn and the images stay as they are.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the images at the start of a step"),
        ("seeds", "the seeds of the images, which decide about the noise"),
        ("amount", "S_churn, the noise of all steps together, 0 unless given"),
        ("min", "S_tmin, the lowest noise level that is churned, 0 unless given"),
        ("max", "S_tmax, the highest noise level that is churned, no limit unless given"),
        ("noise", "S_noise, the standard deviation of the fresh noise, 1 unless given"),
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

/// x̂ = x + std · ε, where std = S_noise √(t̂² - t²) (lines 4 and 6).
pub fn add_noise(graph: &mut Graph, x: Value, noise: Value, std: Value) -> Value {
    graph.map(&[x, noise, std], |v| v(0) + v(1) * v(2))
}

/// Adds noise where some is due.
pub fn churn(
    this: This<Churn>,
    images: Read<Images>,
    seeds: Read<Seeds>,
    mut compute: Compute,
) -> Result<Images> {
    let x = images.get(this.x)?;
    let (step, t) = place(x)?;
    let churn = diffusion::Churn { amount: this.amount, min: this.min, max: this.max, noise: this.noise };
    let t_hat = churn.t_hat(t, step.steps);
    if t_hat == t {
        return Ok(x.clone());
    }
    let shape = x.pixels.shape();
    let ids = &seeds.get(this.seeds)?.ids;
    if ids.len() != x.batch() {
        return Err(format!("there are {} seeds for {} images", ids.len(), x.batch()).into());
    }
    let keys = ids.iter().map(|seed| Key { seed: *seed, stream: stream::CHURN, step: step.index as u64 });
    let bindings = Bindings::new().tensor("x", &x.pixels).tensor("keys", &compute.keys(keys)?);
    let bindings = bindings.scalar("std", churn.noise_std(t, t_hat));
    let mut outputs = compute.run(&shape.to_string(), &bindings, |graph| {
        let (x, keys) = (graph.input("x", shape.clone()), graph.keys("keys", shape[0]));
        let noise = graph.random(Distribution::Normal, keys, 0, shape.clone());
        let std = graph.scalar("std");
        let x_hat = add_noise(graph, x, noise, std);
        graph.output("x_hat", x_hat);
    })?;
    Ok(Images { pixels: outputs.take("x_hat")?, sigma: Sigma::Same(t_hat), ..x.clone() })
}
