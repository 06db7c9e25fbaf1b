//! Noise levels whose times are uniform under variance preserving noise (table 1 "Noise distribution", VP).

use bevy_ecs::prelude::*;
use diffusion::{BETA_D, BETA_MIN, EPSILON_T, Vp, vp_uniform_density};
use pipeline::{Inputs, Mistake, Node, Read, Shape, Shapes, This, Wire};
use ports::{Compute, Explain, Fact, Images, Others, Sigmas};
use serde::Deserialize;
use tensor::{Binary, Expr, Graph};

use crate::setting::{above_zero, not_negative};
use crate::uniforms::{Uniforms, draw_levels};

/// Settings of noise levels of uniform times.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpUniform {
    like: Wire<Images>,
    #[serde(default = "beta_d")]
    beta_d: f64,
    #[serde(default = "beta_min")]
    beta_min: f64,
    #[serde(default = "epsilon_t")]
    epsilon_t: f64,
    #[serde(default)]
    stratified: bool,
    #[serde(default)]
    seed: u64,
}

fn beta_d() -> f64 {
    BETA_D
}

fn beta_min() -> f64 {
    BETA_MIN
}

fn epsilon_t() -> f64 {
    EPSILON_T
}

impl Node for VpUniform {
    type Value = Sigmas;

    const DOC: &'static str =
        "A random noise level for each image: its time is uniform, as VP is trained (table 1).";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("like", "the images"),
        ("beta_d", "sets σ(t) = √(exp(beta_d t²/2 + beta_min t) - 1), 19.9 unless given"),
        ("beta_min", "as above, 0.1 unless given"),
        ("epsilon_t", "the earliest time, the latest being 1, 1e-5 unless given"),
        ("stratified", "whether image i of n draws from the i-th of n equal shares, false unless given"),
        ("seed", "which random numbers, 0 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        above_zero("beta_d", self.beta_d)?;
        not_negative("beta_min", self.beta_min)?;
        above_zero("epsilon_t", self.epsilon_t)?;
        if self.epsilon_t >= 1.0 {
            let what = format!("times from {} to 1 are none at all", self.epsilon_t);
            return Err(Mistake::new("epsilon_t", what).help("give a time below 1, such as 1e-5"));
        }
        if self.vp().sigma(1.0).is_finite() {
            return Ok(());
        }
        Err(Mistake::new("beta_d", "the noise level at time 1 is infinite")
            .help("lower `beta_d` or `beta_min`"))
    }

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Sigmas>(Shape::from([])))
    }
}

impl VpUniform {
    fn vp(&self) -> Vp {
        Vp { beta_d: self.beta_d, beta_min: self.beta_min }
    }
}

impl Explain for VpUniform {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        let (vp, epsilon_t) = (self.vp(), self.epsilon_t);
        let density = Fact::column("density", move |sigma| vp_uniform_density(sigma, vp, epsilon_t));
        vec![density, Fact::Visited { low: vp.sigma(epsilon_t), high: vp.sigma(1.0) }]
    }
}

/// Draws a noise level for each image.
pub fn vp_uniform(this: This<VpUniform>, images: Read<Images>, mut compute: Compute) -> Result<Sigmas> {
    let graph = |graph: &mut Graph, n| vp_uniform_graph(graph, n, this.vp(), this.epsilon_t, this.stratified);
    Ok(draw_levels(images.get(this.like)?, this.seed, &mut compute, graph)?)
}

/// `sigma [n]` of the `keys` of the draws: that of time 1 for a uniform 0, of time `epsilon_t` for a 1.
pub fn vp_uniform_graph(graph: &mut Graph, n: usize, vp: Vp, epsilon_t: f64, stratified: bool) {
    let Uniforms { from_0, to_1 } = Uniforms::draw(graph, n, stratified);
    let t = graph.map(&[from_0, to_1], |v| v(1) + v(0) * epsilon_t);
    let sigma = graph.map(&[t], |v| {
        let exponent = (v(0) * (0.5 * vp.beta_d) + vp.beta_min) * v(0);
        exp_minus_1(exponent).sqrt()
    });
    graph.output("sigma", sigma);
}

/// exp(x) - 1 for x from 0 on, in few digits: what was lost when x went through the exponential is put back.
fn exp_minus_1(x: Expr) -> Expr {
    let exp = x.clone().exp();
    let grown = (exp.clone() - 1.0) * x.clone() / exp.clone().ln();
    Expr::select(exp.binary(Binary::Equal, 1.0), x, grown)
}
