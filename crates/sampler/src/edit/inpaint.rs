//! Images of which some pixels are known.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoised, Images};
use serde::Deserialize;
use tensor::{Array, Binary, Bindings, Expr, Tensor};

/// Settings of what is known.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inpaint {
    denoised: Wire<Denoised>,
    known: Wire<Images>,
    hole: Hole,
}

/// The pixels that are not known.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Hole {
    /// A rectangle, in pixels.
    Box { top: usize, left: usize, height: usize, width: usize },
    /// Those that are dark, which is below 0, in these images.
    Dark(Wire<Images>),
}

impl Node for Inpaint {
    type Value = Denoised;

    const DOC: &'static str = "Puts known pixels into a denoiser's answer, so that sampling draws the others to fit them.\n\
        On the ODE that is the replacement of Song et al. (2021, appendix I.2): if D is y in a pixel, the solver takes it to \
        y + σ n at every noise level, where n is what the latent has there, and to y in the end; no solver loses its order. \
        The null-space method of Wang et al. (2023, DDNM) comes to the same. With a `Restart` it goes back and forth \
        as RePaint does (Lugmayr et al. 2022), and what is drawn fits better.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("denoised", "the denoiser's answer, of which the hole is kept"),
        ("known", "clean images, one for all or one for each"),
        (
            "hole",
            "what is not known: `Box(top: 4, left: 0, height: 4, width: 8)`, in pixels, or `Dark(\"mask\")`, the pixels \
             below 0 of other images",
        ),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let image = inputs.same("known", self.known, self.denoised)?;
        if let (Some(&[h, w, _]), Hole::Box { top, left, height, width }) = (image.as_deref(), self.hole) {
            let inside = |start: usize, size, all| start.checked_add(size).is_some_and(|end| end <= all);
            if height == 0 || width == 0 || !inside(top, height, h) || !inside(left, width, w) {
                let what =
                    format!("a hole of {height}x{width} pixels at ({top}, {left}) is not in {h}x{w} ones");
                return Err(Mistake::new("hole", what));
            }
        }
        Ok(Shapes::of::<Denoised>(image))
    }
}

/// Puts the known pixels in.
pub fn inpaint(
    this: This<Inpaint>,
    answers: Read<Denoised>,
    images: Read<Images>,
    mut compute: Compute,
) -> Result<Denoised> {
    let (denoised, known) = (answers.get(this.denoised)?, images.get(this.known)?);
    if !known.is_clean() {
        return Err("the known images have noise; wire clean ones".into());
    }
    let mask = match this.hole {
        Hole::Dark(wire) => images.get(wire)?.pixels.clone(),
        hole => compute.upload(&rectangle(hole, denoised.pixels.shape()))?,
    };
    let shape = denoised.pixels.shape();
    for tensor in [&known.pixels, &mask] {
        let found = tensor.shape();
        if !fits(tensor, shape) {
            return Err(format!("images {found} and their hole have to be one or as many as {shape}").into());
        }
    }
    let bindings = Bindings::new().tensor("denoised", &denoised.pixels);
    let bindings = bindings.tensor("known", &known.pixels).tensor("mask", &mask);
    let key = format!("{shape} {} {}", known.pixels.shape(), mask.shape());
    let mut outputs = compute.run(&key, &bindings, |graph| {
        let denoised = graph.input("denoised", shape.clone());
        let known = graph.input("known", known.pixels.shape().clone());
        let mask = graph.input("mask", mask.shape().clone());
        let both =
            graph.map(&[denoised, known, mask], |v| Expr::select(v(2).binary(Binary::Less, 0.0), v(0), v(1)));
        graph.output("both", both);
    })?;
    Ok(Denoised { pixels: outputs.take("both")?, evaluations: denoised.evaluations })
}

/// -1 in the hole and 1 elsewhere, `[1, h, w, 1]`.
fn rectangle(hole: Hole, shape: &tensor::Shape) -> Array {
    let (h, w) = (shape[1], shape[2]);
    let dark = |y: usize, x: usize| match hole {
        Hole::Box { top, left, height, width } => {
            (top..top + height).contains(&y) && (left..left + width).contains(&x)
        }
        Hole::Dark(_) => false,
    };
    let pixels = (0..h * w).map(|at| if dark(at / w, at % w) { -1.0 } else { 1.0 });
    Array::new([1, h, w, 1], pixels.collect::<Vec<f64>>())
}

/// Whether images are one or as many as others, of their size and of one or as many channels.
fn fits(images: &Tensor, shape: &tensor::Shape) -> bool {
    let found = images.shape();
    let one_or = |axis: usize| found[axis] == 1 || found[axis] == shape[axis];
    found.rank() == 4 && found[1..3] == shape[1..3] && one_or(0) && one_or(3)
}
