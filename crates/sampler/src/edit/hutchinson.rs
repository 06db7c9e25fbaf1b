//! What a denoiser makes of noisy images, and how much that changes with them.

use bevy_ecs::prelude::*;
use philox::{Key, stream};
use pipeline::{Inputs, Mistake, Node, Note, Read, Shapes, This, Wire};
use ports::{Compute, Denoised, Denoiser, Explain, Fact, Images, Labels, Others, check_labels};
use serde::Deserialize;
use tensor::{Binary, Distribution, Expr, Graph, Tensor, Value, gradients};

use crate::denoise::Asked;
use crate::place::place;

/// Settings of a question to a denoiser.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hutchinson {
    x: Wire<Images>,
    by: Wire<Denoiser>,
    #[serde(default)]
    labels: Option<Wire<Labels>>,
    #[serde(default = "one")]
    probes: u32,
    #[serde(default)]
    seed: u64,
}

fn one() -> u32 {
    1
}

/// More are a slip of the keyboard: each is a walk back through the network, in one program.
const MOST: u32 = 64;

/// An estimate of tr ∂D/∂y for each image y: `[n]`.
#[derive(Component, Clone, Debug)]
pub struct Trace(pub Tensor);

impl Node for Hutchinson {
    type Value = (Denoised, Trace);

    const DOC: &'static str = "Asks a denoiser for D(x; σ) as `Denoise` does, and estimates the trace of its Jacobian by \
        Hutchinson's method: the mean of vᵀ ∂D/∂x v over vectors v of random signs (Hutchinson 1990).\n\
        The trace tells how the flow of the ODE spreads out, which is all that a `Likelihood` needs. An image has the \
        same v in a step, and another in every step.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the noisy images, on a trajectory"),
        ("by", "the denoiser"),
        ("labels", "what the images show, for a denoiser that takes labels"),
        ("probes", "how many vectors, 1 unless given; each costs a walk back through the network"),
        ("seed", "which random signs, 0 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if (1..=MOST).contains(&self.probes) {
            return Ok(());
        }
        Err(Mistake::new("probes", format!("`probes` is {}, expected 1 to {MOST}", self.probes)))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        check_labels(inputs, self.by, self.labels)?;
        Ok(Shapes::of::<Denoised>(inputs.same("x", self.x, self.by)?))
    }
}

impl Explain for Hutchinson {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        vec![Fact::After(self.x.node()), Fact::Asks(self.by.node())]
    }
}

/// Asks the denoiser and goes back through it.
pub fn hutchinson(
    this: This<Hutchinson>,
    images: Read<Images>,
    denoisers: Read<Denoiser>,
    labels: Read<Labels>,
    own: Query<&Denoised>,
    mut notes: MessageWriter<Note>,
    mut compute: Compute,
) -> Result<(Denoised, Trace)> {
    let x = images.get(this.x)?;
    let step = place(x)?;
    if x.is_clean() {
        return Err("a denoiser has no Jacobian at σ = 0; walk `Upwards` time steps".into());
    }
    let denoiser = denoisers.get(this.by)?.0.as_ref();
    let asked = Asked::new(x, denoiser, labels.maybe(this.labels)?, &compute)?;
    let (n, key) = (x.batch(), asked.key());
    let build = |graph: &mut Graph, n| {
        let (y, denoised) = asked.build(graph, n);
        let keys = graph.keys("keys", n);
        let trace = trace(graph, y, denoised, keys, this.probes);
        graph.output("trace", trace);
        graph.output("denoised", denoised);
    };
    let seeds = (0..n as u64).map(|image| this.seed.wrapping_add(x.before).wrapping_add(image));
    let keys =
        compute.keys(seeds.map(|seed| Key { seed, stream: stream::PROBE, step: step.index as u64 }))?;
    let (mut denoised, mut traces) = (Vec::new(), Vec::new());
    let parts = compute.parts(&key, n, None, build)?;
    if own.get(this.node()).is_err() {
        Compute::tell_parts(n, &parts, &mut notes);
    }
    for range in parts {
        let bindings = asked.bindings(range.clone()).tensor("keys", &keys.rows(range.clone()));
        let mut outputs = compute.run_part(&key, range.len(), &bindings, build)?;
        denoised.push(outputs.take("denoised")?);
        traces.push(outputs.take("trace")?);
    }
    let pixels = compute.join(&denoised)?;
    Ok((Denoised { pixels, evaluations: asked.evaluations() }, Trace(compute.join(&traces)?)))
}

/// The mean over `probes` vectors v of vᵀ ∂D/∂y v: `[n]`, for `y` and `denoised [n, h, w, c]`.
pub fn trace(graph: &mut Graph, y: Value, denoised: Value, keys: Value, probes: u32) -> Value {
    let shape = graph.shape(y).clone();
    let products: Vec<Value> = (0..probes)
        .map(|lane| {
            let uniform = graph.random(Distribution::Uniform, keys, lane, shape.clone());
            let v = graph.map(&[uniform], |u| Expr::select(u(0).binary(Binary::Less, 0.5), -1.0, 1.0));
            let product = graph.mul(denoised, v);
            let total = graph.sum(product, &[0, 1, 2, 3]);
            let zero = |graph: &mut Graph| graph.table(vec![0.0], [1, 1, 1, 1]);
            let back = gradients(graph, total, &[y])[0].unwrap_or_else(|| zero(graph));
            let product = graph.mul(back, v);
            graph.sum(product, &[1, 2, 3])
        })
        .collect();
    let sum = products.into_iter().reduce(|sum, one| graph.add(sum, one)).expect("there is a probe");
    let mean = graph.scale(sum, 1.0 / f64::from(probes));
    graph.reshape(mean, [shape[0]])
}
