//! Where the probability flow ODE takes images, as far as f64 can tell.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shape, Shapes, This, Wire};
use ports::{Compute, Images, Sigma};
use serde::Deserialize;
use tensor::Array;

/// Settings of exact answers.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exact {
    x: Wire<Images>,
    at: Vec<(f64, f64)>,
    #[serde(default)]
    std: f64,
}

impl Node for Exact {
    type Value = Images;

    const DOC: &'static str = "Where the probability flow ODE of a few points in the plane takes images: what solvers are \
        measured by.\n\
        It solves the ODE in f64 by a method of fourth order in 4,000 steps of ln σ, which leaves an error of 10⁻⁹.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "images at one noise level, such as `Latents` makes"),
        ("at", "the points, as in `Points`"),
        ("std", "the standard deviation of the data around each, as in `Points`"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.at.is_empty() {
            return Err(Mistake::new("at", "there are no points, and nothing can go to none of them"));
        }
        if self.std >= 0.0 && self.std.is_finite() {
            return Ok(());
        }
        Err(Mistake::new("std", format!("`std` must be a finite number from 0 on, not {}", self.std)))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let plane = Shape::from([1, 1, 2]);
        inputs.expect("x", self.x, &plane)?;
        Ok(Shapes::of::<Images>(plane))
    }
}

/// Solves the ODE for images that have come anew.
pub fn exact(
    this: This<Exact>,
    images: Read<Images>,
    compute: Compute,
    mut old: Local<Option<(Array, Images)>>,
) -> Result<Images> {
    let x = images.get(this.x)?;
    let Sigma::Same(sigma) = x.sigma else {
        return Err("these images have a noise level each; wire `Latents`".into());
    };
    let start = compute.download(&x.pixels)?;
    if let Some((known, ends)) = &*old
        && *known == start
    {
        return Ok(ends.clone());
    }
    let scale = x.scale();
    let starts = start.f64s();
    let ends =
        starts.chunks_exact(2).flat_map(|x| end(&this.at, this.std, [x[0] / scale, x[1] / scale], sigma));
    let ends = compute.upload(&Array::new(x.pixels.shape().clone(), ends.collect::<Vec<f64>>()))?;
    let ends = Images::clean(ends, x.before);
    *old = Some((start, ends.clone()));
    Ok(ends)
}

/// Steps of ln σ, and where they end, as a part of the spread of the data.
const STEPS: u32 = 4000;
const END: f64 = 1e-5;

/// Follows dx / d ln σ = x - D(x; σ) by the classical method of Runge and Kutta.
fn end(at: &[(f64, f64)], std: f64, mut x: [f64; 2], sigma: f64) -> [f64; 2] {
    let low = END * if std > 0.0 { std } else { 1.0 };
    let h = (low / sigma).ln() / f64::from(STEPS);
    for step in 0..STEPS {
        let level = |part: f64| sigma * ((f64::from(step) + part) * h).exp();
        let ahead = |slope: [f64; 2], part: f64| [0, 1].map(|i| x[i] + part * h * slope[i]);
        let k1 = slope(at, std, x, level(0.0));
        let k2 = slope(at, std, ahead(k1, 0.5), level(0.5));
        let k3 = slope(at, std, ahead(k2, 0.5), level(0.5));
        let k4 = slope(at, std, ahead(k3, 1.0), level(1.0));
        x = [0, 1].map(|i| x[i] + h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]));
    }
    // Without spread the rest of the way is straight; with it there is none to speak of.
    let rest = if std > 0.0 { [0.0, 0.0] } else { slope(at, std, x, low) };
    [x[0] - rest[0], x[1] - rest[1]]
}

/// x - D(x; σ) of the mixture.
fn slope(at: &[(f64, f64)], std: f64, x: [f64; 2], sigma: f64) -> [f64; 2] {
    let variance = std * std + sigma * sigma;
    let logit = |(a, b): &(f64, f64)| -((x[0] - a).powi(2) + (x[1] - b).powi(2)) / (2.0 * variance);
    let most = at.iter().map(logit).fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut mean) = (0.0, [0.0, 0.0]);
    for point in at {
        let weight = (logit(point) - most).exp();
        sum += weight;
        mean = [mean[0] + weight * point.0, mean[1] + weight * point.1];
    }
    [0, 1].map(|i| sigma * sigma / variance * (x[i] - mean[i] / sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normal_distribution_shrinks_to_its_own_width() {
        let end = end(&[(0.0, 0.0)], 0.5, [80.0, -40.0], 80.0);
        let expected = 80.0 * 0.5 / (80.0f64.powi(2) + 0.25).sqrt();
        assert!((end[0] - expected).abs() < 1e-8 && (end[1] + expected / 2.0).abs() < 1e-8, "{end:?}");
    }

    #[test]
    fn whatever_is_left_of_the_middle_goes_to_the_left_point() {
        let end = end(&[(-1.0, 0.0), (1.0, 0.0)], 0.0, [-0.7, 3.0], 25.0);
        assert!((end[0] + 1.0).abs() < 1e-8 && end[1].abs() < 1e-8, "{end:?}");
    }
}
