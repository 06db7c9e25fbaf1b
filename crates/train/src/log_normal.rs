//! The noise levels that training visits (table 1 "Noise distribution").

use bevy_ecs::prelude::*;
use diffusion::{P_MEAN, P_STD};
use philox::stream;
use pipeline::{Inputs, Mistake, Node, Read, Shape, Shapes, This, Wire};
use ports::{Compute, Images, Sigmas};
use serde::Deserialize;
use tensor::{Bindings, Distribution, Graph};

use crate::sample_keys::sample_keys;
use crate::setting::above_zero;

/// Settings of log-normal noise levels.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogNormal {
    like: Wire<Images>,
    #[serde(default = "mean")]
    mean: f64,
    #[serde(default = "std")]
    std: f64,
    #[serde(default)]
    seed: u64,
}

fn mean() -> f64 {
    P_MEAN
}

fn std() -> f64 {
    P_STD
}

impl Node for LogNormal {
    type Value = Sigmas;

    const DOC: &'static str = "A random noise level for each image: ln(sigma) is normal (table 1).";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("like", "the images"),
        ("mean", "mean of ln(sigma), -1.2 unless given"),
        ("std", "standard deviation of ln(sigma), 1.2 unless given"),
        ("seed", "which random numbers, 0 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if !self.mean.is_finite() {
            return Err(Mistake::new("mean", format!("`mean` is {}, expected a finite number", self.mean)));
        }
        above_zero("std", self.std)
    }

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Sigmas>(Shape::from([])))
    }
}

/// Draws a noise level for each image.
pub fn log_normal(this: This<LogNormal>, images: Read<Images>, mut compute: Compute) -> Result<Sigmas> {
    let images = images.get(this.like)?;
    let n = images.batch();
    let keys = sample_keys(images, this.seed, stream::SIGMA, &compute)?;
    let bindings = Bindings::new().tensor("keys", &keys).scalar("mean", this.mean).scalar("std", this.std);
    let mut made = compute.run(&format!("{n}"), &bindings, |graph| log_normal_graph(graph, n))?;
    Ok(Sigmas(made.take("sigma")?))
}

/// `sigma [n] = exp(mean + std · normal)` of the `keys` of the draws and the scalars `mean` and `std`.
pub fn log_normal_graph(graph: &mut Graph, n: usize) {
    let keys = graph.keys("keys", n);
    let (mean, std) = (graph.scalar("mean"), graph.scalar("std"));
    let normal = graph.random(Distribution::Normal, keys, 0, [n]);
    let sigma = graph.map(&[normal, mean, std], |v| (v(1) + v(2) * v(0)).exp());
    graph.output("sigma", sigma);
}
