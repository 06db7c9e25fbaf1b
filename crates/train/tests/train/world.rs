//! A small world to train in: made-up images and a tiny network, on the reference device.

use std::sync::Arc;

use bevy_ecs::message::Messages;
use bevy_ecs::prelude::*;
use philox::{Key, uniform_f64};
use pipeline::{Engine, Inputs, Metric, Mistake, Node, Pipeline, Read, Shapes, This, Wire, keep_plain};
use ports::{
    Architecture, AugmentLabels, AugmentOf, Compute, Denoise, Denoiser, Images, Labels, LabelsOf, Machine,
    Parameters, Query as Question,
};
use serde::{Deserialize, Serialize};
use tensor::{Array, Bindings, Graph, Reference, Shape, Tensor, Value};
use unet::{Precision, SongUNetConfig};

/// A network to train, and everything that training needs.
pub const TRAINING: &str = r#"
    "data": Blobs(batch: 4, classes: 3),
    "sigmas": LogNormal(like: "data"),
    "noisy": Corrupt(images: "data", sigmas: "sigmas"),
    "unet": Net(classes: 3),
    "net": Plain(by: "unet"),
    "grads": Gradient(noisy: "noisy", target: "data", by: "net", labels: "data"),
    "adam": Adam(grads: "grads", of: "unet", rate: 1e-2, rampup_mimg: 20e-6),
    "ema": Ema(of: "adam", halflife_mimg: 8e-6),
    "stop": Until(images: "data", count: 1000),
"#;

/// Made-up images of 4x4 grey pixels.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blobs {
    batch: usize,
    classes: usize,
}

#[derive(Component, Clone, Copy, Serialize, Deserialize)]
pub struct Count(u64);

keep_plain!(Count);

impl Node for Blobs {
    type Value = (Images, Labels, Count);

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(pipeline::Shape::from([4, 4, 1]))
            .and::<Labels>(pipeline::Shape::from([self.classes])))
    }
}

fn blobs(this: This<Blobs>, counts: Query<&Count>, compute: Compute) -> Result<(Images, Labels, Count)> {
    let before = counts.get(this.node()).map_or(0, |count| count.0);
    let end = before + this.batch as u64;
    let row = |step| Key { seed: 9, stream: 200, step }.words();
    let pixels = (before..end).flat_map(|step| (0..16).map(move |at| 2.0 * uniform_f64(row(step), at) - 1.0));
    let pixels = compute.upload(&Array::new([this.batch, 4, 4, 1], pixels.collect::<Vec<_>>()))?;
    let classes: Vec<u32> = (before..end).map(|step| step as u32 % this.classes.max(1) as u32).collect();
    let hot = |class: &u32| {
        (0..this.classes).map(move |at| f64::from(u8::from(at == *class as usize))).collect::<Vec<_>>()
    };
    let rows = compute
        .upload(&Array::new([this.batch, this.classes], classes.iter().flat_map(hot).collect::<Vec<_>>()))?;
    Ok((Images::clean(pixels, before), Labels { rows, classes: Some(classes) }, Count(end)))
}

/// Labels of augmentation, two for each image, as if it had been moved.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    like: Wire<Images>,
}

impl Node for Moved {
    type Value = AugmentLabels;

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<AugmentLabels>(pipeline::Shape::from([2])))
    }
}

fn moved(this: This<Moved>, images: Read<Images>, compute: Compute) -> Result<AugmentLabels> {
    let n = images.get(this.like)?.batch();
    let moves = (0..2 * n).map(|at| at as f64 * 0.3 - 0.5).collect::<Vec<_>>();
    Ok(AugmentLabels(compute.upload(&Array::new([n, 2], moves))?))
}

/// A tiny U-Net.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    classes: usize,
    #[serde(default)]
    augment: usize,
    #[serde(default)]
    precision: Precision,
    #[serde(default = "few")]
    channels: usize,
}

fn few() -> usize {
    4
}

impl Node for Net {
    type Value = Parameters;

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        let shapes = Shapes::of::<Parameters>(pipeline::Shape::from([4, 4, 1]))
            .and::<Labels>(pipeline::Shape::from([self.classes]));
        Ok(shapes.and::<AugmentLabels>((self.augment > 0).then(|| pipeline::Shape::from([self.augment]))))
    }
}

fn net(this: This<Net>, made: Read<Parameters>, compute: Compute) -> Result<Parameters> {
    match made.of(this.node()) {
        Some(made) => Ok(made.clone()),
        None => {
            let conditions = (this.classes, this.augment);
            let made = network(this.channels, conditions, |numbers| compute.upload(numbers))?;
            Ok(Parameters { network: this.precision.of(made.network), ..made })
        }
    }
}

/// A U-Net of 4x4 grey images with random parameters of a size that matters.
pub fn tiny_network(
    conditions: (usize, usize),
    upload: impl Fn(&Array) -> tensor::Result<Tensor>,
) -> Result<Parameters> {
    network(few(), conditions, upload)
}

