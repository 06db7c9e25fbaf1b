//! The noise of SDE solvers: increments of a Brownian path that each seed has over all noise levels.

use bevy_ecs::prelude::*;
use diffusion::{NODES, Share};
use philox::stream;
use ports::{Compute, Images};
use tensor::{Bindings, Distribution, Graph, Tensor, Value};

use crate::churn::keys;
use crate::place::place;

/// How many nodes of the tree one run of the program adds up.
const DRAWS: usize = 8;

pub(crate) const SEEDS: (&str, &str) = ("seeds", "the seeds of the images, which decide about the noise");

/// Noise of unit variance for a step over these noise levels, in the shape of the images.
pub(crate) fn brownian_noise(
    seeds: &[u64],
    x: &Images,
    [from, to]: [f64; 2],
    eta: f64,
    compute: &mut Compute,
) -> Result<Tensor> {
    let shape = x.pixels.shape();
    // Levels that images go down once more have noise of their own.
    let path = u64::from(place(x)?.climbs) * NODES;
    let mut sum: Option<Tensor> = None;
    for shares in diffusion::brownian(from, to, eta).chunks(DRAWS) {
        let mut bindings = Bindings::new();
        for i in 0..DRAWS {
            let Share { node, weight } = shares.get(i).copied().unwrap_or(Share { node: 0, weight: 0.0 });
            let keys = compute.keys(keys(seeds, x, stream::BROWNIAN, path + node)?)?;
            bindings = bindings.tensor(&format!("keys {i}"), &keys).scalar(&format!("weight {i}"), weight);
        }
        if let Some(sum) = &sum {
            bindings = bindings.tensor("sum", sum);
        }
        let key = format!("brownian {shape} {}", sum.is_some());
        let mut outputs = compute.run(&key, &bindings, |graph| {
            let start = sum.is_some().then(|| graph.input("sum", shape.clone()));
            let sum = add_draws(graph, start, shape);
            graph.output("sum", sum);
        })?;
        sum = Some(outputs.take("sum")?);
    }
    sum.ok_or_else(|| format!("there is no noise between the levels {from} and {to}").into())
}

/// Adds weighted unit normals to what is there.
fn add_draws(graph: &mut Graph, start: Option<Value>, shape: &tensor::Shape) -> Value {
    let mut sum = start;
    for i in 0..DRAWS {
        let (keys, weight) =
            (graph.keys(&format!("keys {i}"), shape[0]), graph.scalar(&format!("weight {i}")));
        let noise = graph.random(Distribution::Normal, keys, 0, shape.clone());
        sum = Some(match sum {
            Some(sum) => graph.map(&[sum, noise, weight], |v| v(0) + v(1) * v(2)),
            None => graph.mul(noise, weight),
        });
    }
    sum.expect("there is at least one draw")
}
