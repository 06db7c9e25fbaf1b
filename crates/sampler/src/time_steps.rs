//! The time steps of sampling, and the ODE that they are steps of (equation 5, table 1).

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use diffusion::{Scaling, Schedule, Spacing, TimeStepsError};
use pipeline::{Constant, Mistake, Node, Read, This, Wire};
use ports::{Denoise, Denoiser, Explain, Fact, Others, Times};
use serde::Deserialize;

/// Settings of the time steps.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct TimeSteps {
    steps: usize,
    #[serde(default)]
    spacing: Spacing,
    #[serde(default)]
    schedule: Schedule,
    #[serde(default)]
    scaling: Scaling,
    #[serde(default)]
    sigma_min: Option<f64>,
    #[serde(default)]
    sigma_max: Option<f64>,
    #[serde(default)]
    by: Option<Wire<Denoiser>>,
}

impl Node for TimeSteps {
    type Value = Times;

    const DOC: &'static str = "The time steps t_0 … t_N of a sampling run, of which the last is 0 (equation 5, table 1).\n\
        Three choices that go with one another in any way: how noise levels lie, which makes the steps; how the noise \
        level depends on time; and how images are scaled. The last two make the ODE.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("steps", "N, at least 2; Heun's method asks the denoiser 2 N - 1 times"),
        ("spacing", "how the noise levels lie: `Edm(rho: 7.0)` unless given, `Vp()`, `Ve` or `Iddpm()`"),
        ("schedule", "σ(t): `Linear` unless given, which is σ = t, `Vp()` or `Ve`"),
        ("scaling", "s(t): `Unit` unless given, which is s = 1, or `Vp`"),
        ("sigma_min", "the last noise level before 0; unless given that of the spacing, 0.002 of `Edm`"),
        ("sigma_max", "the first noise level; unless given that of the spacing, 80 of `Edm`"),
        (
            "by",
            "a denoiser whose range of noise levels is not left, and to whose own levels they are rounded",
        ),
    ];

    fn check(&self) -> Result<(), Mistake> {
        match self.times((0.0, f64::INFINITY), &|sigma| sigma) {
            Ok(_) => Ok(()),
            Err(Failed::Levels(error)) => {
                let field = match error {
                    TimeStepsError::TooFewSteps(_)
                    | TimeStepsError::BeyondMost(_)
                    | TimeStepsError::TooManySteps { .. } => "steps",
                    TimeStepsError::Range { .. } if self.sigma_min.is_none() => "sigma_max",
                    TimeStepsError::Range { .. } => "sigma_min",
                    TimeStepsError::Constants(_) => "spacing",
                };
                Err(Mistake::new(field, error.to_string()))
            }
            Err(Failed::Schedule(what)) => Err(Mistake::new("schedule", what)),
        }
    }
}

/// Why there are no time steps.
enum Failed {
    Levels(TimeStepsError),
    Schedule(String),
}

impl TimeSteps {
    /// Lays the time steps out, within what the denoiser can be asked about.
    fn times(&self, (low, high): (f64, f64), round: &dyn Fn(f64) -> f64) -> Result<Times, Failed> {
        let (sigma_min, sigma_max) = self.spacing.sigma_range();
        let sigma_min = self.sigma_min.unwrap_or(sigma_min).max(low);
        let sigma_max = self.sigma_max.unwrap_or(sigma_max).min(high);
        let levels = self.spacing.noise_levels(self.steps, sigma_min, sigma_max).map_err(Failed::Levels)?;
        let path = self.schedule.path(self.scaling, sigma_min, sigma_max);
        // Later than that, the curve through both ends has its lowest level at some other time.
        let in_order = !matches!(self.schedule, Schedule::Vp { epsilon_s } if epsilon_s >= 1.0);
        let times = levels[..self.steps].iter().map(|sigma| path.time(round(*sigma)));
        let t: Vec<f64> = times.chain([0.0]).collect();
        // Neighbours may be rounded to one level. They stay: the paper's N and NFE count such steps, and `Churn` has a use
        // for them.
        if in_order && t.is_sorted_by(|a, b| a >= b) && t[0].is_finite() && t[self.steps - 1] > 0.0 {
            return Ok(Times { t, path, restarts: BTreeMap::new() });
        }
        let what = format!("the times of noise levels from {sigma_min} to {sigma_max} do not fall to 0");
        Err(Failed::Schedule(format!("{what}; the paper has `epsilon_s: 0.001`")))
    }
}

impl Explain for TimeSteps {
    fn explain(&self, others: &Others) -> Vec<Fact> {
        let (low, high, round) = others.levels(self.by.map(Wire::node));
        self.times((low, high), &*round).ok().map(Fact::Times).into_iter().collect()
    }
}

/// Lays the time steps out.
pub fn time_steps(this: This<TimeSteps>, denoisers: Read<Denoiser>) -> Result<Times> {
    let by = denoisers.maybe(this.by)?.map(|denoiser| denoiser.0.as_ref());
    let range = by.map_or((0.0, f64::INFINITY), Denoise::sigma_range);
    this.times(range, &|sigma| by.map_or(sigma, |by| by.round_sigma(sigma))).map_err(|failed| match failed {
        Failed::Levels(error) => error.into(),
        Failed::Schedule(what) => what.into(),
    })
}
