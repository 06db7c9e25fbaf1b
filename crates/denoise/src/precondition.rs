//! A raw network F as a denoiser D (equation 7).

use std::sync::Arc;

use bevy_ecs::prelude::*;
use diffusion::Scheme;
use pipeline::{Constant, Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{
    Architecture, AugmentLabels, AugmentOf, Denoise, Denoiser, Explain, Fact, Labels, LabelsOf, Others,
    Parameters, Query as Question,
};
use serde::Deserialize;
use tensor::{Bindings, Graph, Shape, Value};

use crate::Recipe;
use crate::coefficients::{Coefficients, coefficients};

/// Settings of the preconditioning.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Precondition {
    by: Wire<Parameters>,
    #[serde(default)]
    scheme: Scheme,
}

impl Precondition {
    /// The network that it is for.
    pub fn by(&self) -> Wire<Parameters> {
        self.by
    }

    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }
}

impl Node for Precondition {
    type Value = Denoiser;

    const DOC: &'static str =
        "Makes a denoiser of a raw network: D = c_skip x + c_out F(c_in x; c_noise) (equation 7).";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("by", "the network with its parameters: those in training, or their average"),
        ("scheme", "how the coefficients follow from σ, `Edm(sigma_data: 0.5)` unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        self.scheme.check().map_err(|what| Mistake::new("scheme", what))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let image = inputs.of(self.by);
        if let Some(&[.., channels]) = image.as_deref() {
            self.scheme.check_channels(channels).map_err(|what| Mistake::new("scheme.sigma_data", what))?;
        }
        let labels = inputs.of(LabelsOf(self.by.node()));
        let augment = inputs.of(AugmentOf(self.by.node()));
        Ok(Shapes::of::<Denoiser>(image).and::<Labels>(labels).and::<AugmentLabels>(augment))
    }
}

impl Explain for Precondition {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        facts(&self.scheme)
    }
}

/// What follows from a preconditioning; of several channels the first is told.
pub(crate) fn facts(scheme: &Scheme) -> Vec<Fact> {
    let column = |name, of: fn(diffusion::Coefficients) -> f64| {
        let scheme = scheme.clone();
        Fact::column(name, move |sigma| of(scheme.coefficients(sigma, 0)))
    };
    let (low, high) = scheme.sigma_range();
    let rounding = scheme.clone();
    let levels = Fact::Levels { low, high, round: Arc::new(move |sigma| rounding.round_sigma(sigma)) };
    let sigma_data = match scheme {
        Scheme::Edm { sigma_data } => Some(Fact::SigmaData(sigma_data.of(0))),
        _ => None,
    };
    let columns = [
        column("c_skip", |at| at.c_skip),
        column("c_out", |at| at.c_out),
        column("c_in", |at| at.c_in),
        column("c_noise", |at| at.c_noise),
    ];
    columns.into_iter().chain([levels]).chain(sigma_data).collect()
}

/// Puts a network and its preconditioning together.
pub fn precondition(
    this: This<Precondition>,
    parameters: Read<Parameters>,
    names: Query<&Name>,
) -> Result<Denoiser> {
    let parameters = parameters.get(this.by)?.clone();
    enough_outputs(parameters.network.as_ref())?;
    Ok(Denoiser(Arc::new(PreconditionedNetwork::new(
        names.get(this.node())?,
        parameters,
        this.scheme.clone(),
    ))))
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

    fn augment(&self) -> usize {
        self.parameters.network.augment_dim()
    }

    fn sigma_range(&self) -> (f64, f64) {
        self.scheme.sigma_range()
    }

    fn round_sigma(&self, sigma: f64) -> f64 {
        self.scheme.round_sigma(sigma)
    }

    fn build(&self, graph: &mut Graph, query: &Question) -> Value {
        let network = &self.parameters.network;
        let arena = graph.input(&self.input, [network.layout().len]);
        let parameters = unet::Parameters::windows(graph, arena, network.layout());
        precondition_network(graph, &self.scheme, query, |graph, inputs| {
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
        Some(Recipe { scheme: self.scheme.clone(), network }.write())
    }
}

/// A denoiser needs an output for each channel of the images.
pub(crate) fn enough_outputs(network: &dyn unet::Network) -> Result<(), String> {
    let ([.., channels], outputs) = (network.image(), network.out_channels());
    if outputs >= channels {
        return Ok(());
    }
    Err(format!("the network puts out {outputs} channels for images of {channels}; give it at least as many"))
}

/// c_skip x + c_out F(c_in x; c_noise) for any F. Of an F that puts out more channels than x has, the first
/// count: iDDPM's others are a variance.
pub fn precondition_network(
    graph: &mut Graph,
    scheme: &Scheme,
    query: &Question,
    network: impl FnOnce(&mut Graph, &unet::Inputs) -> Value,
) -> Value {
    let Coefficients { c_skip, c_out, c_in, c_noise } = coefficients(graph, scheme, query.sigma);
    let [n, .., channels] = graph.shape(query.x)[..] else { panic!("{} is no image", graph.shape(query.x)) };
    let inputs = unet::Inputs {
        x: graph.mul(query.x, c_in),
        noise: graph.reshape(c_noise, [n]),
        labels: query.labels,
        augment: query.augment,
        dropout: query.dropout,
    };
    let f = network(graph, &inputs);
    let f = graph.slice(f, 3, 0..channels);
    graph.map(&[query.x, c_skip, f, c_out], |v| v(0) * v(1) + v(2) * v(3))
}
