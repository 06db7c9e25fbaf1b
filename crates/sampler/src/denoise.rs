//! What a denoiser makes of noisy images.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Note, Read, Shapes, This, Wire};
use ports::{
    Compute, Denoised, Denoiser, Explain, Fact, Images, Labels, Others, Query as Question, Sigma,
    check_labels, label_rows,
};
use serde::Deserialize;
use tensor::{Graph, Shape};

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
    let (n, shape) = (x.batch(), x.pixels.shape());
    let denoiser = denoisers.get(this.by)?.0.as_ref();
    if shape[1..] != denoiser.image()[..] {
        let image = Shape::from(&shape[1..]);
        return Err(format!("the images are {image}, but the denoiser takes {}", denoiser.image()).into());
    }
    let labels = label_rows(denoiser, labels.maybe(this.labels)?, n)?;
    let part = match x.sigma {
        Sigma::Same(sigma) => denoiser.at(sigma),
        Sigma::Each(_) => None,
    };
    let part = part.unwrap_or(denoiser);
    let sigma = compute.levels(&x.sigma, n)?;
    let scaled = x.scale() != 1.0;
    // Parts of one denoiser differ in what they cost.
    let evaluations = part.evaluations();
    let key = format!("{shape} {evaluations} {scaled}");
    let build = |graph: &mut Graph, n| ask(graph, part, &shape.with(0, n), labels.is_some(), scaled);
    let mut denoised = Vec::new();
    let parts = compute.parts(&key, n, None, build)?;
    if own.get(this.node()).is_err() {
        Compute::tell_parts(n, &parts, &mut notes);
    }
    for range in parts {
        let bindings = part.bindings().tensor("x", &x.pixels.rows(range.clone()));
        let mut bindings = bindings.tensor("sigma", &sigma.rows(range.clone()));
        if let Some(rows) = labels {
            bindings = bindings.tensor("labels", &rows.rows(range.clone()));
        }
        if scaled {
            bindings = bindings.scalar("scale", x.scale());
        }
        denoised.push(compute.run_part(&key, range.len(), &bindings, build)?.take("denoised")?);
    }
    Ok(Denoised { pixels: compute.join(&denoised)?, evaluations })
}

/// The graph of D(x / s; σ) for images of this shape.
fn ask(graph: &mut Graph, denoiser: &dyn ports::Denoise, shape: &Shape, labels: bool, scaled: bool) {
    let n = shape[0];
    let (x, sigma) = (graph.input("x", shape.clone()), graph.input("sigma", [n]));
    let x = match scaled {
        true => {
            let scale = graph.scalar("scale");
            graph.map(&[x, scale], |v| v(0) / v(1))
        }
        false => x,
    };
    let query = Question {
        x,
        sigma: graph.reshape(sigma, [n, 1, 1, 1]),
        labels: labels.then(|| graph.input("labels", [n, denoiser.labels()])),
        augment: None,
        dropout: None,
    };
    let denoised = denoiser.build(graph, &query);
    graph.output("denoised", denoised);
}
