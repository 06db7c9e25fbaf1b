//! A raw network F as a denoiser D (equation 7).

use std::sync::Arc;

use bevy_ecs::prelude::*;
use diffusion::Scheme;
use pipeline::{Constant, Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Architecture, Denoise, Denoiser, Labels, LabelsOf, Parameters, Query as Question};
use serde::Deserialize;
use tensor::{Bindings, Expr, Graph, Shape, Value};

use crate::Recipe;

/// Settings of the preconditioning.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Precondition {
    by: Wire<Parameters>,
    #[serde(default)]
    scheme: Scheme,
}

impl Node for Precondition {
    type Value = Denoiser;

    const DOC: &'static str =
        "Makes a denoiser of a raw network: D = c_skip x + c_out F(c_in x; c_noise) (equation 7).";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("by", "the network with its parameters: those in training, or their average"),
        ("scheme", "how the coefficients follow from σ, `Edm(sigma_data: 0.5)` unless given"),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let labels = inputs.of(LabelsOf(self.by.node()));
        Ok(Shapes::of::<Denoiser>(inputs.of(self.by)).and::<Labels>(labels))
    }
}

/// Puts a network and its preconditioning together.
pub fn precondition(
    this: This<Precondition>,
    parameters: Read<Parameters>,
    names: Query<&Name>,
) -> Result<Denoiser> {
    let parameters = parameters.get(this.by)?.clone();
    Ok(Denoiser(Arc::new(PreconditionedNetwork::new(names.get(this.node())?, parameters, this.scheme))))
}

/// D(x; σ) by a network.
#[derive(Clone)]
pub struct PreconditionedNetwork {
    /// The input that holds the parameters.
    input: String,
    parameters: Parameters,
    scheme: Scheme,
}

impl PreconditionedNetwork {
    /// `name` tells its inputs from those of other denoisers in one graph: the node's name.
    pub fn new(name: &str, parameters: Parameters, scheme: Scheme) -> Self {
        Self { input: format!("{name}.parameters"), parameters, scheme }
    }
}

impl Denoise for PreconditionedNetwork {
    fn image(&self) -> Shape {
        self.parameters.network.image().into()
    }

    fn labels(&self) -> usize {
        self.parameters.network.label_dim()
    }

    fn build(&self, graph: &mut Graph, query: &Question) -> Value {
        let network = &self.parameters.network;
        let arena = graph.input(&self.input, [network.layout().len]);
        let parameters = unet::Parameters::windows(graph, arena, network.layout());
        precondition_network(graph, self.scheme, query, |graph, inputs| {
            network.build(graph, &parameters, inputs)
        })
    }

    fn bindings(&self) -> Bindings {
        Bindings::new().tensor(&self.input, &self.parameters.arena)
    }

    fn trainable(&self) -> Option<(&str, &Parameters)> {
        Some((&self.input, &self.parameters))
    }

    fn recipe(&self) -> Option<String> {
        let network = Architecture::read(&self.parameters.recipe).ok()?;
        Some(Recipe { scheme: self.scheme, network }.write())
    }
}

/// c_skip x + c_out F(c_in x; c_noise) for any F.
pub fn precondition_network(
    graph: &mut Graph,
    scheme: Scheme,
    query: &Question,
    network: impl FnOnce(&mut Graph, &unet::Inputs) -> Value,
) -> Value {
    let Coefficients { c_skip, c_out, c_in, c_noise } = coefficients(graph, scheme, query.sigma);
    let n = graph.shape(query.x)[0];
    let inputs = unet::Inputs {
        x: graph.mul(query.x, c_in),
        noise: graph.reshape(c_noise, [n]),
        labels: query.labels,
        augment: query.augment,
        dropout: query.dropout,
    };
    let f = network(graph, &inputs);
    graph.map(&[query.x, c_skip, f, c_out], |v| v(0) * v(1) + v(2) * v(3))
}

/// The coefficients of a preconditioning as values of a graph, each of the shape of σ.
#[derive(Clone, Copy, Debug)]
pub struct Coefficients {
    pub c_skip: Value,
    pub c_out: Value,
    pub c_in: Value,
    pub c_noise: Value,
}

/// [`Scheme::coefficients`] at every noise level of a graph.
pub fn coefficients(graph: &mut Graph, scheme: Scheme, sigma: Value) -> Coefficients {
    let mut of_sigma = |formula: &dyn Fn(Expr) -> Expr| graph.map(&[sigma], |v| formula(v(0)));
    match scheme {
        Scheme::Edm { sigma_data } => {
            let data = sigma_data * sigma_data;
            let variance = move |sigma: Expr| sigma.square() + data;
            Coefficients {
                c_skip: of_sigma(&|sigma| Expr::from(data) / variance(sigma)),
                c_out: of_sigma(&|sigma| sigma.clone() * sigma_data / variance(sigma).sqrt()),
                c_in: of_sigma(&|sigma| Expr::from(1.0) / variance(sigma).sqrt()),
                c_noise: of_sigma(&|sigma| sigma.ln() * 0.25),
            }
        }
    }
}
