//! How noise and scale depend on time (table 1 "Schedule" and "Scaling"): the ODE that sampling solves.

use serde::{Deserialize, Serialize};

use crate::Vp;
use crate::setting::positive;

/// A choice of `sigma(t)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Schedule {
    /// That of VP, laid through the highest noise level at time 1 and the lowest at time `epsilon_s`.
    Vp {
        /// The time of the lowest noise level, 0.001 unless given.
        #[serde(default = "epsilon_s", deserialize_with = "positive")]
        epsilon_s: f64,
    },
    /// That of VE: `sigma = sqrt(t)`.
    Ve,
    /// The paper's own: time is the noise level.
    #[default]
    Linear,
}

/// A choice of `s(t)`, by which images at time t are multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Scaling {
    /// That of VP, `1 / sqrt(1 + sigma²)`: noisy images of data of unit variance keep it.
    Vp,
    /// The paper's own: images are not scaled, `s = 1`.
    #[default]
    Unit,
}

/// The paper's `epsilon_s`.
pub(crate) fn epsilon_s() -> f64 {
    1e-3
}

impl Schedule {
    /// The ODE of this schedule with that scaling between two noise levels.
    pub fn path(self, scaling: Scaling, sigma_min: f64, sigma_max: f64) -> Path {
        let noise = match self {
            Self::Vp { epsilon_s } => Noise::Vp(Vp::through(sigma_min, epsilon_s, sigma_max)),
            Self::Ve => Noise::Ve,
            Self::Linear => Noise::Linear,
        };
        Path { noise, scaling }
    }
}

impl Vp {
    /// The one that has noise level `sigma_min` at time `epsilon_s` and `sigma_max` at time 1.
    pub fn through(sigma_min: f64, epsilon_s: f64, sigma_max: f64) -> Self {
        let [low, high] = [sigma_min, sigma_max].map(|sigma| (sigma * sigma).ln_1p());
        let beta_d = 2.0 * (low / epsilon_s - high) / (epsilon_s - 1.0);
        Self { beta_d, beta_min: high - 0.5 * beta_d }
    }
}

/// What images go through while they are sampled: at time t they are `s(t) (y + sigma(t) n)`, where y is
/// clean and n unit noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Path {
    noise: Noise,
    scaling: Scaling,
}

/// A schedule between two noise levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Noise {
    Vp(Vp),
    Ve,
    #[default]
    Linear,
}

impl Path {
    /// `sigma(t)`.
    pub fn sigma(self, t: f64) -> f64 {
        match self.noise {
            Noise::Vp(vp) => vp.sigma(t),
            Noise::Ve => t.sqrt(),
            Noise::Linear => t,
        }
    }

    /// The time of a noise level: the inverse of [`sigma`](Self::sigma).
    pub fn time(self, sigma: f64) -> f64 {
        match self.noise {
            Noise::Vp(vp) => vp.time(sigma),
            Noise::Ve => sigma * sigma,
            Noise::Linear => sigma,
        }
    }

    /// `s(t)`.
    pub fn scale(self, t: f64) -> f64 {
        match self.scaling {
            Scaling::Vp => 1.0 / (1.0 + self.sigma(t).powi(2)).sqrt(),
            Scaling::Unit => 1.0,
        }
    }

    /// `dx/dt` at a time above 0.
    pub fn slope(self, t: f64) -> Slope {
        let tau = match self.noise {
            Noise::Vp(Vp { beta_d, beta_min }) => {
                let variance = self.sigma(t).powi(2);
                2.0 * variance / ((beta_min + beta_d * t) * (variance + 1.0))
            }
            Noise::Ve => 2.0 * t,
            Noise::Linear => t,
        };
        let scale = self.scale(t);
        // s'/s is -σ σ' s² for VP, and 1 - σ² s² is s².
        let keep = match self.scaling {
            Scaling::Vp => scale * scale,
            Scaling::Unit => 1.0,
        };
        Slope { keep, scale, tau }
    }
}

/// The right side of the ODE (equation 4, with D in the place of the score; equation 81): `dx/dt = (keep x -
/// scale D) / tau`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// `1 + tau s'/s`.
    pub keep: f64,
    /// `s`.
    pub scale: f64,
    /// `sigma / sigma'`: the time in which the noise would be gone at its present rate.
    pub tau: f64,
}
