//! The second-order correction (Algorithm 2, lines 9 to 12).

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoised, Images, Step};
use serde::Deserialize;
use tensor::{Bindings, Graph, Value};

use crate::Interval;
use crate::trajectory::place;

/// Settings of Heun's step.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heun {
    x: Wire<Images>,
    first: Wire<Denoised>,
    euler: Wire<Images>,
    second: Wire<Denoised>,
}

impl Node for Heun {
    type Value = Images;

    const DOC: &'static str = "Repeats a step with the mean of the slopes at its ends \
        (Algorithm 2, lines 9 to 12).\n\
        The last step, which ends at σ = 0, stays as Euler's method took it.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the images at the start of the step, noise added"),
        ("first", "the denoiser's answer there"),
        ("euler", "where Euler's method took them"),
        ("second", "the denoiser's answer at that end"),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        inputs.same("first", self.first, self.x)?;
        inputs.same("euler", self.euler, self.x)?;
        Ok(Shapes::of::<Images>(inputs.same("second", self.second, self.x)?))
    }
}

/// x̂ + h (½ d + ½ d'), where d = (x̂ - D(x̂; t̂)) / t̂ and d' = (x - D(x; t)) / t at the end of the step.
pub fn heun_step(
    graph: &mut Graph,
    [x_hat, first]: [Value; 2],
    [x, second]: [Value; 2],
    over: Interval,
) -> Value {
    let values = [x_hat, first, over.t_hat, x, second, over.t_next, over.h];
    graph.map(&values, |v| {
        let d = (v(0) - v(1)) / v(2);
        let d_next = (v(3) - v(4)) / v(5);
        v(0) + v(6) * (d * 0.5 + d_next * 0.5)
    })
}

/// Corrects the step.
pub fn heun(
    this: This<Heun>,
    images: Read<Images>,
    denoised: Read<Denoised>,
    mut compute: Compute,
) -> Result<Images> {
    let (start, end) = (images.get(this.x)?, images.get(this.euler)?);
    let ((_, t_hat), (step, t_next)) = (place(start)?, place(end)?);
    if t_next == 0.0 {
        return Ok(end.clone());
    }
    let (first, second) = (denoised.get(this.first)?, denoised.get(this.second)?);
    let shape = start.pixels.shape();
    let bindings = Bindings::new().tensor("x_hat", &start.pixels).tensor("first", &first.0);
    let bindings = bindings.tensor("x", &end.pixels).tensor("second", &second.0);
    let mut outputs = compute.run(&shape.to_string(), &Interval::bind(bindings, t_hat, t_next), |graph| {
        let [x_hat, first, x, second] =
            ["x_hat", "first", "x", "second"].map(|name| graph.input(name, shape.clone()));
        let over = Interval::of(graph);
        let corrected = heun_step(graph, [x_hat, first], [x, second], over);
        graph.output("x", corrected);
    })?;
    let asked = Step { evaluations: step.evaluations + 1, ..step };
    Ok(Images { pixels: outputs.take("x")?, step: Some(asked), ..end.clone() })
}
