//! The first-order step (Algorithm 2, lines 7 and 8).

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoised, Explain, Fact, Images, Others, Step};
use serde::Deserialize;
use tensor::{Bindings, Graph, Value};

use crate::Slope;
use crate::place::{moved, start};

/// Settings of the Euler step.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Euler {
    x: Wire<Images>,
    denoised: Wire<Denoised>,
    #[serde(default = "one")]
    alpha: f64,
}

fn one() -> f64 {
    1.0
}

impl Node for Euler {
    type Value = Images;

    const DOC: &'static str = "Follows the slope at t̂_i to the end of the step \
        (Algorithm 2, lines 7 and 8).\n\
        A `Trajectory` that goes on from here samples by Euler's method, with one evaluation a step.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the images at the start of the step, noise added"),
        ("denoised", "the denoiser's answer there"),
        (
            "alpha",
            "how much of the step to take for a `Heun` that follows: 1 unless given, 1/2 for the midpoint method, 2/3 \
             for Ralston's; a step to σ = 0 is taken whole",
        ),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.alpha > 0.0 && self.alpha.is_finite() {
            return Ok(());
        }
        let what = format!("`alpha` must be a finite number above 0, not {}", self.alpha);
        Err(Mistake::new("alpha", what).help("the methods of second order have 1/2 to 1.1"))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.same("denoised", self.denoised, self.x)?))
    }
}

impl Explain for Euler {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        vec![Fact::After(self.x.node()), Fact::Ahead]
    }
}

/// x̂ + h d, where d is the slope at t̂.
pub fn euler_step(graph: &mut Graph, x_hat: Value, denoised: Value, slope: Slope, h: Value) -> Value {
    let [x, denoised, keep, scale, tau] = slope.inputs(x_hat, denoised);
    graph.map(&[x, denoised, keep, scale, tau, h], |v| v(0) + v(5) * Slope::formula(v, 0))
}

/// Takes the step.
pub fn euler(
    this: This<Euler>,
    images: Read<Images>,
    denoised: Read<Denoised>,
    mut compute: Compute,
) -> Result<Images> {
    let (x, denoised) = (images.get(this.x)?, denoised.get(this.denoised)?);
    let step = start(x)?;
    let to = end(step, this.alpha)?;
    let shape = x.pixels.shape();
    let bindings = Bindings::new().tensor("x_hat", &x.pixels).tensor("denoised", &denoised.pixels);
    let bindings = Slope::bind(bindings, "t_hat", step.path, step.at).scalar("h", to - step.at);
    let mut outputs = compute.run(&shape.to_string(), &bindings, |graph| {
        let [x_hat, denoised] = ["x_hat", "denoised"].map(|name| graph.input(name, shape.clone()));
        let (slope, h) = (Slope::of(graph, "t_hat"), graph.scalar("h"));
        let x = euler_step(graph, x_hat, denoised, slope, h);
        graph.output("x", x);
    })?;
    let asked = step.evaluations + denoised.evaluations;
    Ok(moved(x, outputs.take("x")?, Step { at: to, evaluations: asked, ..step }))
}

/// Where the part `alpha` of a step ends.
fn end(step: Step, alpha: f64) -> Result<f64> {
    if alpha == 1.0 || step.to == 0.0 {
        return Ok(step.to);
    }
    let end = step.at + alpha * (step.to - step.at);
    if end > 0.0 {
        return Ok(end);
    }
    Err(format!("`alpha` = {alpha} leads from t = {} past 0; take a smaller one, or shorter steps", step.at)
        .into())
}
