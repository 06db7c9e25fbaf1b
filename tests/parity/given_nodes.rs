//! Nodes that put a case's denoiser and labels into a pipeline.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use denoise::IdealDenoiser;
use pipeline::{Engine, Node, Shape, Shapes};
use ports::{Denoise, Denoiser, Labels, Query as Question};
use serde::Deserialize;
use tensor::{Bindings, Graph, Tensor, Value};

/// Teaches the kinds of this file.
pub fn plugin(engine: &mut Engine) {
    engine.node::<GivenDenoiser, _>(given_denoiser).node::<GivenLabels, _>(given_labels);
}

/// An ideal denoiser that says it can be asked about some noise levels only.
pub struct Ranged {
    pub ideal: IdealDenoiser,
    pub range: (f64, f64),
}

impl Denoise for Ranged {
    fn image(&self) -> tensor::Shape {
        self.ideal.image()
    }

    fn labels(&self) -> usize {
        self.ideal.labels()
    }

    fn sigma_range(&self) -> (f64, f64) {
        self.range
    }

    fn build(&self, graph: &mut Graph, query: &Question) -> Value {
        self.ideal.build(graph, query)
    }

    fn bindings(&self) -> Bindings {
        self.ideal.bindings()
    }
}

/// A node that is the denoiser of the case.
#[derive(Component, Deserialize)]
pub struct GivenDenoiser {}

#[derive(Resource, Clone)]
pub struct TheDenoiser(pub Arc<dyn Denoise>);

impl Node for GivenDenoiser {
    type Value = Denoiser;
}

fn given_denoiser(denoiser: Res<TheDenoiser>) -> Result<Denoiser> {
    Ok(Denoiser(denoiser.0.clone()))
}

/// A node that is the labels of the case.
#[derive(Component, Deserialize)]
pub struct GivenLabels {}

#[derive(Resource, Clone)]
pub struct TheLabels(pub Tensor);

impl Node for GivenLabels {
    type Value = Labels;

    fn shapes(&self, _: &pipeline::Inputs) -> Result<Shapes, pipeline::Mistake> {
        Ok(Shapes::of::<Labels>(None::<Shape>))
    }
}

fn given_labels(labels: Res<TheLabels>) -> Result<Labels> {
    Ok(Labels { rows: labels.0.clone(), classes: None })
}
