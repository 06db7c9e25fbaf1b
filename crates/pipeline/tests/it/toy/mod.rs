//! EDM on points: small enough to check by hand, shaped like the real thing.

mod learn;
mod sample;
mod start;

use std::sync::Arc;

use bevy_ecs::prelude::*;
use mollify_pipeline::{Engine, keep_plain, port};
use serde::{Deserialize, Serialize};

pub use learn::*;
pub use sample::*;
pub use start::*;

pub type Point = Vec<f32>;

/// Points and how noisy they are.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    pub x: Vec<Point>,
    pub sigma: f32,
}

/// The clean points that a denoiser expects behind noisy ones.
#[derive(Component, Clone, Debug)]
pub struct Denoised(pub Vec<Point>);

/// D(x; σ), whatever it is made of.
#[derive(Component, Clone)]
pub struct Denoiser(pub Arc<dyn Fn(&Samples) -> Vec<Point> + Send + Sync>);

/// Noise levels from high to low, ending in zero.
#[derive(Component, Clone, Debug)]
pub struct Ladder(pub Vec<f32>);

/// The stretch of the ladder that this tick walks.
#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    pub step: usize,
    pub steps: usize,
    pub to: f32,
}

impl Leg {
    pub fn is_last(&self) -> bool {
        self.step + 1 == self.steps
    }
}

/// The seeds in flight, and whether they have just started or are the last.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seeds {
    pub ids: std::ops::Range<u64>,
    pub fresh: bool,
    pub last: bool,
}

/// Text that a node produced.
#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lines(pub Vec<String>);

/// A whole number.
#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Count(pub u64);

/// A port that the plugin forgets to declare.
#[derive(Component)]
pub struct Forgotten;

/// What can be counted.
#[derive(Component)]
pub struct Counted;

port!(Counted: Count or Lines);
port!(Samples, Denoised, Denoiser, Ladder, Leg, Seeds, Lines, Count, Weights, Forgotten);
keep_plain!(Samples, Leg, Seeds, Lines, Count);

/// Every kind in this module.
pub fn plugin(engine: &mut Engine) {
    engine.port::<Samples>().port::<Denoised>().port::<Denoiser>().port::<Ladder>();
    engine.port::<Leg>().port::<Seeds>().port::<Lines>().port::<Count>().port::<Weights>();
    engine.keep::<Samples>().keep::<Leg>().keep::<Seeds>().keep::<Lines>().keep::<Count>().keep::<Weights>();
    engine
        .node::<Points, _>(points)
        .node::<Karras, _>(karras)
        .node::<Batches, _>(batches)
        .node::<Gaussian, _>(gaussian)
        .node::<Trajectory, _>(trajectory)
        .node::<Churn, _>(churn)
        .node::<Denoise, _>(denoise)
        .node::<Euler, _>(euler)
        .node::<Heun, _>(heun)
        .node::<Print, _>(print)
        .node::<Load, _>(load)
        .node::<Learn, _>(learn)
        .node::<Net, _>(net)
        .node::<Until, _>(until)
        .node::<Once, _>(once)
        .node::<Sum, _>(sum)
        .node::<Tally, _>(tally)
        .node::<Last, _>(last)
        .node::<Lost, _>(|| {});
}

/// A standard normal point that depends only on what it is for, so no generator has to be saved.
pub fn normal(stream: u64, sample: u64, size: usize) -> Point {
    let unit =
        |counter: u64| ((mix(mix(stream).wrapping_add(counter)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let number = |i: u64| {
        let radius = (-2.0 * unit(2 * i).ln()).sqrt();
        (radius * (std::f64::consts::TAU * unit(2 * i + 1)).cos()) as f32
    };
    (0..size as u64).map(|i| number(sample * size as u64 + i)).collect()
}

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
