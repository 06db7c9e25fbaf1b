//! Noise that does not change with the number of steps: a Brownian path over noise levels, known at any of them.
//!
//! The path is a virtual Brownian tree: over a fixed range of `ln(sigma)` its value in the middle of each interval is
//! drawn from what its ends allow. So the noise between two levels is a sum of few unit normals, each of a node of
//! the tree that any run meets again.

use std::collections::BTreeMap;

/// The range of the path: noise levels from 2^32 down to 2^-32.
const OCTAVES: f64 = 64.0;

/// How often intervals are halved: then they are a 90,000th of a factor of two wide.
const DEPTH: u32 = 22;

/// How many nodes the tree has, of which the first is 0.
pub const NODES: u64 = 1 << DEPTH;

/// The share of a unit normal in the noise of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The node of the tree that the normal belongs to.
    pub node: u64,
    /// Its weight; the squares of all weights of a step add up to 1.
    pub weight: f64,
}

/// The noise of unit variance with which a sampler goes from one level down to another. Over a sequence of steps it
/// is the increments of one Brownian motion in the clock `sigma^(-2 eta)`, in which the noise of an SDE that replaces
/// it at rate `eta` is a Brownian motion.
pub fn brownian(from: f64, to: f64, eta: f64) -> Vec<Share> {
    let (start, end) = (place(from), place(to));
    let mut weights = value(end.max(start + 1), eta);
    for (node, weight) in value(start, eta) {
        *weights.entry(node).or_insert(0.0) -= weight;
    }
    let norm = weights.values().map(|weight| weight * weight).sum::<f64>().sqrt();
    weights.into_iter().map(|(node, weight)| Share { node, weight: weight / norm }).collect()
}

/// The place of a noise level on the finest grid, counted from the highest level.
fn place(sigma: f64) -> u64 {
    let share = 0.5 - sigma.log2() / OCTAVES;
    (share * f64::from(1u32 << DEPTH)).round().clamp(0.0, f64::from((1u32 << DEPTH) - 1)) as u64
}

/// The path at a place as a sum of the normals of nodes.
fn value(at: u64, eta: f64) -> BTreeMap<u64, f64> {
    let clock = |place: u64| {
        let log = OCTAVES * (0.5 - place as f64 / f64::from(1u32 << DEPTH));
        (-2.0 * eta * log).exp2()
    };
    // The path starts at 0; its end is the first normal.
    let (mut low, mut high) = (0, 1 << DEPTH);
    let mut left = BTreeMap::new();
    let mut right = BTreeMap::from([(0, (clock(high) - clock(low)).sqrt())]);
    let mut node = 1;
    while at != low {
        let middle = (low + high) / 2;
        let [a, m, b] = [low, middle, high].map(clock);
        let share = (m - a) / (b - a);
        let mut drawn: BTreeMap<u64, f64> = BTreeMap::new();
        for (ends, share) in [(&left, 1.0 - share), (&right, share)] {
            for (node, weight) in ends {
                *drawn.entry(*node).or_insert(0.0) += weight * share;
            }
        }
        drawn.insert(node, (share * (b - m)).sqrt());
        if at < middle {
            (high, right, node) = (middle, drawn, 2 * node);
        } else {
            (low, left, node) = (middle, drawn, 2 * node + 1);
        }
    }
    left
}
