//! The best denoiser there can be of a finite set of images.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoise, Denoiser, Images, Labels, Query as Question};
use serde::Deserialize;
use tensor::{Array, Bindings, Graph, Shape, Tensor, Value};

/// Settings of the ideal denoiser.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ideal {
    images: Wire<Images>,
}

impl Node for Ideal {
    type Value = Denoiser;

    const DOC: &'static str = "The ideal denoiser of a finite set of images: their mean, \
        the nearer the weightier.\n\
        The set is the first batch on the wire; `Digits(batch: 1797)` brings all digits.";

    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("images", "clean images, whose first batch is the whole set")];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Denoiser>(inputs.of(self.images)).and::<Labels>(pipeline::Shape::from([0])))
    }
}

/// Takes the first batch as the set.
pub fn ideal(
    this: This<Ideal>,
    images: Read<Images>,
    made: Read<Denoiser>,
    names: Query<&Name>,
    compute: Compute,
) -> Result<Denoiser> {
    if let Some(made) = made.of(this.node()) {
        return Ok(made.clone());
    }
    let images = images.get(this.images)?;
    if !images.is_clean() {
        return Err("the images of the set have noise; wire clean ones".into());
    }
    let shape = images.pixels.shape();
    let pixels = compute.download(&images.pixels)?.f64s();
    // A batch is shuffled anew whenever a run goes on, and sums depend on the order.
    let size = shape[1..].iter().product();
    let mut rows: Vec<&[f64]> = pixels.chunks_exact(size).collect();
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let points = compute.upload(&Array::new([rows.len(), size], rows.concat()))?;
    Ok(Denoiser(Arc::new(IdealDenoiser::new(names.get(this.node())?, (&shape[1..]).into(), points))))
}

/// D(x; σ) of a finite set of images.
#[derive(Clone)]
pub struct IdealDenoiser {
    /// The input that holds the set.
    input: String,
    image: Shape,
    points: Tensor,
    /// The standard deviation of the data around each point.
    std: f64,
}

impl IdealDenoiser {
    /// `points` is the set, `[k, h·w·c]`; `name` tells its inputs from those of other denoisers: the node's
    /// name.
    pub fn new(name: &str, image: Shape, points: Tensor) -> Self {
        Self { input: format!("{name}.points"), image, points, std: 0.0 }
    }

    /// The ideal denoiser of normal data around each point of the set.
    pub fn around(self, std: f64) -> Self {
        Self { std, ..self }
    }
}

impl Denoise for IdealDenoiser {
    fn image(&self) -> Shape {
        self.image.clone()
    }

    fn labels(&self) -> usize {
        0
    }

    fn build(&self, graph: &mut Graph, query: &Question) -> Value {
        let points = graph.input(&self.input, self.points.shape().clone());
        if self.std == 0.0 {
            return ideal_denoiser(graph, points, query.x, query.sigma);
        }
        // Noise and data together are normal around the points, and what they are off is shared out by variance.
        let variance = self.std * self.std;
        let whole = graph.map(&[query.sigma], |v| (v(0).square() + variance).sqrt());
        let mean = ideal_denoiser(graph, points, query.x, whole);
        graph.map(&[query.x, query.sigma, mean], |v| {
            (v(0) * variance + v(2) * v(1).square()) / (v(1).square() + variance)
        })
    }

    fn bindings(&self) -> Bindings {
        Bindings::new().tensor(&self.input, &self.points)
    }
}

/// Σ_k w_k y_k over the points `[k, d]`, where w = softmax(-|x - y|² / 2σ²) (figure 1b). Distances are sums
/// of squared differences: an expanded square would lose what tells near points apart at low noise.
pub fn ideal_denoiser(graph: &mut Graph, points: Value, x: Value, sigma: Value) -> Value {
    let shape = graph.shape(x).clone();
    let [k, d] = [graph.shape(points)[0], graph.shape(points)[1]];
    let n = shape[0];
    let images = graph.reshape(x, [n, 1, d]);
    let squares = graph.map(&[images, points], |v| (v(0) - v(1)).square());
    let distances = graph.sum(squares, &[2]);
    let distances = graph.reshape(distances, [n, k]);
    let sigma = graph.reshape(sigma, [n, 1]);
    let logits = graph.map(&[distances, sigma], |v| -(v(0) / (v(1).square() * 2.0)));
    let weights = graph.softmax(logits);
    let mean = graph.matmul(weights, points);
    graph.reshape(mean, shape)
}
