//! Noise levels of a batch from uniform numbers, one for each image.

use philox::stream;
use ports::{Compute, Images, Sigmas};
use tensor::{Distribution, Graph, Result, Value};

use crate::sample_keys::sample_keys;

/// A number in (0, 1) for each image of a batch, `[n]`, told from both ends: near 1, few digits are left of how
/// much is missing.
#[derive(Clone, Copy)]
pub(crate) struct Uniforms {
    pub from_0: Value,
    /// What is missing to 1.
    pub to_1: Value,
}

impl Uniforms {
    /// Draws them from the images' `keys`. Stratified, image i of n gets a number between i / n and (i + 1) / n.
    pub fn draw(graph: &mut Graph, n: usize, stratified: bool) -> Self {
        let keys = graph.keys("keys", n);
        let from_0 = graph.random(Distribution::Uniform, keys, 0, [n]);
        let to_1 = graph.map(&[from_0], |v| -v(0) + 1.0);
        if !stratified {
            return Self { from_0, to_1 };
        }
        let mut inside = |share: Value, place: fn(usize, usize) -> usize| {
            let before = graph.table((0..n).map(|i| place(i, n) as f64).collect(), [n]);
            graph.map(&[before, share], |v| (v(0) + v(1)) * (1.0 / n as f64))
        };
        Self { from_0: inside(from_0, |i, _| i), to_1: inside(to_1, |i, n| n - 1 - i) }
    }
}

/// Draws a noise level for each image by a graph that reads the `keys` of the draws and makes `sigma`.
pub(crate) fn draw_levels(
    images: &Images,
    seed: u64,
    compute: &mut Compute,
    graph: impl FnOnce(&mut Graph, usize),
) -> Result<Sigmas> {
    let n = images.batch();
    let keys = sample_keys(images, seed, stream::SIGMA, compute)?;
    let bindings = tensor::Bindings::new().tensor("keys", &keys);
    let mut made = compute.run(&n.to_string(), &bindings, |to| graph(to, n))?;
    Ok(Sigmas(made.take("sigma")?))
}
