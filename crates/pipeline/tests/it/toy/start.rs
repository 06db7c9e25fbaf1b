//! What sampling starts from: a denoiser, noise levels, seeds and noise.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use mollify_pipeline::{Constant, Inputs, Mistake, Node, Past, Read, Shape, Shapes, This, Wire};
use serde::Deserialize;

use super::*;

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Points {
    at: Vec<Point>,
}

impl Node for Points {
    type Value = Denoiser;

    const DOC: &'static str =
        "The ideal denoiser of a few points.\nA softmax over them: equation 57 of the paper.";

    fn check(&self) -> Result<(), Mistake> {
        let Some(first) = self.at.first() else {
            return Err(Mistake::new("at", "there has to be at least one point"));
        };
        match self.at.iter().position(|point| point.len() != first.len()) {
            None => Ok(()),
            Some(i) => {
                let what =
                    format!("this point has {} numbers, the first has {}", self.at[i].len(), first.len());
                Err(Mistake::new(format!("at.{i}"), what))
            }
        }
    }

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Denoiser>(Shape(vec![self.at.first().map_or(0, Vec::len)])))
    }
}

pub fn points(this: This<Points>) -> Denoiser {
    ideal(this.at.clone())
}

pub fn ideal(data: Vec<Point>) -> Denoiser {
    Denoiser(Arc::new(move |noisy| noisy.x.iter().map(|x| softmax(&data, x, noisy.sigma)).collect()))
}

fn softmax(data: &[Point], x: &Point, sigma: f32) -> Point {
    let distance =
        |y: &Point| x.iter().zip(y).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / (2.0 * sigma * sigma);
    let far: Vec<f32> = data.iter().map(distance).collect();
    let near = far.iter().copied().fold(f32::INFINITY, f32::min);
    let weights: Vec<f32> = far.iter().map(|d| (near - d).exp()).collect();
    let total: f32 = weights.iter().sum();
    (0..x.len()).map(|i| data.iter().zip(&weights).map(|(y, w)| y[i] * w).sum::<f32>() / total).collect()
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Karras {
    steps: usize,
    #[serde(default = "low")]
    min: f32,
    #[serde(default = "high")]
    max: f32,
    #[serde(default)]
    warp: Warp,
}

fn low() -> f32 {
    0.002
}

fn high() -> f32 {
    80.0
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Warp {
    Linear,
    Edm { rho: f32 },
}

impl Default for Warp {
    fn default() -> Self {
        Warp::Edm { rho: 7.0 }
    }
}

impl Node for Karras {
    type Value = Ladder;

    const DOC: &'static str = "Noise levels evenly spaced in σ^(1/ρ).";
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("steps", "how many"), ("warp", "what they are evenly spaced in")];

    fn check(&self) -> Result<(), Mistake> {
        if self.steps < 2 {
            return Err(Mistake::new(
                "steps",
                format!("a ladder needs at least 2 steps, found {}", self.steps),
            ));
        }
        if self.min >= self.max {
            let what = format!("the lowest noise level {} is not below the highest, {}", self.min, self.max);
            return Err(Mistake::new("min", what).help("swap `min` and `max`"));
        }
        Ok(())
    }
}

pub fn karras(this: This<Karras>) -> Ladder {
    let rho = match this.warp {
        Warp::Linear => 1.0,
        Warp::Edm { rho } => rho,
    };
    let [top, bottom] = [this.max, this.min].map(|sigma| sigma.powf(1.0 / rho));
    let rung = |i: usize| (top + i as f32 / (this.steps - 1) as f32 * (bottom - top)).powf(rho);
    Ladder((0..this.steps).map(rung).chain([0.0]).collect())
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batches {
    from: u64,
    to: u64,
    batch: u64,
    leg: Past<Leg>,
}

impl Node for Batches {
    type Value = Seeds;

    const DOC: &'static str = "Seeds in batches; the next starts when the trajectory has reached the bottom.";
}

pub fn batches(this: This<Batches>, legs: Read<Leg>, seeds: Read<Seeds>) -> Seeds {
    let old = seeds.of(this.node());
    if let (Some(old), Some(leg)) = (old, legs.past(this.leg))
        && !leg.is_last()
    {
        return Seeds { fresh: false, ..old.clone() };
    }
    let start = old.map_or(this.from, |old| old.ids.end);
    let end = (start + this.batch).min(this.to);
    Seeds { ids: start..end, fresh: true, last: end == this.to }
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gaussian {
    seeds: Wire<Seeds>,
    ladder: Wire<Ladder>,
    like: Wire<Denoiser>,
    #[serde(default = "two")]
    size: usize,
}

fn two() -> usize {
    2
}

impl Node for Gaussian {
    type Value = Samples;

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Samples>(inputs.of(self.like)))
    }
}

pub fn gaussian(this: This<Gaussian>, seeds: Read<Seeds>, ladders: Read<Ladder>) -> Result<Samples> {
    let sigma = ladders.get(this.ladder)?.0[0];
    let noise = |seed| normal(seed, 0, this.size).into_iter().map(|e| e * sigma).collect();
    Ok(Samples { x: seeds.get(this.seeds)?.ids.clone().map(noise).collect(), sigma })
}
