//! The optimiser (Kingma and Ba, 2015).

use std::sync::Arc;

use bevy_ecs::prelude::*;
use diffusion::learning_rate;
use pipeline::{Inputs, Keep, Kept, Metric, Mistake, Node, Read, Shapes, This, Tick, Wire};
use ports::{
    Architecture, AugmentLabels, AugmentOf, Compute, Gathered, Gauges, Gradients, Labels, LabelsOf,
    LossScale, Parameters, keep_arena, load_arena,
};
use serde::Deserialize;
use tensor::{Bindings, Dtype, Expr, Fold, Graph, Tensor, Unary, Value};
use unet::Network;

use crate::Update;
use crate::loss::ParameterGradient;
use crate::setting::{above_zero, not_negative};

/// Settings of the optimiser.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adam {
    grads: Wire<Gradients>,
    of: Wire<Parameters>,
    rate: f64,
    #[serde(default = "betas")]
    betas: Betas,
    #[serde(default = "eps")]
    eps: f64,
    #[serde(default = "rampup_mimg")]
    rampup_mimg: f64,
}

/// How much of the mean and of the mean square of gradients stays each step.
pub type Betas = (f64, f64);

fn betas() -> Betas {
    (0.9, 0.999)
}

fn eps() -> f64 {
    1e-8
}

fn rampup_mimg() -> f64 {
    10.0
}

impl Adam {
    /// The parameters that it changes.
    pub fn of(&self) -> Wire<Parameters> {
        self.of
    }

    /// How fast its moments move.
    pub(crate) fn betas(&self) -> Betas {
        self.betas
    }
}

impl Node for Adam {
    type Value = (Parameters, Moments, Update);

    const DOC: &'static str = "Adam: one step along the gradients, in place, which are zero afterwards.\n\
        The rate rises from 0 with the images seen before the step, so the first step only moves the moments. \
        Gradients that are not finite become 0 (NaN) or ±1e5 (infinite) and are told as `nonfinite_grads`; in mixed \
        precision there is no step with them, and the loss is scaled by half as much.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("grads", "the gradients"),
        ("of", "the parameters, which are changed in place; say `of: \"adam\"` to read them after the step"),
        ("rate", "the learning rate after the ramp-up"),
        ("betas", "how much of the mean and of the mean square stays each step, (0.9, 0.999) unless given"),
        ("eps", "is added to the root mean square, 1e-8 unless given"),
        ("rampup_mimg", "over how many million images the rate rises, 10 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        above_zero("rate", self.rate)?;
        above_zero("eps", self.eps)?;
        not_negative("rampup_mimg", self.rampup_mimg)?;
        let (first, second) = self.betas;
        if (0.0..1.0).contains(&first) && (0.0..1.0).contains(&second) {
            return Ok(());
        }
        let what = format!("`betas` are {:?}, expected two numbers from 0 to below 1", self.betas);
        Err(Mistake::new("betas", what))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let (labels, augment) = (inputs.of(LabelsOf(self.of.node())), inputs.of(AugmentOf(self.of.node())));
        Ok(Shapes::of::<Parameters>(inputs.of(self.of)).and::<Labels>(labels).and::<AugmentLabels>(augment))
    }
}

/// The running means of the gradients and of their squares.
#[derive(Component, Clone)]
pub struct Moments {
    network: Arc<dyn Network>,
    recipe: String,
    m: Tensor,
    v: Tensor,
    /// How many steps they are the means of.
    steps: u64,
}

impl Keep for Moments {
    const NAME: &'static str = "Moments";

    fn save(&self, world: &World) -> Result<Kept> {
        let kept = Self::kept(self.steps, &self.recipe)?;
        let kept = keep_arena(kept, Self::MEAN, self.network.as_ref(), &self.m, world)?;
        keep_arena(kept, Self::SQUARE, self.network.as_ref(), &self.v, world)
    }

    fn load(kept: &Kept, world: &mut World) -> Result<Self> {
        let (steps, recipe): (u64, String) = kept.read()?;
        let network = Architecture::read(&recipe)?.build()?;
        let [m, v] =
            [Self::MEAN, Self::SQUARE].map(|moment| load_arena(kept, moment, network.as_ref(), world));
        Ok(Moments { network, recipe, m: m?, v: v?, steps })
    }
}

impl Moments {
    /// Before the names of parameters in checkpoints: the mean of a gradient.
    pub const MEAN: &'static str = "m.";
    /// The mean of its square.
    pub const SQUARE: &'static str = "v.";

