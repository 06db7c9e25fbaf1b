//! The first-order step (Algorithm 2, lines 7 and 8).

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoised, Images, Sigma, Step};
use serde::Deserialize;
use tensor::{Bindings, Graph, Value};

use crate::Interval;
use crate::trajectory::place;

/// Settings of the Euler step.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Euler {
    x: Wire<Images>,
    denoised: Wire<Denoised>,
}

impl Node for Euler {
    type Value = Images;

    const DOC: &'static str = "Follows the slope at t̂_i to the end of the step \
        (Algorithm 2, lines 7 and 8).\n\
        A `Trajectory` that goes on from here samples by Euler's method, with one evaluation a step.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the images at the start of the step, noise added"),
        ("denoised", "the denoiser's answer there"),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.same("denoised", self.denoised, self.x)?))
    }
}

/// x̂ + h d, where d = (x̂ - D(x̂; t̂)) / t̂.
pub fn euler_step(graph: &mut Graph, x_hat: Value, denoised: Value, over: Interval) -> Value {
    graph.map(&[x_hat, denoised, over.t_hat, over.h], |v| v(0) + v(3) * ((v(0) - v(1)) / v(2)))
}

/// Takes the step.
pub fn euler(
    this: This<Euler>,
    images: Read<Images>,
    denoised: Read<Denoised>,
    mut compute: Compute,
) -> Result<Images> {
    let x = images.get(this.x)?;
    let (step, t_hat) = place(x)?;
    let shape = x.pixels.shape();
    let bindings =
        Bindings::new().tensor("x_hat", &x.pixels).tensor("denoised", &denoised.get(this.denoised)?.0);
    let mut outputs =
        compute.run(&shape.to_string(), &Interval::bind(bindings, t_hat, step.to), |graph| {
            let [x_hat, denoised] = ["x_hat", "denoised"].map(|name| graph.input(name, shape.clone()));
            let over = Interval::of(graph);
            let x = euler_step(graph, x_hat, denoised, over);
            graph.output("x", x);
        })?;
    let asked = Step { evaluations: step.evaluations + 1, ..step };
    Ok(Images { pixels: outputs.take("x")?, sigma: Sigma::Same(step.to), step: Some(asked), ..x.clone() })
}
