//! The noise levels that sampling visits, highest first (equation 5, table 1 "Time steps").

use std::fmt;

use serde::Deserialize;

use crate::schedule::epsilon_s;
use crate::setting::{not_negative, positive};
use crate::{C_1, C_2, IddpmLevels, TIMESTEPS, Vp};

/// A choice of how noise levels are spaced between `sigma_max` and `sigma_min`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Spacing {
    /// Evenly in the time of VP.
    Vp {
        /// The time of `sigma_min`, where that of `sigma_max` is 1; 0.001 unless given.
        #[serde(default = "epsilon_s", deserialize_with = "positive")]
        epsilon_s: f64,
    },
    /// Evenly in `ln(sigma)`.
    Ve,
    /// Evenly in the table of noise levels of iDDPM.
    Iddpm {
        /// 0.001 unless given.
        #[serde(default = "c_1", deserialize_with = "positive")]
        c_1: f64,
        /// 0.008 unless given.
        #[serde(default = "c_2", deserialize_with = "not_negative")]
        c_2: f64,
        /// M, how many levels the table has; 1000 unless given.
        #[serde(default = "timesteps")]
        timesteps: usize,
    },
    /// Evenly in `sigma^(1/rho)`: the larger `rho`, the shorter the steps near `sigma_min`.
    Edm {
        /// 7 unless given; 3 makes the error of all steps about equal.
        #[serde(default = "rho", deserialize_with = "positive")]
        rho: f64,
    },
}

fn c_1() -> f64 {
    C_1
}

fn c_2() -> f64 {
    C_2
}

fn timesteps() -> usize {
    TIMESTEPS
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
    /// The lowest and the highest noise level that the paper samples between with this spacing.
    pub fn sigma_range(self) -> (f64, f64) {
        match self {
            Self::Vp { epsilon_s } => (Vp::default().sigma(epsilon_s), Vp::default().sigma(1.0)),
            Self::Ve => (0.02, 100.0),
            Self::Iddpm { .. } => (0.002, 81.0),
            Self::Edm { .. } => (0.002, 80.0),
        }
    }

    /// `steps` = N noise levels from `sigma_max` down to `sigma_min`, then 0. Those of iDDPM are the levels of
    /// its table that lie within.
    pub fn noise_levels(
        self,
        steps: usize,
        sigma_min: f64,
        sigma_max: f64,
    ) -> Result<Vec<f64>, TimeStepsError> {
        if steps < 2 {
            return Err(TimeStepsError::TooFewSteps(steps));
        }
        if steps > MOST_STEPS {
            return Err(TimeStepsError::BeyondMost(steps));
        }
        if matches!(self, Self::Vp { epsilon_s } if epsilon_s >= 1.0) {
            return Err(TimeStepsError::Constants(self));
        }
        if !(sigma_min > 0.0 && sigma_max > sigma_min && sigma_max.is_finite()) {
            return Err(TimeStepsError::Range { sigma_min, sigma_max });
        }
        let share = |i: usize| i as f64 / (steps - 1) as f64;
        let mut levels: Vec<f64> = match self {
            Self::Vp { epsilon_s } => {
                let vp = Vp::through(sigma_min, epsilon_s, sigma_max);
                (0..steps).map(|i| vp.sigma(1.0 + share(i) * (epsilon_s - 1.0))).collect()
            }
            Self::Ve => {
                let [low, high] = [sigma_min, sigma_max].map(|sigma| sigma * sigma);
                (0..steps).map(|i| (high * (low / high).powf(share(i))).sqrt()).collect()
            }
            Self::Iddpm { timesteps, .. } if !(2..=MOST_TIMESTEPS).contains(&timesteps) => {
                return Err(TimeStepsError::Constants(self));
            }
            Self::Iddpm { c_1, c_2, timesteps } => {
                let table = IddpmLevels::new(c_1, c_2, timesteps);
                let known = |level: &f64| (sigma_min..=sigma_max).contains(level);
                entries(&table.all().iter().copied().filter(known).collect::<Vec<_>>(), steps)?
            }
            Self::Edm { rho } => {
                let [low, high] = [sigma_min, sigma_max].map(|sigma| sigma.powf(1.0 / rho));
                (0..steps).map(|i| (high + share(i) * (low - high)).powf(rho)).collect()
            }
        };
        levels.push(0.0);
        // Extreme constants over- or underflow the powers, or round neighbours to the same level.
        let possible = !matches!(self, Self::Edm { rho } if rho <= 0.0 || rho.is_nan());
        let falling = possible && levels.is_sorted_by(|a, b| a > b) && levels[0].is_finite();
        if falling { Ok(levels) } else { Err(TimeStepsError::Constants(self)) }
    }
}