    /// What a checkpoint holds of them: after `steps` steps of a network of this recipe, without the numbers.
    ///
    /// # Errors
    /// If they cannot be written as RON.
    pub fn kept(steps: u64, recipe: &str) -> Result<Kept> {
        Kept::plain(&(steps, recipe))
    }

    fn new(of: &Parameters, [m, v]: [Tensor; 2]) -> Self {
        Moments { network: of.network.clone(), recipe: of.recipe.clone(), m, v, steps: 0 }
    }

    /// The moments `m` and `v` before the first step.
    pub(crate) fn zeros(of: &Parameters, compute: &Compute) -> Result<[Tensor; 2]> {
        let zeros = || compute.device().zeros(of.arena.shape(), Dtype::Real);
        Ok([zeros()?, zeros()?])
    }

    pub(crate) fn tensors(&self) -> [Tensor; 2] {
        [self.m.clone(), self.v.clone()]
    }
}

/// Takes a step.
pub fn adam(
    this: This<Adam>,
    gradients: Read<Gradients>,
    parameters: Read<Parameters>,
    own: Query<&Moments>,
    tick: Res<Tick>,
    mut gauges: ResMut<Gauges>,
    mut metrics: MessageWriter<Metric>,
    mut compute: Compute,
) -> Result<(Parameters, Moments, Update)> {
    let (of, grads) = (parameters.get(this.of)?.clone(), gradients.get(this.grads)?);
    let mut moments = match (own.get(this.node()), &grads.gathered) {
        (Ok(own), _) => own.clone(),
        (Err(_), Gathered::Moments { m, v, .. }) => Moments::new(&of, [m.clone(), v.clone()]),
        (Err(_), Gathered::Arena(_)) => Moments::new(&of, Moments::zeros(&of, &compute)?),
    };
    moments.steps += 1;
    let rate = learning_rate(this.rate, this.rampup_mimg * 1e6, grads.before as f64);
    let bindings = adam_numbers(rate, this.betas, this.eps, moments.steps)
        .tensor("parameters", &of.arena)
        .tensor("m", &moments.m)
        .tensor("v", &moments.v);
    let len = of.network.layout().len;
    let nonfinite = match &grads.gathered {
        Gathered::Arena(arena) => {
            let bindings = bindings.tensor("gradients", arena);
            let bindings = grads.scale.iter().fold(bindings, |to, scale| to.tensor("scale", &scale.0));
            let build = |graph: &mut Graph| adam_graph(graph, len, this.betas, grads.scale.is_some());
            compute.run("adam", &bindings, build)?.take("nonfinite")?
        }
        Gathered::Moments { nonfinite, .. } => {
            compute.run("adam by moments", &bindings, |graph| adam_step_graph(graph, len))?;
            nonfinite.clone()
        }
    };
    if let Some(scale) = &grads.scale {
        let bindings = Bindings::new().tensor("scale", &scale.0).tensor("nonfinite", &nonfinite);
        compute.run("loss scale", &bindings, LossScale::update_graph)?;
    }
    metrics.write(Metric { name: "learning_rate", tick: tick.0, value: rate });
    gauges.warn("nonfinite_grads", *tick, nonfinite);
    Ok((of, moments, Update { before: grads.before, batch: grads.batch }))
}

/// The scalars that [`adam_graph`] reads for step `step`, counted from 1: what makes up for moments that begin at zero is
/// in them, so that no number has to be divided by it.
pub fn adam_numbers(rate: f64, (first, second): Betas, eps: f64, step: u64) -> Bindings {
    let unbias = |beta: f64| 1.0 - beta.powf(step as f64);
    let root = unbias(second).sqrt();
    Bindings::new().scalar("rate", rate * root / unbias(first)).scalar("eps", eps * root)
}

