//! The layers that read labels.

use tensor::{Binary, Distribution, Expr, Value};

use crate::{Forward, Inputs, Layout, Linear, Start};

/// No dropout layer has this lane: a block's lane counts the parameters before it.
const LABEL_LANE: u32 = 0;

/// A layer that maps the labels of images, and loses some of them in training.
#[derive(Clone, Debug)]
pub(crate) struct LabelMap {
    linear: Linear,
    dim: usize,
    /// What labels are multiplied by.
    scale: f64,
    dropout: f64,
}

impl LabelMap {
    /// A layer for labels of `dim` numbers, or none for none.
    pub fn new(
        layout: &mut Layout,
        dim: usize,
        out: usize,
        dropout: f64,
        bias: bool,
        start: Start,
    ) -> Option<Self> {
        (dim > 0).then(|| LabelMap {
            linear: Linear::new(layout, "map_label", dim, out, bias, start),
            dim,
            scale: 1.0,
            dropout,
        })
    }

    pub fn scaled(self, scale: f64) -> Self {
        LabelMap { scale, ..self }
    }

    /// Adds what it makes of the labels to `x [n, out]`; without labels it sees zeros.
    pub fn add(&self, forward: &mut Forward, x: Value, inputs: &Inputs) -> Value {
        let graph = &mut *forward.graph;
        let n = graph.shape(inputs.noise).len();
        let labels = match (inputs.labels, inputs.dropout) {
            (None, _) => graph.table(vec![0.0; n * self.dim], [n, self.dim]),
            (Some(labels), Some(keys)) if self.dropout > 0.0 => {
                let scaled = graph.scale(labels, self.scale);
                let draw = graph.random(Distribution::Uniform, keys, LABEL_LANE, [n, 1]);
                graph.map(&[scaled, draw], |v| {
                    let lost = v(1).binary(Binary::Less, self.dropout);
                    Expr::select(lost, 0.0, v(0))
                })
            }
            (Some(labels), _) => graph.scale(labels, self.scale),
        };
        let mapped = self.linear.build(forward, labels);
        forward.graph.add(x, mapped)
    }
}

/// A layer that maps the labels of the augmentation.
#[derive(Clone, Debug)]
pub(crate) struct AugmentMap(Linear);

impl AugmentMap {
    /// A layer for labels of `dim` numbers, or none for none.
    pub fn new(layout: &mut Layout, dim: usize, out: usize, start: Start) -> Option<Self> {
        (dim > 0).then(|| AugmentMap(Linear::new(layout, "map_augment", dim, out, false, start)))
    }

    /// Adds what it makes of the labels to `x [n, out]`, if there are any.
    pub fn add(&self, forward: &mut Forward, x: Value, inputs: &Inputs) -> Value {
        let Some(labels) = inputs.augment else { return x };
        let mapped = self.0.build(forward, labels);
        forward.graph.add(x, mapped)
    }
}
