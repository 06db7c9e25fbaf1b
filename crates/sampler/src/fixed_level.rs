//! Staying at one noise level.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use diffusion::Path;
use pipeline::{Constant, Mistake, Node, This};
use ports::Times;
use serde::Deserialize;

/// Settings of a fixed noise level.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct FixedLevel {
    sigma: f64,
    steps: usize,
}

impl Node for FixedLevel {
    type Value = Times;

    const DOC: &'static str = "Time steps that lead nowhere: each begins and ends at the same noise level.\n\
        What a `Churn` adds, a solver has to take away again, over and over. That is Langevin dynamics, and shows what \
        errors of a denoiser build up to (figure 14). With `amount` large, noise goes up to √2 σ and back.";

    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("sigma", "the noise level"), ("steps", "how many steps")];

    fn check(&self) -> Result<(), Mistake> {
        if !(self.sigma > 0.0 && self.sigma.is_finite()) {
            let what = format!("`sigma` must be a finite number above 0, not {}", self.sigma);
            return Err(Mistake::new("sigma", what));
        }
        if self.steps == 0 {
            return Err(Mistake::new("steps", "`steps` is 0, expected at least 1"));
        }
        Ok(())
    }
}

/// The same time again and again.
pub fn fixed_level(this: This<FixedLevel>) -> Result<Times> {
    let path = Path::default();
    Ok(Times { t: vec![path.time(this.sigma); this.steps + 1], path, restarts: BTreeMap::new() })
}
