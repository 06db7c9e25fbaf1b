//! Variance preserving noise (table 1, column "VP"): noise levels as times from 0 to 1.

use serde::{Deserialize, Serialize};

/// `beta_d` in the paper.
pub const BETA_D: f64 = 19.9;

/// `beta_min` in the paper.
pub const BETA_MIN: f64 = 0.1;

/// `epsilon_t` in the paper: the earliest time that training visits.
pub const EPSILON_T: f64 = 1e-5;

/// `sigma(t) = sqrt(exp(beta_d t² / 2 + beta_min t) - 1)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vp {
    /// How fast the rate at which noise comes in grows with time.
    pub beta_d: f64,
    /// That rate at time 0.
    pub beta_min: f64,
}

impl Default for Vp {
    fn default() -> Self {
        Self { beta_d: BETA_D, beta_min: BETA_MIN }
    }
}

impl Vp {
    /// The noise level at time `t`.
    pub fn sigma(self, t: f64) -> f64 {
        (0.5 * self.beta_d * t * t + self.beta_min * t).exp_m1().sqrt()
    }

    /// The time of noise level `sigma`: the inverse of [`sigma`](Self::sigma).
    pub fn time(self, sigma: f64) -> f64 {
        let log = (sigma * sigma).ln_1p();
        // As `(root - beta_min) / beta_d` it would lose all digits at little noise.
        2.0 * log / (self.beta_min + (self.beta_min * self.beta_min + 2.0 * self.beta_d * log).sqrt())
    }
}
