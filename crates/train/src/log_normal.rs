//! Noise levels that are normal in their logarithm (table 1 "Noise distribution", EDM).

use bevy_ecs::prelude::*;
use diffusion::{P_MEAN, P_STD, log_normal_density};
use pipeline::{Inputs, Mistake, Node, Read, Shape, Shapes, This, Wire};
use ports::{Compute, Explain, Fact, Images, Others, Sigmas};
use serde::Deserialize;
use tensor::{Distribution, Expr, Graph};

use crate::inverse_normal::inverse_normal;
use crate::setting::above_zero;
use crate::uniforms::{Uniforms, draw_levels};

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
    stratified: bool,
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
        ("stratified", "whether image i of n draws from the i-th of n equal shares, false unless given"),
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

impl Explain for LogNormal {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        let (mean, std) = (self.mean, self.std);
        let [low, high] = [-6.0, 6.0].map(|deviations| (mean + deviations * std).exp());
        let density = Fact::column("density", move |sigma| log_normal_density(sigma, mean, std));
        vec![density, Fact::Visited { low, high }]
    }
}

/// Draws a noise level for each image.
pub fn log_normal(this: This<LogNormal>, images: Read<Images>, mut compute: Compute) -> Result<Sigmas> {
    let graph = |graph: &mut Graph, n| log_normal_graph(graph, n, (this.mean, this.std), this.stratified);
    Ok(draw_levels(images.get(this.like)?, this.seed, &mut compute, graph)?)
}

/// `sigma [n] = exp(mean + std · normal)` of the `keys` of the draws.
pub fn log_normal_graph(graph: &mut Graph, n: usize, (mean, std): (f64, f64), stratified: bool) {
    let normal = if stratified {
        let uniforms = Uniforms::draw(graph, n, stratified);
        inverse_normal(graph, uniforms)
    } else {
        let keys = graph.keys("keys", n);
        graph.random(Distribution::Normal, keys, 0, [n])
    };
    let sigma = graph.map(&[normal], |v| (Expr::from(mean) + v(0) * std).exp());
    graph.output("sigma", sigma);
}
