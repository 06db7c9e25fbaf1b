//! A network from a file.

use std::path::PathBuf;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use pipeline::{Constant, Inputs, Mistake, Node, Shape, Shapes, This};
use ports::{Compute, Denoiser, Explain, Fact, Labels, Others, Parameters};
use serde::Deserialize;
use tensor::Array;
use unet::Precision;

use crate::precision::{DOC, stored};
use crate::precondition::facts;
use crate::{PreconditionedNetwork, Trained, read_network};

/// Settings of the network.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Network {
    file: PathBuf,
    #[serde(default)]
    precision: Precision,
}

impl Node for Network {
    type Value = Denoiser;

    const DOC: &'static str = "A trained network from a file of weights, preconditioned as in training.\n\
        Of the folder of a run, the newest good file of averaged weights is taken.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("file", "a `.safetensors` file of a `Checkpoint` or of `mollify import`, or the folder of a run"),
        ("precision", DOC),
    ];

    /// A file that is not there yet may be written by an earlier act: then nothing is known.
    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        if !self.file.exists() {
            return Ok(Shapes::default());
        }
        let Trained { network, .. } = read_network(&self.file).map_err(|what| Mistake::new("file", what))?;
        let (image, labels) = (Shape::from(network.image()), Shape::from([network.label_dim()]));
        Ok(Shapes::of::<Denoiser>(image).and::<Labels>(labels))
    }
}

impl Explain for Network {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        let trained = self.file.exists().then(|| read_network(&self.file).ok()).flatten();
        trained.map_or_else(Vec::new, |trained| facts(&trained.recipe.scheme))
    }
}

/// Reads the network and puts its parameters where the device can read them.
pub fn network(this: This<Network>, names: Query<&Name>, compute: Compute) -> Result<Denoiser> {
    let Trained { recipe, network, arena } = read_network(&this.file)?;
    let network = stored(this.precision, network, compute.device())?;
    let arena = compute.upload(&Array::new([arena.len()], arena))?;
    let parameters = Parameters { network, arena, recipe: recipe.network.recipe() };
    Ok(Denoiser(Arc::new(PreconditionedNetwork::new(names.get(this.node())?, parameters, recipe.scheme))))
}
