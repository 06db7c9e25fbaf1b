//! The noise levels that sampling visits (equation 5).

use bevy_ecs::prelude::*;
use diffusion::{Spacing, TimeStepsError};
use pipeline::{Constant, Mistake, Node, Read, This, Wire};
use ports::{Denoiser, Times};
use serde::Deserialize;

/// Settings of the time steps.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct TimeSteps {
    steps: usize,
    #[serde(default)]
    spacing: Spacing,
    #[serde(default = "sigma_min")]
    sigma_min: f64,
    #[serde(default = "sigma_max")]
    sigma_max: f64,
    #[serde(default)]
    by: Option<Wire<Denoiser>>,
}

fn sigma_min() -> f64 {
    0.002
}

fn sigma_max() -> f64 {
    80.0
}

impl Node for TimeSteps {
    type Value = Times;

    const DOC: &'static str =
        "The noise levels t_0 … t_N of a sampling run, highest first, then 0 (equation 5).";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("steps", "N, at least 2; Heun's method asks the denoiser 2 N - 1 times"),
        ("spacing", "how the levels lie, `Edm(rho: 7.0)` unless given"),
        ("sigma_min", "the last level before 0, 0.002 unless given"),
        ("sigma_max", "t_0, 80 unless given"),
        ("by", "a denoiser whose range of noise levels is not left"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        let times = self.spacing.time_steps(self.steps, self.sigma_min, self.sigma_max);
        times.map(drop).map_err(|error| {
            let field = match error {
                TimeStepsError::TooFewSteps(_) => "steps",
                TimeStepsError::Range { .. } => "sigma_min",
                TimeStepsError::Rho(_) => "spacing",
            };
            Mistake::new(field, error.to_string())
        })
    }
}

/// Lays the time steps out, within what the denoiser can be asked about.
pub fn time_steps(this: This<TimeSteps>, denoisers: Read<Denoiser>) -> Result<Times> {
    let range = denoisers.maybe(this.by)?.map(|denoiser| denoiser.0.sigma_range());
    let (low, high) = range.unwrap_or((0.0, f64::INFINITY));
    let (sigma_min, sigma_max) = (this.sigma_min.max(low), this.sigma_max.min(high));
    Ok(Times(this.spacing.time_steps(this.steps, sigma_min, sigma_max)?))
}
