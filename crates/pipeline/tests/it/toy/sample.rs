//! Stochastic sampling, one kind for each line of Algorithm 2.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use mollify_pipeline::{Constant, Inputs, Mistake, Node, Past, Read, Shape, Shapes, This, Unfinished, Wire};
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

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Unfinished)]
pub struct Trajectory {
    seeds: Wire<Seeds>,
    start: Wire<Samples>,
    next: Past<Samples>,
    ladder: Wire<Ladder>,
}

impl Node for Trajectory {
    type Value = (Samples, Leg);

    const DOC: &'static str = "Walks samples down the ladder, one step a tick.";

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Samples>(inputs.of(self.start)))
    }

    fn check_shapes(&self, inputs: &Inputs) -> Result<(), Mistake> {
        inputs.same("next", self.next, self.start).map(drop)
    }
}

pub fn trajectory(
    this: This<Trajectory>,
    seeds: Read<Seeds>,
    samples: Read<Samples>,
    ladders: Read<Ladder>,
    legs: Read<Leg>,
    mut commands: Commands,
) -> Result<(Samples, Leg)> {
    let ladder = &ladders.get(this.ladder)?.0;
    let seeds = seeds.get(this.seeds)?;
    let (step, x) = match (legs.of(this.node()), samples.past(this.next)) {
        (Some(last), Some(x)) if !seeds.fresh => (last.step + 1, x),
        _ => (0, samples.get(this.start)?),
    };
    let leg = Leg { step, steps: ladder.len() - 1, to: ladder[step + 1] };
    if leg.is_last() && seeds.last {
        commands.entity(this.node()).remove::<Unfinished>();
    }
    Ok((x.clone(), leg))
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    x: Wire<Samples>,
    leg: Wire<Leg>,
    #[serde(default)]
    amount: f32,
    #[serde(default)]
    min: f32,
    #[serde(default = "no_limit")]
    max: f32,
    #[serde(default = "one")]
    noise: f32,
    seeds: Wire<Seeds>,
}

fn no_limit() -> f32 {
    f32::INFINITY
}

fn one() -> f32 {
    1.0
}

impl Node for Churn {
    type Value = Samples;

    const DOC: &'static str = "Adds fresh noise to climb from σ to σ̂ (lines 4 to 6).";

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Samples>(inputs.of(self.x)))
    }
}

pub fn churn(
    this: This<Churn>,
    samples: Read<Samples>,
    legs: Read<Leg>,
    seeds: Read<Seeds>,
) -> Result<Samples> {
    let Samples { x, sigma } = samples.get(this.x)?.clone();
    let leg = legs.get(this.leg)?;
    if !(this.min..=this.max).contains(&sigma) {
        return Ok(Samples { x, sigma });
    }
    let gamma = (this.amount / leg.steps as f32).min(std::f32::consts::SQRT_2 - 1.0);
    let hat = sigma * (1.0 + gamma);
    let scale = (hat * hat - sigma * sigma).sqrt() * this.noise;
    let stir = |(x, seed): (Point, u64)| {
        let noise = normal(seed, leg.step as u64 + 1, x.len());
        x.iter().zip(noise).map(|(x, e)| x + scale * e).collect()
    };
    Ok(Samples { x: x.into_iter().zip(seeds.get(this.seeds)?.ids.clone()).map(stir).collect(), sigma: hat })
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denoise {
    x: Wire<Samples>,
    by: Wire<Denoiser>,
}

impl Node for Denoise {
    type Value = Denoised;

    const DOC: &'static str = "Asks a denoiser what lies behind the noise.";

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Denoised>(inputs.same("x", self.x, self.by)?))
    }
}

