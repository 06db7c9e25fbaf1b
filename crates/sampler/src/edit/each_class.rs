//! The same images under every label.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shape, Shapes, This, Wire};
use ports::{Compute, Images, Labels, Sigma};
use serde::Deserialize;
use tensor::{Array, Bindings};

/// Settings of the labels.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EachClass {
    x: Wire<Images>,
    classes: usize,
}

impl Node for EachClass {
    type Value = (Images, Labels);

    const DOC: &'static str = "Every image once for each class, with that class as its label.\n\
        Latents that are decoded so show what a network takes from the latent and what from the label.";

    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("x", "latents, or other images"), ("classes", "how many classes there are")];

    fn check(&self) -> Result<(), Mistake> {
        if self.classes > 0 {
            return Ok(());
        }
        Err(Mistake::new("classes", "`classes` must be at least 1, not 0"))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let labels = Shape::from([self.classes]);
        Ok(Shapes::of::<Images>(inputs.of(self.x)).and::<Labels>(labels))
    }
}

/// Repeats the images and labels them.
pub fn each_class(
    this: This<EachClass>,
    images: Read<Images>,
    mut compute: Compute,
) -> Result<(Images, Labels)> {
    let x = images.get(this.x)?;
    if !matches!(x.sigma, Sigma::Same(_)) {
        return Err("the images have a noise level each; wire some that have the same".into());
    }
    let (shape, n, classes) = (x.pixels.shape(), x.batch(), this.classes);
    let bindings = Bindings::new().tensor("x", &x.pixels);
    let mut outputs = compute.run(&shape.to_string(), &bindings, |graph| {
        let (x, size) = (graph.input("x", shape.clone()), shape.len() / n.max(1));
        let x = graph.reshape(x, [n, 1, size]);
        let x = graph.broadcast(x, [n, classes, size]);
        let x = graph.reshape(x, shape.with(0, n * classes));
        graph.output("x", x);
    })?;
    let of_each = (0..n).flat_map(|_| 0..classes as u32).collect::<Vec<_>>();
    let mut rows = vec![0.0; of_each.len() * classes];
    for (row, class) in rows.chunks_exact_mut(classes).zip(&of_each) {
        row[*class as usize] = 1.0;
    }
    let rows = compute.upload(&Array::new([n * classes, classes], rows))?;
    let labels = Labels { rows, classes: Some(of_each) };
    Ok((Images { pixels: outputs.take("x")?, ..x.clone() }, labels))
}
