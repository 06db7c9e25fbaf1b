//! Pipelines small enough to know what comes out: denoisers in closed form, on the reference device.

use std::collections::BTreeMap;
use std::sync::Arc;

use bevy_ecs::message::Messages;
use bevy_ecs::prelude::*;
use pipeline::{Constant, Engine, Inputs, Metric, Mistake, Node, Pipeline, Report, Shape, Shapes, This};
use ports::{Compute, Denoise, Denoiser, Images, Labels, Machine, Query as Question, Seeds, Sigma, Step};
use serde::Deserialize;
use tensor::{Array, Bindings, Device, Graph, Reference, Unary, Value};

/// The denoiser of images that are normal noise themselves, around a mean.
#[derive(Component, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Normal {
    std: f64,
    image: (usize, usize, usize),
    /// Takes labels: the mean is the number of the class.
    #[serde(default)]
    classes: usize,
    #[serde(default)]
    sigma_min: f64,
    /// Knows noise levels that are powers of this only, as a network of iDDPM knows some only.
    #[serde(default)]
    powers: Option<f64>,
}

impl Node for Normal {
    type Value = Denoiser;

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        let (h, w, c) = self.image;
        Ok(Shapes::of::<Denoiser>(Shape::from([h, w, c])).and::<Labels>(Shape::from([self.classes])))
    }
}

impl Denoise for Normal {
    fn image(&self) -> tensor::Shape {
        let (h, w, c) = self.image;
        [h, w, c].into()
    }

    fn labels(&self) -> usize {
        self.classes
    }

    fn sigma_range(&self) -> (f64, f64) {
        (self.sigma_min, f64::INFINITY)
    }

    fn round_sigma(&self, sigma: f64) -> f64 {
        self.powers.map_or(sigma, |base| base.powf(sigma.log(base).round()))
    }

    fn build(&self, graph: &mut Graph, query: &Question) -> Value {
        let variance = self.std * self.std;
        let mean = match query.labels {
            Some(labels) => {
                let numbers =
                    graph.table((0..self.classes).map(|class| class as f64).collect(), [self.classes, 1]);
                let mean = graph.matmul(labels, numbers);
                let n = graph.shape(mean)[0];
                graph.reshape(mean, [n, 1, 1, 1])
            }
            None => graph.table(vec![0.0], [1, 1, 1, 1]),
        };
        graph.map(&[query.x, query.sigma, mean], |v| {
            v(2) + (v(0) - v(2)) * variance / (v(1).square() + variance)
        })
    }

    fn bindings(&self) -> Bindings {
        Bindings::new()
    }
}

/// The ideal denoiser of points in the plane.
#[derive(Component, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Points {
    at: Vec<(f64, f64)>,
}

impl Node for Points {
    type Value = Denoiser;

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Denoiser>(Shape::from([1, 1, 2])))
    }
}

impl Denoise for Points {
    fn image(&self) -> tensor::Shape {
        [1, 1, 2].into()
    }

    fn labels(&self) -> usize {
        0
    }

    fn build(&self, graph: &mut Graph, query: &Question) -> Value {
        let shape = graph.shape(query.x).clone();
        let points = graph.table(self.at.iter().flat_map(|(x, y)| [*x, *y]).collect(), [self.at.len(), 2]);
        let x = graph.reshape(query.x, [shape[0], 1, 2]);
        let squares = graph.map(&[x, points], |v| (v(0) - v(1)).square());
        let distances = graph.sum(squares, &[2]);
        let distances = graph.reshape(distances, [shape[0], self.at.len()]);
        let sigma = graph.reshape(query.sigma, [shape[0], 1]);
        let logits = graph.map(&[distances, sigma], |v| -v(0) / (v(1).square() * 2.0));
        let weights = graph.softmax(logits);
        let mean = graph.matmul(weights, points);
        graph.reshape(mean, shape)
    }

    fn bindings(&self) -> Bindings {
        Bindings::new()
    }
}

/// The denoiser of one pixel from two normal distributions around -1 and 1.
#[derive(Component, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Mixture {
    std: f64,
}

impl Node for Mixture {
    type Value = Denoiser;

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Denoiser>(Shape::from([1, 1, 1])))
    }
}

