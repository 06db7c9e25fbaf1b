//! Ways between latents.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shape, Shapes, This, Wire};
use ports::{Compute, Images, Labels, Sigma};
use serde::Deserialize;
use tensor::{Array, Bindings, Graph, Tensor, Value};

/// Settings of the interpolation.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slerp {
    x: Wire<Images>,
    #[serde(default)]
    labels: Option<Wire<Labels>>,
    images: usize,
}

impl Node for Slerp {
    type Value = (Images, Labels);

    const DOC: &'static str = "Goes from the first latent of a batch to the second, from the third to the fourth, and on, by \
        spherical interpolation (Shoemake 1985), which keeps the length that noise has.\n\
        Each pair becomes so many images in a row, of which the first and last are the pair. Labels are mixed in the \
        same shares.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "an even number of latents: what a `Trajectory` up the time steps ends with, or `Latents`"),
        ("labels", "their labels, which become those of the images between"),
        ("images", "how many images a pair becomes, both ends included, at least 2"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.images >= 2 {
            return Ok(());
        }
        Err(Mistake::new("images", format!("`images` is {}, expected 2 or more", self.images)))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let labels = self.labels.map_or(Some(Shape::from([0])), |labels| inputs.of(labels));
        Ok(Shapes::of::<Images>(inputs.of(self.x)).and::<Labels>(labels))
    }
}

/// What to take of two latents at the share `t` of the way between them, where θ is the angle between:
/// sin((1 - t) θ) / sin θ and sin(t θ) / sin θ.
pub fn slerp_weights(theta: f64, t: f64) -> [f64; 2] {
    let over = theta.sin();
    // On one line, in whatever direction, no arc is the shortest.
    if over.abs() < 1e-6 {
        return [1.0 - t, t];
    }
    [((1.0 - t) * theta).sin() / over, (t * theta).sin() / over]
}

/// Goes from latent to latent.
pub fn slerp(
    this: This<Slerp>,
    images: Read<Images>,
    labels: Read<Labels>,
    mut compute: Compute,
) -> Result<(Images, Labels)> {
    let x = images.get(this.x)?;
    let n = x.batch();
    if n == 0 || n % 2 == 1 {
        return Err(format!("there are {n} images, which do not make pairs; take an even batch").into());
    }
    if !matches!(x.sigma, Sigma::Same(_)) {
        return Err("the images have a noise level each; wire latents, which have the same".into());
    }
    let share = |at: usize| at as f64 / (this.images - 1) as f64;
    let angles = angles(&x.pixels, &mut compute)?;
    let arcs = angles.iter().flat_map(|theta| (0..this.images).map(|at| slerp_weights(*theta, share(at))));
    let pixels = mix(&x.pixels, &arcs.collect::<Vec<_>>(), &mut compute)?;
    let rows = match labels.maybe(this.labels)?.filter(|labels| labels.rows.shape()[1] > 0) {
        Some(labels) if labels.rows.shape()[0] == n => {
            let lines = angles.iter().flat_map(|_| (0..this.images).map(|at| [1.0 - share(at), share(at)]));
            mix(&labels.rows, &lines.collect::<Vec<_>>(), &mut compute)?
        }
        Some(labels) => return Err(format!("the labels are {} for {n} images", labels.rows.shape()).into()),
        None => compute.upload(&Array::new([n / 2 * this.images, 0], Vec::<f64>::new()))?,
    };
    Ok((Images { pixels, ..x.clone() }, Labels { rows, classes: None }))
}

/// The angle between the latents of each pair.
fn angles(pixels: &Tensor, compute: &mut Compute) -> Result<Vec<f64>> {
    let shape = pixels.shape();
    let bindings = Bindings::new().tensor("x", pixels);
    let mut outputs = compute.run(&format!("angles {shape}"), &bindings, |graph| {
        let [a, b] = pairs(graph, shape);
        for (name, [left, right]) in [("aa", [a, a]), ("bb", [b, b]), ("ab", [a, b])] {
            let product = graph.mul(left, right);
            let sum = graph.sum(product, &[2]);
            let sum = graph.reshape(sum, [shape[0] / 2]);
            graph.output(name, sum);
        }
    })?;
    let mut read = |name: &str| compute.download(&outputs.take(name)?).map(|array| array.f64s());
    let (aa, bb, ab) = (read("aa")?, read("bb")?, read("ab")?);
    let cosine = |i: usize| ab[i] / (aa[i] * bb[i]).sqrt().max(f64::MIN_POSITIVE);
    Ok((0..ab.len()).map(|i| cosine(i).clamp(-1.0, 1.0).acos()).collect())
}

/// The firsts and the seconds of the pairs of `x`, each `[n / 2, 1, size]`.
fn pairs(graph: &mut Graph, shape: &tensor::Shape) -> [Value; 2] {
    let x = graph.input("x", shape.clone());
    let x = graph.reshape(x, [shape[0] / 2, 2, shape.len() / shape[0]]);
    [0, 1].map(|at| graph.slice(x, 1, at..at + 1))
}

/// Weighted sums of each pair of rows, as many as there are weights of a pair.
fn mix(rows: &Tensor, weights: &[[f64; 2]], compute: &mut Compute) -> Result<Tensor> {
    let shape = rows.shape();
    let count = weights.len() / (shape[0] / 2);
    let column = |of: usize| {
        let weights = weights.iter().map(|pair| pair[of]).collect::<Vec<_>>();
        compute.upload(&Array::new([shape[0] / 2, count, 1], weights))
    };
    let bindings = Bindings::new().tensor("x", rows).tensor("of a", &column(0)?).tensor("of b", &column(1)?);
    let mut outputs = compute.run(&format!("mix {shape} {count}"), &bindings, |graph| {
        let [a, b] = pairs(graph, shape);
        let [of_a, of_b] = ["of a", "of b"].map(|name| graph.input(name, [shape[0] / 2, count, 1]));
        let mixed = graph.map(&[a, b, of_a, of_b], |v| v(0) * v(2) + v(1) * v(3));
        let mixed = graph.reshape(mixed, shape.with(0, weights.len()));
        graph.output("mixed", mixed);
    })?;
    Ok(outputs.take("mixed")?)
}