/// One step over `len` numbers, in place: `parameters`, `gradients`, which become 0, and the moments `m` and `v`; gives
/// `nonfinite [1]`, how many gradients were not finite.
///
/// If the gradients are `scaled`, it reads `scale [2]` as well ([`LossScale`]): it divides by it, and makes no step where a
/// gradient is not finite.
///
/// m += (1 - β₁)(g - m), v = β₂ v + (1 - β₂) g², p -= rate · m / (√v + eps), with the scalars of [`adam_numbers`].
pub fn adam_graph(graph: &mut Graph, len: usize, betas: Betas, scaled: bool) {
    let inputs = ["parameters", "gradients", "m", "v"].map(|name| graph.input(name, [len]));
    let [parameters, gradients, m, v] = inputs;
    let (rate, eps) = (graph.scalar("rate"), graph.scalar("eps"));

    let nonfinite = count_nonfinite(graph, gradients);
    graph.output("nonfinite", nonfinite);

    let scrubbed = match scaled {
        false => graph.map(&[gradients], |v| scrub(v(0))),
        true => {
            let state = graph.input("scale", [2]);
            let scale = graph.slice(state, 0, 0..1);
            graph.map(&[gradients, scale], |v| scrub(v(0)) / v(1))
        }
    };
    let new_m = graph.map(&[m, scrubbed], |v| mean(v(0), v(1), betas));
    let new_v = graph.map(&[v, scrubbed], |v| mean_square(v(0), v(1), betas));
    let moved = graph.map(&[parameters, new_m, new_v, rate, eps], moved);
    let zeros = graph.map(&[gradients], |_| Expr::Constant(0.0));
    for (input, new) in [(parameters, moved), (m, new_m), (v, new_v)] {
        let kept = match scaled {
            false => new,
            true => graph.map(&[nonfinite, input, new], |v| Expr::select(v(0), v(1), v(2))),
        };
        graph.store(input, 0, kept);
    }
    graph.store(gradients, 0, zeros);
}

/// The half of a step that gradients are needed for: the moments `m` and `v` of `len` numbers in place, each parameter's as
/// soon as its gradient is made; gives `nonfinite [1]`. [`adam_step_graph`] is the other half, and both have the bits of
/// [`adam_graph`].
pub fn moments_graph(graph: &mut Graph, len: usize, gradients: &[ParameterGradient], betas: Betas) {
    let moments = ["m", "v"].map(|name| graph.input(name, [len]));
    let zero = graph.table(vec![0.0], [1]);
    let mut nonfinite = Vec::new();
    for &ParameterGradient { offset, len, gradient } in gradients {
        let [m, v] = moments.map(|moment| graph.window(moment, offset, [len]));
        let g = gradient.map_or(zero, |gradient| graph.reshape(gradient, [len]));
        let new_m = graph.map(&[m, g], |v| mean(v(0), scrub(v(1)), betas));
        let new_v = graph.map(&[v, g], |v| mean_square(v(0), scrub(v(1)), betas));
        for (moment, new) in moments.into_iter().zip([new_m, new_v]) {
            graph.store(moment, offset, new);
        }
        nonfinite.push(count_nonfinite(graph, g));
    }
    let nonfinite = graph.concat(&nonfinite, 0);
    let nonfinite = graph.sum(nonfinite, &[0]);
    graph.output("nonfinite", nonfinite);
}

/// `parameters` of `len` numbers in place, by moments `m` and `v` that have moved.
pub fn adam_step_graph(graph: &mut Graph, len: usize) {
    let [parameters, m, v] = ["parameters", "m", "v"].map(|name| graph.input(name, [len]));
    let (rate, eps) = (graph.scalar("rate"), graph.scalar("eps"));
    let moved = graph.map(&[parameters, m, v, rate, eps], moved);
    graph.store(parameters, 0, moved);
}

/// m + (1 - β₁)(g - m).
fn mean(m: Expr, g: Expr, (first, _): Betas) -> Expr {
    m.clone() + (g - m) * (1.0 - first)
}

/// β₂ v + (1 - β₂) g².
fn mean_square(v: Expr, g: Expr, (_, second): Betas) -> Expr {
    v * second + g.square() * (1.0 - second)
}

/// p - rate · m / (√v + eps), of inputs p, m, v, rate and eps.
fn moved(of: fn(usize) -> Expr) -> Expr {
    of(0) - of(3) * (of(1) / (of(2).sqrt() + of(4)))
}

/// How many of some gradients are not finite, `[1]`.
fn count_nonfinite(graph: &mut Graph, gradients: Value) -> Value {
    let nonfinite = graph.map(&[gradients], |v| Expr::from(1.0) - v(0).unary(Unary::IsFinite));
    graph.reduce(Fold::Sum, nonfinite, &[0])
}

/// NaN becomes 0 and an infinite number ±1e5; finite numbers stay as they are.
fn scrub(gradient: Expr) -> Expr {
    let infinite = Expr::select(gradient.clone().binary(tensor::Binary::Less, 0.0), -1e5, 1e5);
    let broken = Expr::select(gradient.clone().unary(Unary::IsNan), 0.0, infinite);
    Expr::select(gradient.clone().unary(Unary::IsFinite), gradient, broken)
}