impl Denoise for Mixture {
    fn image(&self) -> tensor::Shape {
        [1, 1, 1].into()
    }

    fn labels(&self) -> usize {
        0
    }

    fn build(&self, graph: &mut Graph, query: &Question) -> Value {
        let own = self.std * self.std;
        graph.map(&[query.x, query.sigma], |v| {
            let all = v(1).square() + own;
            // The odds of the two are exp(2 x / (σ² + s²)).
            let right = (v(0) * 2.0 / all.clone()).unary(Unary::Sigmoid);
            let mean = right * 2.0 - 1.0;
            mean.clone() + (v(0) - mean) * own / all
        })
    }

    fn bindings(&self) -> Bindings {
        Bindings::new()
    }
}

/// Images of one pixel, of one channel unless given, of one noise level or of a level each.
#[derive(Component, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noisy {
    pixels: Vec<f64>,
    levels: Vec<f64>,
    #[serde(default = "one")]
    channels: usize,
}

fn one() -> usize {
    1
}

impl Node for Noisy {
    type Value = Images;

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        // Images of one channel keep their shape to themselves, for tests of what is found out only when they come.
        let shape = (self.channels > 1).then(|| Shape::from([1, 1, self.channels]));
        Ok(Shapes::of::<Images>(shape))
    }
}

fn noisy(this: This<Noisy>, compute: Compute) -> Result<Images> {
    let shape = [this.pixels.len() / this.channels, 1, 1, this.channels];
    let pixels = compute.upload(&Array::new(shape, this.pixels.clone()))?;
    let sigma = match this.levels[..] {
        [level] => Sigma::Same(level),
        _ => Sigma::Each(compute.upload(&Array::new([this.levels.len()], this.levels.clone()))?),
    };
    Ok(Images { sigma, ..Images::clean(pixels, 0) })
}

fn kinds(engine: &mut Engine) {
    engine.node::<Noisy, _>(noisy);
    engine.node::<Normal, _>(|this: This<Normal>| Denoiser(Arc::new(this.clone())));
    engine.node::<Mixture, _>(|this: This<Mixture>| Denoiser(Arc::new(this.clone())));
    engine.node::<Points, _>(|this: This<Points>| Denoiser(Arc::new(this.clone())));
    engine.world.insert_resource(Machine(Arc::new(Reference)));
}

/// An engine that is wired with a pipeline.
pub fn wire(text: &str, settings: &[&str]) -> Result<Engine, Report> {
    let mut engine = Engine::default().with(ports::plugin).with(mollify_sampler::plugin).with(kinds);
    engine.wire(&Pipeline::read("small.ron", text, settings)?)?;
    Ok(engine)
}

/// What the only mistake in a pipeline is, with its help.
pub fn mistake(text: &str, settings: &[&str]) -> String {
    let report = wire(text, settings).err().expect("a mistake");
    let said: Vec<_> =
        report.errors.iter().map(|e| format!("{}; {}", e.what, e.help.clone().unwrap_or_default())).collect();
    said.join("\n")
}

/// The images that a run ends with, by seed, and its metrics.
pub struct Samples {
    pub images: BTreeMap<u64, Vec<f64>>,
    pub nfe: Vec<f64>,
}

/// Runs to the end and collects what `node` made of every batch.
pub fn sample(engine: &mut Engine, node: &str) -> Samples {
    let mut samples = Samples { images: BTreeMap::new(), nfe: Vec::new() };
    while !engine.is_finished() {
        engine.tick().unwrap();
        let told = engine.world.resource::<Messages<Metric>>().iter_current_update_messages();
        samples.nfe.extend(told.filter(|metric| metric.name == "nfe").map(|metric| metric.value));
        if engine.value::<Step>("x").is_some_and(Step::is_last) {
            let pixels = numbers(engine, node);
            let ids = &engine.value::<Seeds>("seeds").unwrap().ids;
            let rows = pixels.chunks_exact(pixels.len() / ids.len());
            samples.images.extend(ids.iter().copied().zip(rows.map(<[f64]>::to_vec)));
        }
    }
    samples
}

/// The numbers of a node's images.
pub fn numbers(engine: &Engine, node: &str) -> Vec<f64> {
    Reference.download(&engine.value::<Images>(node).unwrap().pixels).unwrap().f64s()
}
