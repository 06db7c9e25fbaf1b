//! Noise levels that are uniform in their logarithm (table 1 "Noise distribution", VE).

use bevy_ecs::prelude::*;
use diffusion::log_uniform_density;
use pipeline::{Inputs, Mistake, Node, Read, Shape, Shapes, This, Wire};
use ports::{Compute, Explain, Fact, Images, Others, Sigmas};
use serde::Deserialize;
use tensor::Graph;

use crate::setting::above_zero;
use crate::uniforms::{Uniforms, draw_levels};

/// Settings of log-uniform noise levels.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogUniform {
    like: Wire<Images>,
    #[serde(default = "sigma_min")]
    sigma_min: f64,
    #[serde(default = "sigma_max")]
    sigma_max: f64,
    #[serde(default)]
    stratified: bool,
    #[serde(default)]
    seed: u64,
}

fn sigma_min() -> f64 {
    0.02
}

fn sigma_max() -> f64 {
    100.0
}

impl Node for LogUniform {
    type Value = Sigmas;

    const DOC: &'static str =
        "A random noise level for each image: ln(sigma) is uniform, as VE is trained (table 1).";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("like", "the images"),
        ("sigma_min", "the lowest noise level, 0.02 unless given"),
        ("sigma_max", "the highest noise level, 100 unless given"),
        ("stratified", "whether image i of n draws from the i-th of n equal shares, false unless given"),
        ("seed", "which random numbers, 0 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        above_zero("sigma_min", self.sigma_min)?;
        above_zero("sigma_max", self.sigma_max)?;
        if self.sigma_min < self.sigma_max {
            return Ok(());
        }
        let what = format!("noise levels from {} to {} are none at all", self.sigma_min, self.sigma_max);
        Err(Mistake::new("sigma_min", what).help("give a `sigma_min` below `sigma_max`"))
    }

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Sigmas>(Shape::from([])))
    }
}

impl Explain for LogUniform {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        let (low, high) = (self.sigma_min, self.sigma_max);
        let density = Fact::column("density", move |sigma| log_uniform_density(sigma, low, high));
        vec![density, Fact::Visited { low, high }]
    }
}

/// Draws a noise level for each image.
pub fn log_uniform(this: This<LogUniform>, images: Read<Images>, mut compute: Compute) -> Result<Sigmas> {
    let LogUniform { sigma_min, sigma_max, stratified, .. } = *this;
    let graph = |graph: &mut Graph, n| log_uniform_graph(graph, n, (sigma_min, sigma_max), stratified);
    Ok(draw_levels(images.get(this.like)?, this.seed, &mut compute, graph)?)
}

/// `sigma [n] = min (max / min)^uniform` of the `keys` of the draws.
pub fn log_uniform_graph(graph: &mut Graph, n: usize, (min, max): (f64, f64), stratified: bool) {
    let uniform = Uniforms::draw(graph, n, stratified).from_0;
    let sigma = graph.map(&[uniform], |v| (v(0) * (max / min).ln()).exp() * min);
    graph.output("sigma", sigma);
}
