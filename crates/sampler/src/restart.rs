//! Restart sampling (Xu et al. 2023): some noise levels are gone through again and again, from fresh noise each time.

use bevy_ecs::prelude::*;
use diffusion::Spacing;
use pipeline::{Constant, Mistake, Node, Read, This, Wire};
use ports::{Denoiser, Explain, Fact, Others, Times};
use serde::Deserialize;

/// Settings of the restart.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Restart {
    times: Wire<Times>,
    min: f64,
    max: f64,
    steps: usize,
    #[serde(default = "one")]
    repeat: usize,
    #[serde(default)]
    spacing: Spacing,
    #[serde(default)]
    by: Option<Wire<Denoiser>>,
}

fn one() -> usize {
    1
}

/// More repetitions are a slip of the keyboard.
const MOST: usize = 1000;

impl Node for Restart {
    type Value = Times;

    const DOC: &'static str = "Time steps that go back up: from one noise level fresh noise takes images to a higher one, \
        and they come down again (Xu et al. 2023).\n\
        A `Churn` adds the noise, of its own `noise`; all solvers can follow. Several restarts are several of these nodes, \
        one after the other.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("times", "the time steps of one way down"),
        ("min", "the noise level at which images go up; the nearest time step is taken"),
        ("max", "the noise level to which they go"),
        ("steps", "how many steps they take down again, each time"),
        ("repeat", "how often they go up, 1 unless given"),
        ("spacing", "how the noise levels of these steps lie, `Edm(rho: 7.0)` unless given"),
        ("by", "a denoiser that knows some noise levels only, to which these are rounded"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        for (field, count) in [("steps", self.steps), ("repeat", self.repeat)] {
            if !(1..=MOST).contains(&count) {
                return Err(Mistake::new(field, format!("`{field}` is {count}, expected 1 to {MOST}")));
            }
        }
        if self.min > 0.0 && self.max > self.min && self.max.is_finite() {
            return Ok(());
        }
        let what = format!(
            "a restart goes up to a finite noise level from a lower one above 0, not from {} to {}",
            self.min, self.max
        );
        Err(Mistake::new("max", what))
    }
}

/// Puts the restart into the time steps.
pub fn restart(this: This<Restart>, times: Read<Times>, denoisers: Read<Denoiser>) -> Result<Times> {
    let by = denoisers.maybe(this.by)?;
    this.put(times.get(this.times)?, &|sigma| by.map_or(sigma, |by| by.0.round_sigma(sigma)))
}

impl Explain for Restart {
    fn explain(&self, others: &Others) -> Vec<Fact> {
        let (.., round) = others.levels(self.by.map(Wire::node));
        let times = others.find(self.times.node(), |fact| match fact {
            Fact::Times(times) => self.put(&times, &*round).ok(),
            _ => None,
        });
        times.map(Fact::Times).into_iter().collect()
    }
}

impl Restart {
    /// These time steps with the restart in them.
    fn put(&self, times: &Times, round: &dyn Fn(f64) -> f64) -> Result<Times> {
        let (path, at) = (times.path, self.place(times)?);
        let low = path.sigma(times.t[at]);
        let levels = self.spacing.noise_levels(self.steps + 1, low, self.max)?;
        let time = |sigma: f64| path.time(round(sigma));
        let inside = levels[1..self.steps].iter().map(|sigma| time(*sigma));
        let down: Vec<f64> = inside.chain([times.t[at]]).collect();
        let added = self.steps * self.repeat;
        let later = |index: usize| if index > at { index + added } else { index };
        let ups = (0..self.repeat).map(|i| (at + i * self.steps, time(levels[0])));
        Ok(Times {
            t: [&times.t[..=at], &down.repeat(self.repeat), &times.t[at + 1..]].concat(),
            path,
            restarts: times.restarts.iter().map(|(index, top)| (later(*index), *top)).chain(ups).collect(),
        })
    }

    /// The step that begins nearest to `min`, where no restart is yet.
    fn place(&self, times: &Times) -> Result<usize> {
        let free = (1..times.t.len() - 1).filter(|index| !times.restarts.contains_key(index));
        let far = |index: &usize| (times.path.sigma(times.t[*index]) / self.min).ln().abs();
        let at = free.min_by(|a, b| far(a).total_cmp(&far(b)));
        let at = at.ok_or("there are too few time steps for a restart; take more `steps`")?;
        let low = times.path.sigma(times.t[at]);
        if low < self.max {
            return Ok(at);
        }
        let what = format!("the time step nearest to `min` = {} has the noise level {low}", self.min);
        Err(format!("{what}, which is not below `max` = {}; take more steps or a higher `max`", self.max)
            .into())
    }
}
