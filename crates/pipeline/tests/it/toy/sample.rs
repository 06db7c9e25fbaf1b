//! Stochastic sampling, one kind for each line of Algorithm 2.

use bevy_ecs::prelude::*;
use mollify_pipeline::{Inputs, Mistake, Node, Past, Read, Shapes, This, Unfinished, Wire};
use serde::Deserialize;

use super::*;

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
