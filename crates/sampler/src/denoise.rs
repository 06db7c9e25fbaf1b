//! What a denoiser makes of noisy images.

use std::ops::Range;

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Note, Read, Shapes, This, Wire};
use ports::{
    Compute, Denoised, Denoiser, Explain, Fact, Images, Labels, Others, Query as Question, Sigma,
    check_labels, label_rows,
};
use serde::Deserialize;
use tensor::{Bindings, Graph, Shape, Tensor, Value};

/// Settings of a question to a denoiser.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denoise {
    x: Wire<Images>,
    by: Wire<Denoiser>,
    #[serde(default)]
    labels: Option<Wire<Labels>>,
}

impl Node for Denoise {
    type Value = Denoised;

    const DOC: &'static str = "Asks a denoiser for D(x; σ), the clean images behind noisy ones.\n\
        Clean images (σ = 0) are their own answer, and the denoiser is not asked.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the noisy images, of one noise level or of a level each"),
        ("by", "the denoiser"),
        ("labels", "what the images shall show, for a denoiser that takes labels"),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        check_labels(inputs, self.by, self.labels)?;
        Ok(Shapes::of::<Denoised>(inputs.same("x", self.x, self.by)?))
    }
}

impl Explain for Denoise {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        vec![Fact::After(self.x.node()), Fact::Asks(self.by.node())]
    }
}

/// Asks the denoiser, in evaluation: without dropout.
pub fn denoise(
    this: This<Denoise>,
    images: Read<Images>,
    denoisers: Read<Denoiser>,
    labels: Read<Labels>,
    own: Query<&Denoised>,
    mut notes: MessageWriter<Note>,
    mut compute: Compute,
) -> Result<Denoised> {
    let x = images.get(this.x)?;
    if x.is_clean() {
        return Ok(Denoised { pixels: x.pixels.clone(), evaluations: 0 });
    }
    let denoiser = denoisers.get(this.by)?.0.as_ref();
    let asked = Asked::new(x, denoiser, labels.maybe(this.labels)?, &compute)?;
    let (n, key) = (x.batch(), asked.key());
    let build = |graph: &mut Graph, n| {
        let (_, denoised) = asked.build(graph, n);
        graph.output("denoised", denoised);
    };
    let mut denoised = Vec::new();
    let parts = compute.parts(&key, n, None, build)?;
    if own.get(this.node()).is_err() {
        Compute::tell_parts(n, &parts, &mut notes);
    }
    for range in parts {
        let bindings = asked.bindings(range.clone());
        denoised.push(compute.run_part(&key, range.len(), &bindings, build)?.take("denoised")?);
    }
    Ok(Denoised { pixels: compute.join(&denoised)?, evaluations: asked.evaluations() })
}

/// A question about a batch of images, which may go through the device in parts.
pub(crate) struct Asked<'a> {
    x: &'a Images,
    by: &'a dyn ports::Denoise,
    labels: Option<&'a Tensor>,
    sigma: Tensor,
}

impl<'a> Asked<'a> {
    /// Asks the part of a denoiser that is enough at the noise level of the images.
    pub(crate) fn new(
        x: &'a Images,
        denoiser: &'a dyn ports::Denoise,
        labels: Option<&'a Labels>,
        compute: &Compute,
    ) -> Result<Self> {
        let shape = x.pixels.shape();
        if shape[1..] != denoiser.image()[..] {
            let (found, image) = (Shape::from(&shape[1..]), denoiser.image());
            return Err(format!("the images are {found}, but the denoiser takes {image}").into());
        }
        let labels = label_rows(denoiser, labels, x.batch())?;
        let part = match x.sigma {
            Sigma::Same(sigma) => denoiser.at(sigma),
            Sigma::Each(_) => None,
        };
        let sigma = compute.levels(&x.sigma, x.batch())?;
        Ok(Asked { x, by: part.unwrap_or(denoiser), labels, sigma })
    }

    /// How many evaluations of networks an answer takes.
    pub(crate) fn evaluations(&self) -> usize {
        self.by.evaluations()
    }

    /// What tells programs apart. Parts of one denoiser differ in what they cost.
    pub(crate) fn key(&self) -> String {
        format!("{} {} {}", self.x.pixels.shape(), self.evaluations(), self.is_scaled())
    }

    fn is_scaled(&self) -> bool {
        self.x.scale() != 1.0
    }

    /// What the graph for some of the images reads.
    pub(crate) fn bindings(&self, range: Range<usize>) -> Bindings {
        let bindings = self.by.bindings().tensor("x", &self.x.pixels.rows(range.clone()));
        let mut bindings = bindings.tensor("sigma", &self.sigma.rows(range.clone()));
        if let Some(rows) = self.labels {
            bindings = bindings.tensor("labels", &rows.rows(range));
        }
        if self.is_scaled() {
            bindings = bindings.scalar("scale", self.x.scale());
        }
        bindings
    }

    /// The graph for `n` of the images: y = x / s, and D(y; σ).
    pub(crate) fn build(&self, graph: &mut Graph, n: usize) -> (Value, Value) {
        let x = graph.input("x", self.x.pixels.shape().with(0, n));
        let sigma = graph.input("sigma", [n]);
        let x = match self.is_scaled() {
            true => {
                let scale = graph.scalar("scale");
                graph.map(&[x, scale], |v| v(0) / v(1))
            }
            false => x,
        };
        let query = Question {
            x,
            sigma: graph.reshape(sigma, [n, 1, 1, 1]),
            labels: self.labels.map(|_| graph.input("labels", [n, self.by.labels()])),
            augment: None,
            dropout: None,
        };
        (x, self.by.build(graph, &query))
    }
}