fn network(
    model_channels: usize,
    (label_dim, augment_dim): (usize, usize),
    upload: impl Fn(&Array) -> tensor::Result<Tensor>,
) -> Result<Parameters> {
    let small = SongUNetConfig {
        label_dim,
        augment_dim,
        model_channels,
        multipliers: vec![1],
        blocks: 1,
        attention: vec![],
        embedding_multiplier: 1,
        ..SongUNetConfig::ddpmpp([4, 4], 1)
    };
    let architecture = Architecture::SongUNet(small);
    let recipe = architecture.recipe();
    let network = architecture.build()?;
    let row = Key { seed: 3, stream: 201, step: 0 }.words();
    // The gaps between parameters hold zeros.
    let mut numbers = vec![0.0; network.layout().len];
    for parameter in &network.layout().parameters {
        let window = numbers.iter_mut().enumerate().skip(parameter.offset).take(parameter.len());
        window.for_each(|(at, number)| *number = uniform_f64(row, at) - 0.5);
    }
    let arena = upload(&Array::new([numbers.len()], numbers))?;
    Ok(Parameters { network, arena, recipe })
}

/// A network as a denoiser, without preconditioning.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {
    by: Wire<Parameters>,
}

impl Node for Plain {
    type Value = Denoiser;

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let (labels, augment) = (inputs.of(LabelsOf(self.by.node())), inputs.of(AugmentOf(self.by.node())));
        Ok(Shapes::of::<Denoiser>(inputs.of(self.by)).and::<Labels>(labels).and::<AugmentLabels>(augment))
    }
}

fn plain(this: This<Plain>, parameters: Read<Parameters>) -> Result<Denoiser> {
    Ok(Denoiser(Arc::new(Raw(parameters.get(this.by)?.clone()))))
}

/// D(x; σ) = x / 2 + F(x; σ).
pub struct Raw(pub Parameters);

impl Denoise for Raw {
    fn image(&self) -> Shape {
        self.0.network.image().into()
    }

    fn labels(&self) -> usize {
        self.0.network.label_dim()
    }

    fn augment(&self) -> usize {
        self.0.network.augment_dim()
    }

    fn build(&self, graph: &mut Graph, query: &Question) -> Value {
        let layout = self.0.network.layout();
        let arena = graph.input("parameters", [layout.len]);
        let parameters = unet::Parameters::windows(graph, arena, layout);
        let n = graph.shape(query.x)[0];
        let noise = graph.reshape(query.sigma, [n]);
        let Question { x, labels, augment, dropout, .. } = *query;
        let f =
            self.0.network.build(graph, &parameters, &unet::Inputs { x, noise, labels, augment, dropout });
        graph.map(&[x, f], |v| v(0) * 0.5 + v(1))
    }

    fn bindings(&self) -> Bindings {
        Bindings::new().tensor("parameters", &self.0.arena)
    }

    fn trainable(&self) -> Option<(&str, &Parameters)> {
        Some(("parameters", &self.0))
    }

    fn recipe(&self) -> Option<String> {
        Some("Raw".into())
    }
}

/// Wires nodes, or says what is wrong with them.
pub fn engine(nodes: &str) -> Result<Engine, String> {
    let mut engine = Engine::default().with(ports::plugin).with(mollify_train::plugin);
    engine.node::<Moved, _>(moved).node::<Blobs, _>(blobs).node::<Net, _>(net).node::<Plain, _>(plain);
    engine.keep::<Count>();
    engine.world.insert_resource(Machine(Arc::new(Reference)));
    let pipeline =
        Pipeline::read("test.ron", &format!("(nodes: {{{nodes}}})"), &[]).map_err(|r| r.to_string())?;
    engine.wire(&pipeline).map_err(|report| report.to_string())?;
    Ok(engine)
}

/// What is wrong with nodes, while wiring or in the first tick.
pub fn mistake(nodes: &str) -> String {
    match engine(nodes) {
        Err(report) => report,
        Ok(mut engine) => engine.tick().expect_err("a mistake").to_string(),
    }
}

/// Runs ticks and collects the metrics they tell.
pub fn ticks(engine: &mut Engine, count: usize) -> Vec<Metric> {
    let mut told = Vec::new();
    for _ in 0..count {
        engine.tick().unwrap_or_else(|failure| panic!("{failure}"));
        told.extend(engine.world.resource_mut::<Messages<Metric>>().drain());
    }
    told
}

pub fn named(metrics: &[Metric], name: &str) -> Vec<f64> {
    metrics.iter().filter(|metric| metric.name == name).map(|metric| metric.value).collect()
}

pub fn numbers(engine: &Engine, tensor: &Tensor) -> Vec<f64> {
    engine.world.resource::<Machine>().0.download(tensor).expect("numbers").f64s()
}

pub fn weights(engine: &Engine, node: &str) -> Vec<f64> {
    numbers(engine, &engine.value::<Parameters>(node).expect("parameters").arena)
}
