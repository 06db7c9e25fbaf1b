//! The likelihood of images under the ODE.

use std::f64::consts::{LN_2, TAU};

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Metric, Mistake, Node, Read, Shapes, This, Tick, Wire};
use ports::{Compute, Images, Step};
use serde::Deserialize;
use tensor::{Bindings, Tensor};

use super::Trace;
use crate::place::place;

/// Settings of the likelihood.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Likelihood {
    x: Wire<Images>,
    first: Wire<Trace>,
    euler: Wire<Images>,
    second: Wire<Trace>,
    end: Wire<Images>,
    #[serde(default)]
    levels: Option<u32>,
}

impl Node for Likelihood {
    type Value = LogLikelihood;

    const DOC: &'static str = "The log-likelihood of images by the probability flow ODE (Song et al. 2021, appendix D.2): \
        what the latent has as normal noise of the highest level, and how the flow spreads out on the way there.\n\
        The way goes up, and each step of it is that of `Heun`, whose wires these are. Tells in the end the mean over \
        images as `log_likelihood`, in nats, and as `bits_per_dim`; and the standard error of the latter, which the \
        traces are a part of, as `bits_per_dim_error`. Of pixels with finitely many levels it is a bound if noise fills the \
        steps between them, in training as well: `Dequantize`.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the images at the start of a step"),
        ("first", "the trace there: a `Hutchinson`, which is also the denoiser's answer for the `Euler`"),
        ("euler", "where Euler's method took them"),
        ("second", "the trace there"),
        ("end", "where the step took them: the `Heun`"),
        (
            "levels",
            "how many levels from -1 to 1 pixels had, to count bits for each: 256 of pictures, 17 of `Digits`; unless given \
             bits are those of the density",
        ),
    ];

    fn check(&self) -> Result<(), Mistake> {
        match self.levels {
            Some(levels @ 0..2) => {
                Err(Mistake::new("levels", format!("`levels` is {levels}, expected 2 or more")))
            }
            _ => Ok(()),
        }
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        inputs.same("euler", self.euler, self.x)?;
        inputs.same("end", self.end, self.x)?;
        Ok(Shapes::default())
    }
}

/// log p of each image, in nats: `[n]`. On the way up only what the flow has added so far.
#[derive(Component, Clone, Debug)]
pub struct LogLikelihood(pub Tensor);

/// Adds what a step changes, and in the end what the latent has.
pub fn likelihood(
    this: This<Likelihood>,
    images: Read<Images>,
    traces: Read<Trace>,
    own: Query<&LogLikelihood>,
    tick: Res<Tick>,
    mut compute: Compute,
    mut metrics: MessageWriter<Metric>,
) -> Result<LogLikelihood> {
    let x = images.get(this.x)?;
    let (from, part) = (place(x)?, place(images.get(this.euler)?)?);
    if from.to < from.from {
        return Err("a likelihood is worked out on the way up; wire time steps that are `Upwards`".into());
    }
    let ends = [(traces.get(this.first)?, from), (traces.get(this.second)?, part)];
    let before = own.get(this.node()).ok().filter(|_| from.index > 0);
    let dimensions = x.pixels.shape().len() / x.batch().max(1);
    let flow = add_step(before, ends, dimensions, &mut compute)?;
    if !from.is_last() {
        return Ok(LogLikelihood(flow));
    }
    let nats = add_latent(&flow, images.get(this.end)?, &mut compute)?;
    let numbers = compute.download(&nats)?.f64s();
    this.tell(&numbers, dimensions, |name, value| {
        metrics.write(Metric { name, tick: tick.0, value });
    });
    Ok(LogLikelihood(nats))
}

impl Likelihood {
    fn tell(&self, nats: &[f64], dimensions: usize, mut metric: impl FnMut(&'static str, f64)) {
        let n = nats.len() as f64;
        let mean = nats.iter().sum::<f64>() / n;
        let variance = nats.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        // A level has a share of 2 / (levels - 1) of the density.
        let bits_of_level = self.levels.map_or(0.0, |levels| (2.0 / f64::from(levels - 1)).log2());
        let bits = dimensions as f64 * LN_2;
        metric("log_likelihood", mean);
        metric("bits_per_dim", -mean / bits - bits_of_level);
        metric("bits_per_dim_error", (variance / n).sqrt() / bits);
    }
}

/// Adds ∫ (d - tr ∂D/∂y) d ln σ over a step: by how much the flow spreads out, at the two points that `Heun` knows. In
/// ln σ the trapezoid is exact where the trace does not change, which is at both ends of the way.
fn add_step(
    before: Option<&LogLikelihood>,
    [(first, from), (second, part)]: [(&Trace, Step); 2],
    dimensions: usize,
    compute: &mut Compute,
) -> Result<Tensor> {
    let n = first.0.shape()[0];
    let [h, h_part] = [from.to, part.at].map(|t| (from.path.sigma(t) / from.sigma()).ln());
    // Between levels that a network rounds to one there is nothing to add.
    let w = if h == 0.0 { 0.0 } else { 0.5 * h / h_part };
    let weights = [h * (1.0 - w), h * w];
    let mut bindings = Bindings::new().tensor("first", &first.0).tensor("second", &second.0);
    bindings = bindings.scalar("weight 0", weights[0]).scalar("weight 1", weights[1]);
    if let Some(before) = before {
        bindings = bindings.tensor("before", &before.0);
    }
    let mut outputs = compute.run(&format!("step {n} {}", before.is_some()), &bindings, |graph| {
        let [first, second] = ["first", "second"].map(|name| graph.input(name, [n]));
        let weights = ["weight 0", "weight 1"].map(|name| graph.scalar(name));
        let d = dimensions as f64;
        let added =
            graph.map(&[first, second, weights[0], weights[1]], |v| (-v(0) + d) * v(2) + (-v(1) + d) * v(3));
        let sum = match before {
            Some(_) => {
                let before = graph.input("before", [n]);
                graph.add(before, added)
            }
            None => added,
        };
        graph.output("sum", sum);
    })?;
    Ok(outputs.take("sum")?)
}

/// Adds log N(y; 0, σ² I) of the latent y.
fn add_latent(flow: &Tensor, end: &Images, compute: &mut Compute) -> Result<Tensor> {
    let (shape, n) = (end.pixels.shape(), end.batch());
    let sigma = place(end)?.sigma();
    let constant = -0.5 * (TAU * sigma * sigma).ln() * (shape.len() / n.max(1)) as f64;
    let bindings = Bindings::new().tensor("flow", flow).tensor("x", &end.pixels);
    let bindings = bindings.scalar("std", sigma * end.scale()).scalar("constant", constant);
    let mut outputs = compute.run(&format!("latent {shape}"), &bindings, |graph| {
        let (flow, x) = (graph.input("flow", [n]), graph.input("x", shape.clone()));
        let [std, constant] = ["std", "constant"].map(|name| graph.scalar(name));
        let squares = graph.map(&[x, std], |v| (v(0) / v(1)).square());
        let squares = graph.sum(squares, &[1, 2, 3]);
        let squares = graph.reshape(squares, [n]);
        let nats = graph.map(&[flow, squares, constant], |v| v(0) - v(1) * 0.5 + v(2));
        graph.output("nats", nats);
    })?;
    Ok(outputs.take("nats")?)
}
