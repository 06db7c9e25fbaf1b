//! The noise levels that sampling visits, highest first (equation 5, table 1 "Time steps").

use std::fmt;

use serde::Deserialize;

use crate::setting::positive;

/// A choice of how noise levels are spaced between `sigma_max` and `sigma_min`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Spacing {
    /// Evenly in `sigma^(1/rho)`: the larger `rho`, the shorter the steps near `sigma_min`.
    Edm {
        /// 7 unless given; 3 makes the error of all steps about equal.
        #[serde(default = "rho", deserialize_with = "positive")]
        rho: f64,
    },
}

fn rho() -> f64 {
    7.0
}

impl Default for Spacing {
    fn default() -> Self {
        Self::Edm { rho: rho() }
    }
}

impl Spacing {
    /// `t_0 … t_N` for `steps` = N: N noise levels from `sigma_max` down to `sigma_min`, then 0.
    pub fn time_steps(
        self,
        steps: usize,
        sigma_min: f64,
        sigma_max: f64,
    ) -> Result<Vec<f64>, TimeStepsError> {
        if steps < 2 {
            return Err(TimeStepsError::TooFewSteps(steps));
        }
        if !(sigma_min > 0.0 && sigma_max > sigma_min && sigma_max.is_finite()) {
            return Err(TimeStepsError::Range { sigma_min, sigma_max });
        }
        match self {
            Self::Edm { rho } => edm(steps, sigma_min, sigma_max, rho),
        }
    }
}

fn edm(steps: usize, sigma_min: f64, sigma_max: f64, rho: f64) -> Result<Vec<f64>, TimeStepsError> {
    let [low, high] = [sigma_min, sigma_max].map(|sigma| sigma.powf(1.0 / rho));
    let t = |i: usize| (high + i as f64 / (steps - 1) as f64 * (low - high)).powf(rho);
    let times: Vec<f64> = (0..steps).map(t).chain([0.0]).collect();
    // An extreme `rho` over- or underflows the powers, or rounds neighbours to the same level.
    let falling = times.is_sorted_by(|a, b| a > b) && times[0].is_finite();
    if rho > 0.0 && falling { Ok(times) } else { Err(TimeStepsError::Rho(rho)) }
}

/// Why there are no time steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeStepsError {
    /// One step would have to be `sigma_max` and `sigma_min` at once.
    TooFewSteps(usize),
    /// Not `0 < sigma_min < sigma_max`.
    Range {
        /// The lowest noise level asked for.
        sigma_min: f64,
        /// The highest noise level asked for.
        sigma_max: f64,
    },
    /// Not a number above zero for which the noise levels fall.
    Rho(f64),
}

impl fmt::Display for TimeStepsError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::TooFewSteps(steps) => write!(f, "`steps` must be at least 2, not {steps}"),
            Self::Range { sigma_min, sigma_max } => {
                write!(f, "noise levels must run from a low one above 0 up to a finite higher one, ")?;
                write!(f, "not from {sigma_min} to {sigma_max}")?;
                let swapped = sigma_max > &0.0 && sigma_min > sigma_max && sigma_min.is_finite();
                if swapped { write!(f, "; swap the two") } else { Ok(()) }
            }
            Self::Rho(rho) => {
                write!(
                    f,
                    "`rho` must be a number above 0 that keeps noise levels apart, such as 7, not {rho}"
                )
            }
        }
    }
}

impl std::error::Error for TimeStepsError {}
