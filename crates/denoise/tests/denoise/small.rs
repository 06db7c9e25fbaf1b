//! Small networks, and questions to denoisers, on the reference device.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use pipeline::{Engine, Inputs, Mistake, Node, Pipeline, Report, Shape, Shapes, This, Unfinished};
use ports::{
    Architecture, Compute, Denoise, Denoiser, Images, Labels, Machine, Parameters, Query as Question, Sigma,
};
use serde::Deserialize;
use tensor::{Array, Device, Graph, Reference, Tensor, Value, compile};
use unet::SongUNetConfig;

/// Images and labels that say what they are, without end.
#[derive(Component, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Unfinished)]
pub struct Given {
    shape: (usize, usize, usize, usize),
    pixels: Vec<f64>,
    #[serde(default)]
    classes: usize,
    #[serde(default)]
    sigma: f64,
}

impl Node for Given {
    type Value = (Images, Labels);

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        let (_, h, w, c) = self.shape;
        Ok(Shapes::of::<Images>(Shape::from([h, w, c])).and::<Labels>(Shape::from([self.classes])))
    }
}

fn given(this: This<Given>, compute: Compute) -> Result<(Images, Labels)> {
    let (n, h, w, c) = this.shape;
    let pixels: Vec<f64> = this.pixels.iter().copied().cycle().take(n * h * w * c).collect();
    let pixels = compute.upload(&Array::new([n, h, w, c], pixels))?;
    let rows = compute.upload(&Array::new([n, this.classes], vec![0.0; n * this.classes]))?;
    Ok((
        Images { sigma: Sigma::Same(this.sigma), ..Images::clean(pixels, 0) },
        Labels { rows, classes: None },
    ))
}

/// An engine that is wired with these nodes.
pub fn wire(nodes: &str) -> Result<Engine, Report> {
    let kinds = |engine: &mut Engine| _ = engine.node::<Given, _>(given);
    let mut engine = Engine::default().with(ports::plugin).with(mollify_denoise::plugin).with(kinds);
    engine.world.insert_resource(Machine(Arc::new(Reference)));
    engine.wire(&Pipeline::read("small.ron", &format!("(nodes: {{ {nodes} }})"), &[])?)?;
    Ok(engine)
}

/// The denoiser that the node `net` makes in its first tick.
pub fn denoiser(nodes: &str) -> Denoiser {
    let mut engine = wire(nodes).unwrap();
    engine.tick().unwrap();
    engine.value::<Denoiser>("net").unwrap().clone()
}

/// The only mistake in these nodes, with its help.
pub fn mistake(nodes: &str) -> String {
    let report = wire(nodes).err().expect("a mistake");
    assert_eq!(report.errors.len(), 1, "{report}");
    format!("{}; {}", report.errors[0].what, report.errors[0].help.clone().unwrap_or_default())
}

/// DDPM++ for images of 4x4 pixels of two channels.
pub fn tiny() -> SongUNetConfig {
    SongUNetConfig {
        model_channels: 8,
        multipliers: vec![1, 2],
        blocks: 1,
        attention: vec![],
        label_dim: 3,
        ..SongUNetConfig::ddpmpp([4, 4], 2)
    }
}

/// A network with parameters that all matter: the last layers of a new one are almost zero.
pub fn parameters(config: SongUNetConfig) -> Parameters {
    let architecture = Architecture::SongUNet(config);
    let recipe = architecture.recipe();
    let network = architecture.build().unwrap();
    let arena: Vec<f32> = (0..network.layout().len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 300.0).collect();
    let arena = Reference.upload(&Array::new([arena.len()], arena)).unwrap();
    Parameters { network, arena, recipe }
}

/// Some numbers between -1 and 1.
pub fn numbers(count: usize) -> Vec<f64> {
    (0..count).map(|i| ((i * 61 + 17) % 97) as f64 / 48.0 - 1.0).collect()
}

pub fn upload(shape: impl Into<tensor::Shape>, numbers: Vec<f64>) -> Tensor {
    Reference.upload(&Array::new(shape, numbers)).unwrap()
}

/// D(x; σ) for a noise level of each image; labels are class after class.
pub fn ask(denoiser: &dyn Denoise, x: &[f64], sigmas: &[f64]) -> Vec<f64> {
    ask_all(&[denoiser], x, sigmas).remove(0)
}

/// The answers of several denoisers in one program.
pub fn ask_all(denoisers: &[&dyn Denoise], x: &[f64], sigmas: &[f64]) -> Vec<Vec<f64>> {
    let n = sigmas.len();
    let shape = tensor::Shape::from([&[n], &denoisers[0].image()[..]].concat());
    let classes = denoisers[0].labels();
    let mut graph = Graph::new();
    let question = question(&mut graph, &shape, classes);
    for (i, denoiser) in denoisers.iter().enumerate() {
        let answer = denoiser.build(&mut graph, &question);
        assert_eq!(*graph.shape(answer), shape);
        graph.output(&i.to_string(), answer);
    }
    let bound = tensor::Bindings::new().tensor("x", &upload(shape, x.to_vec()));
    let bound = bound.tensor("sigma", &upload([n, 1, 1, 1], sigmas.to_vec()));
    let rows = (0..n * classes).map(|i| f64::from(i / classes % classes == i % classes)).collect();
    let bound = bound.tensor("labels", &upload([n, classes], rows));
    let bound = denoisers.iter().fold(bound, |bound, denoiser| bound.extend(&denoiser.bindings()));
    let program = Reference.prepare(compile(graph)).unwrap();
    let mut outputs = Reference.run(&program, &bound).unwrap();
    let answer = |i: usize| outputs.take(&i.to_string()).unwrap();
    (0..denoisers.len()).map(answer).map(|tensor| Reference.download(&tensor).unwrap().f64s()).collect()
}

pub fn question(graph: &mut Graph, shape: &tensor::Shape, classes: usize) -> Question {
    let labels: Option<Value> = (classes > 0).then(|| graph.input("labels", [shape[0], classes]));
    let sigma = graph.input("sigma", [shape[0], 1, 1, 1]);
    Question { x: graph.input("x", shape.clone()), sigma, labels, augment: None, dropout: None }
}
