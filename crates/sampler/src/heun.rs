//! The second-order correction (Algorithm 2, lines 9 to 12; Algorithm 3).

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoised, Images, Step};
use serde::Deserialize;
use tensor::{Bindings, Graph, Value};

use crate::Slope;
use crate::place::{moved, place, start};

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
        Where the `Euler` before it took the part `alpha` of the step, this completes the other methods of second \
        order (Algorithm 3). A step that ends at σ = 0 stays as Euler's method took it, and one of no length, between levels \
        that a network rounds to one, leaves images as they are.";

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

/// One of the two points at which the slope is known: images, the denoiser's answer and the slope's scalars.
pub type Point = (Value, Value, Slope);

/// x̂ + h ((1 - w) d + w d'), where d is the slope at t̂, d' the one at the part α of the step, and w = 1 / 2α.
pub fn heun_step(graph: &mut Graph, first: Point, second: Point, [h, w]: [Value; 2]) -> Value {
    let inputs = [first, second].map(|(x, denoised, slope)| slope.inputs(x, denoised)).concat();
    graph.map(&[inputs, vec![h, w]].concat(), |v| {
        let (d, d_next) = (Slope::formula(v, 0), Slope::formula(v, 5));
        let (h, w) = (v(10), v(11));
        v(0) + h * (d * (-w.clone() + 1.0) + d_next * w)
    })
}

/// Corrects the step.
pub fn heun(
    this: This<Heun>,
    images: Read<Images>,
    denoised: Read<Denoised>,
    mut compute: Compute,
) -> Result<Images> {
    let (x, part) = (images.get(this.x)?, images.get(this.euler)?);
    let (from, step) = (start(x)?, place(part)?);
    if step.to == 0.0 {
        return Ok(part.clone());
    }
    let (first, second) = (denoised.get(this.first)?, denoised.get(this.second)?);
    let shape = x.pixels.shape();
    let asked = step.evaluations + second.evaluations;
    let end = Step { at: step.to, evaluations: asked, ..step };
    let h = step.to - from.at;
    // Two time steps that a network rounded to one noise level; the part of it that `Euler` took is unknown, 0/0.
    if h == 0.0 {
        return Ok(moved(part, x.pixels.clone(), end));
    }
    let bindings = Bindings::new().tensor("x_hat", &x.pixels).tensor("first", &first.pixels);
    let bindings = bindings.tensor("x", &part.pixels).tensor("second", &second.pixels);
    let bindings = Slope::bind(bindings, "t_hat", from.path, from.at);
    let bindings = Slope::bind(bindings, "t", step.path, step.at);
    let bindings = bindings.scalar("h", h).scalar("w", 0.5 * h / (step.at - from.at));
    let mut outputs = compute.run(&shape.to_string(), &bindings, |graph| {
        let [x_hat, first, x, second] =
            ["x_hat", "first", "x", "second"].map(|name| graph.input(name, shape.clone()));
        let [before, after] = ["t_hat", "t"].map(|at| Slope::of(graph, at));
        let scalars = ["h", "w"].map(|name| graph.scalar(name));
        let corrected = heun_step(graph, (x_hat, first, before), (x, second, after), scalars);
        graph.output("x", corrected);
    })?;
    Ok(moved(part, outputs.take("x")?, end))
}