pub fn denoise(this: This<Denoise>, samples: Read<Samples>, denoisers: Read<Denoiser>) -> Result<Denoised> {
    let noisy = samples.get(this.x)?;
    if noisy.sigma == 0.0 {
        return Ok(Denoised(noisy.x.clone()));
    }
    let clean = denoisers.get(this.by)?.0(noisy);
    match clean.iter().position(|x| x.iter().any(|v| !v.is_finite())) {
        Some(i) => Err(format!("sample {i} became {:?} at σ = {}", clean[i], noisy.sigma).into()),
        None => Ok(Denoised(clean)),
    }
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Euler {
    x: Wire<Samples>,
    denoised: Wire<Denoised>,
    leg: Wire<Leg>,
}

impl Node for Euler {
    type Value = Samples;

    const DOC: &'static str = "Follows the slope to the end of the leg (lines 7 and 8).";

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Samples>(inputs.same("denoised", self.denoised, self.x)?))
    }
}

pub fn euler(
    this: This<Euler>,
    samples: Read<Samples>,
    denoised: Read<Denoised>,
    legs: Read<Leg>,
) -> Result<Samples> {
    let hat = samples.get(this.x)?;
    let slope = slopes(hat, denoised.get(this.denoised)?);
    Ok(walk(hat, &slope, legs.get(this.leg)?.to))
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heun {
    x: Wire<Samples>,
    first: Wire<Denoised>,
    euler: Wire<Samples>,
    second: Wire<Denoised>,
}

impl Node for Heun {
    type Value = Samples;

    const DOC: &'static str = "Averages the slopes at both ends of the leg (lines 9 to 12).";

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        inputs.same("first", self.first, self.x)?;
        inputs.same("euler", self.euler, self.x)?;
        Ok(Shapes::of::<Samples>(inputs.same("second", self.second, self.x)?))
    }
}

pub fn heun(this: This<Heun>, samples: Read<Samples>, denoised: Read<Denoised>) -> Result<Samples> {
    let hat = samples.get(this.x)?;
    let end = samples.get(this.euler)?;
    if end.sigma == 0.0 {
        return Ok(end.clone());
    }
    let first = slopes(hat, denoised.get(this.first)?);
    let second = slopes(end, denoised.get(this.second)?);
    let mean = |(a, b): (&Point, &Point)| a.iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect();
    let both: Vec<Point> = first.iter().zip(&second).map(mean).collect();
    Ok(walk(hat, &both, end.sigma))
}

fn slopes(x: &Samples, denoised: &Denoised) -> Vec<Point> {
    let slope = |(x0, d): (&Point, &Point)| x0.iter().zip(d).map(|(x0, d)| (x0 - d) / x.sigma).collect();
    x.x.iter().zip(&denoised.0).map(slope).collect()
}

fn walk(x: &Samples, slope: &[Point], sigma: f32) -> Samples {
    let dt = sigma - x.sigma;
    let step = |(x, d): (&Point, &Point)| x.iter().zip(d).map(|(x, d)| x + dt * d).collect();
    Samples { x: x.x.iter().zip(slope).map(step).collect(), sigma }
}

#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Print {
    x: Wire<Samples>,
    seeds: Wire<Seeds>,
    leg: Wire<Leg>,
    #[serde(default = "title")]
    title: String,
}

fn title() -> String {
    "seed".to_owned()
}

impl Node for Print {
    type Value = Lines;

    const DOC: &'static str = "Collects finished samples as text.";
}

pub fn print(
    this: This<Print>,
    samples: Read<Samples>,
    seeds: Read<Seeds>,
    legs: Read<Leg>,
    lines: Read<Lines>,
) -> Result<Lines> {
    let mut lines = lines.of(this.node()).cloned().unwrap_or_default();
    if legs.get(this.leg)?.is_last() {
        let ends = seeds.get(this.seeds)?.ids.clone().zip(&samples.get(this.x)?.x);
        // Rounded, and without the sign of a zero.
        let round = |v: &f32| (v * 1e4).round() / 1e4 + 0.0;
        let title = &this.title;
        lines.0.extend(
            ends.map(|(seed, x)| format!("{title} {seed}: {:?}", x.iter().map(round).collect::<Point>())),
        );
    }
    Ok(lines)
}
