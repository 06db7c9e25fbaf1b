//! Nodes that put a case's denoiser and labels into a pipeline.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use pipeline::{Engine, Node, Shape, Shapes};
use ports::{Denoise, Denoiser, Labels, Query as Question};
use serde::Deserialize;
use tensor::{Bindings, Graph, Tensor, Value};

/// Teaches the kinds of this file.
pub fn plugin(engine: &mut Engine) {
    engine.node::<GivenDenoiser, _>(given_denoiser).node::<GivenLabels, _>(given_labels);
}

/// A denoiser that says it can be asked about some noise levels only.
pub struct Limited {
    pub denoiser: Arc<dyn Denoise>,
    pub range: (f64, f64),
    /// The only levels that it knows, where it does not know all.
    pub levels: Option<Vec<f64>>,
}

impl Denoise for Limited {
    fn image(&self) -> tensor::Shape {
        self.denoiser.image()
    }

    fn labels(&self) -> usize {
        self.denoiser.labels()
    }

    fn sigma_range(&self) -> (f64, f64) {
        self.range
    }

    fn round_sigma(&self, sigma: f64) -> f64 {
        let far = |level: &&f64| (**level - sigma).abs();
        let nearest = |levels: &Vec<f64>| levels.iter().min_by(|a, b| far(a).total_cmp(&far(b))).copied();
        self.levels.as_ref().and_then(nearest).unwrap_or(sigma)
    }

    fn build(&self, graph: &mut Graph, query: &Question) -> Value {
        self.denoiser.build(graph, query)
    }

    fn bindings(&self) -> Bindings {
        self.denoiser.bindings()
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
