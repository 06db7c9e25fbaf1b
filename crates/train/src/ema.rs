//! The average of the parameters over training, which is what samples best.

use bevy_ecs::prelude::*;
use diffusion::{ema_beta, ema_halflife};
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{AugmentLabels, AugmentOf, Compute, Labels, LabelsOf, Parameters};
use serde::Deserialize;
use tensor::{Binary, Bindings, Dtype, Expr, Graph};

use crate::Update;
use crate::setting::above_zero;

/// Settings of the average.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ema {
    of: Wire<Parameters>,
    #[serde(default = "halflife_mimg")]
    halflife_mimg: f64,
    #[serde(default = "rampup")]
    rampup: Option<f64>,
}

fn halflife_mimg() -> f64 {
    0.5
}

fn rampup() -> Option<f64> {
    Some(0.05)
}

impl Ema {
    /// The parameters that it averages.
    pub fn of(&self) -> Wire<Parameters> {
        self.of
    }
}

impl Node for Ema {
    type Value = (Parameters, Update);

    const DOC: &'static str = "The exponential moving average of parameters in training.\n\
        It starts as the parameters after the first step; with a ramp-up early ones are soon forgotten.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("of", "the parameters after the step: an `Adam`"),
        ("halflife_mimg", "after how many million images a step counts half, 0.5 unless given"),
        (
            "rampup",
            "the half-life is at most this share of the images seen, 0.05 unless given; `None` for no limit",
        ),
    ];

    fn check(&self) -> Result<(), Mistake> {
        above_zero("halflife_mimg", self.halflife_mimg)?;
        self.rampup.map_or(Ok(()), |share| above_zero("rampup", share))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let (labels, augment) = (inputs.of(LabelsOf(self.of.node())), inputs.of(AugmentOf(self.of.node())));
        Ok(Shapes::of::<Parameters>(inputs.of(self.of)).and::<Labels>(labels).and::<AugmentLabels>(augment))
    }
}

/// Moves the average towards the parameters.
pub fn ema(
    this: This<Ema>,
    parameters: Read<Parameters>,
    updates: Query<&Update>,
    mut compute: Compute,
) -> Result<(Parameters, Update)> {
    let of = parameters.get(this.of)?;
    let update =
        *updates.get(this.of.node()).map_err(|_| "`of` is not being trained; name the node of an `Adam`")?;
    let (average, beta) = match parameters.of(this.node()) {
        Some(own) => (own.arena.clone(), this.beta(update)),
        None => (compute.device().zeros(of.arena.shape(), Dtype::Real)?, 0.0),
    };
    let bindings =
        Bindings::new().tensor("average", &average).tensor("parameters", &of.arena).scalar("beta", beta);
    let len = of.network.layout().len;
    compute.run("ema", &bindings, |graph| ema_graph(graph, len))?;
    Ok((Parameters { arena: average, ..of.clone() }, update))
}

impl Ema {
    fn beta(&self, Update { before, batch }: Update) -> f64 {
        ema_beta(batch as f64, ema_halflife(self.halflife_mimg * 1e6, self.rampup, before as f64))
    }
}

/// `average = parameters + beta · (average - parameters)`, over `len` numbers in place, `beta` a scalar.
///
/// From a `beta` of ½ on it is rounded as `average - (1 - beta) · (average - parameters)`, as PyTorch does.
pub fn ema_graph(graph: &mut Graph, len: usize) {
    let (average, parameters) = (graph.input("average", [len]), graph.input("parameters", [len]));
    let beta = graph.scalar("beta");
    let moved = graph.map(&[average, parameters, beta], |v| {
        let apart = v(0) - v(1);
        let near_parameters = v(1) + v(2) * apart.clone();
        let near_average = v(0) - (Expr::from(1.0) - v(2)) * apart;
        Expr::select(v(2).binary(Binary::Less, 0.5), near_parameters, near_average)
    });
    graph.store(average, 0, moved);
}