/// More steps are a slip of the keyboard.
const MOST_STEPS: usize = 1_000_000;

/// The most noise levels that a table may have.
const MOST_TIMESTEPS: usize = 100_000;

/// `steps` entries of a table, evenly by their place and with both ends.
fn entries(table: &[f64], steps: usize) -> Result<Vec<f64>, TimeStepsError> {
    if table.len() < steps {
        return Err(TimeStepsError::TooManySteps { steps, levels: table.len() });
    }
    let stride = (table.len() - 1) as f64 / (steps - 1) as f64;
    Ok((0..steps).map(|i| table[(stride * i as f64).round_ties_even() as usize]).collect())
}

/// Why there are no time steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeStepsError {
    /// One step would have to be `sigma_max` and `sigma_min` at once.
    TooFewSteps(usize),
    /// More steps than anybody means.
    BeyondMost(usize),
    /// More steps than a table has noise levels.
    TooManySteps {
        /// How many were asked for.
        steps: usize,
        /// How many levels of the table are in the range.
        levels: usize,
    },
    /// Not `0 < sigma_min < sigma_max`.
    Range {
        /// The lowest noise level asked for.
        sigma_min: f64,
        /// The highest noise level asked for.
        sigma_max: f64,
    },
    /// Constants of the spacing with which the noise levels do not fall.
    Constants(Spacing),
}

impl fmt::Display for TimeStepsError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::TooFewSteps(steps) => write!(f, "`steps` must be at least 2, not {steps}"),
            Self::BeyondMost(steps) => write!(f, "`steps` is {steps}, expected at most {MOST_STEPS}"),
            Self::TooManySteps { steps, levels } => {
                write!(f, "`steps` is {steps}, but only {levels} noise levels of iDDPM are in the range")
            }
            Self::Range { sigma_min, sigma_max } => {
                write!(f, "noise levels must run from a low one above 0 up to a finite higher one, ")?;
                write!(f, "not from {sigma_min} to {sigma_max}")?;
                let swapped = sigma_max > &0.0 && sigma_min > sigma_max && sigma_min.is_finite();
                if swapped { write!(f, "; swap the two") } else { Ok(()) }
            }
            Self::Constants(Spacing::Edm { rho }) => {
                write!(
                    f,
                    "`rho` must be a number above 0 that keeps noise levels apart, such as 7, not {rho}"
                )
            }
            Self::Constants(Spacing::Vp { epsilon_s }) => {
                write!(f, "`epsilon_s` must be above 0 and far below 1, such as 0.001, not {epsilon_s}")
            }
            Self::Constants(Spacing::Iddpm { timesteps, .. })
                if !(2..=MOST_TIMESTEPS).contains(timesteps) =>
            {
                write!(f, "`timesteps` is {timesteps}, expected 2 to {MOST_TIMESTEPS}, such as 1000")
            }
            Self::Constants(Spacing::Iddpm { .. }) => {
                write!(
                    f,
                    "the noise levels of these constants do not fall; the paper has `c_1: 0.001` and "
                )?;
                write!(f, "`c_2: 0.008`")
            }
            Self::Constants(Spacing::Ve) => write!(f, "the noise levels are too near to be told apart"),
        }
    }
}

impl std::error::Error for TimeStepsError {}
