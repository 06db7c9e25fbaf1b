//! Preconditioning: how a raw network F becomes a denoiser D (equation 7, table 1 "Network and
//! preconditioning").

use serde::{Deserialize, Serialize};

use crate::iddpm::{C_1, C_2, TIMESTEPS};
use crate::setting::{not_negative, positive};
use crate::vp::{BETA_D, BETA_MIN, EPSILON_T};
use crate::{IddpmLevels, SigmaData, Vp};

/// The most time steps that a network may be told apart by.
const MOST_TIMESTEPS: usize = 100_000;

/// The numbers of `D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)` at one noise level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// How much of the noisy image passes by the network.
    pub c_skip: f64,
    /// Scales what the network puts out.
    pub c_out: f64,
    /// Scales the noisy image to unit variance for the network.
    pub c_in: f64,
    /// The noise level as the network is told it.
    pub c_noise: f64,
}

/// A choice of preconditioning: a column of table 1, with its constants.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub enum Scheme {
    /// For networks that predict the noise and are told a time of the variance preserving noise.
    Vp {
        /// 19.9 unless given.
        #[serde(default = "beta_d", deserialize_with = "positive")]
        beta_d: f64,
        /// 0.1 unless given.
        #[serde(default = "beta_min", deserialize_with = "not_negative")]
        beta_min: f64,
        /// M: the network is told `(M - 1) t`; 1000 unless given.
        #[serde(default = "timesteps")]
        timesteps: usize,
        /// The earliest time, which gives the lowest noise level; 1e-5 unless given.
        #[serde(default = "epsilon_t", deserialize_with = "positive")]
        epsilon_t: f64,
    },
    /// For networks that predict the negative noise and see the image as it is.
    Ve {
        /// The lowest noise level, 0.02 unless given.
        #[serde(default = "sigma_min", deserialize_with = "positive")]
        sigma_min: f64,
        /// The highest noise level, 100 unless given.
        #[serde(default = "sigma_max", deserialize_with = "positive")]
        sigma_max: f64,
    },
    /// For networks that know a table of noise levels only, and are told the place in it. Of networks that put
    /// out a variance as well, the first channels count.
    Iddpm {
        /// 0.001 unless given.
        #[serde(default = "c_1", deserialize_with = "positive")]
        c_1: f64,
        /// 0.008 unless given.
        #[serde(default = "c_2", deserialize_with = "not_negative")]
        c_2: f64,
        /// M, the number of noise levels; 1000 unless given.
        #[serde(default = "timesteps")]
        timesteps: usize,
    },
    /// The paper's own: input and training target of F have unit variance at every noise level.
    Edm {
        /// Standard deviation of the data, one number or a list of one for each channel; 0.5 unless given.
        #[serde(default)]
        sigma_data: SigmaData,
    },
}

fn beta_d() -> f64 {
    BETA_D
}

fn beta_min() -> f64 {
    BETA_MIN
}

fn timesteps() -> usize {
    TIMESTEPS
}

fn epsilon_t() -> f64 {
    EPSILON_T
}

fn sigma_min() -> f64 {
    0.02
}

fn sigma_max() -> f64 {
    100.0
}

fn c_1() -> f64 {
    C_1
}

fn c_2() -> f64 {
    C_2
}

impl Default for Scheme {
    fn default() -> Self {
        Self::Edm { sigma_data: SigmaData::default() }
    }
}

impl Scheme {
    /// The paper's VP.
    pub fn vp() -> Self {
        Self::Vp { beta_d: BETA_D, beta_min: BETA_MIN, timesteps: TIMESTEPS, epsilon_t: EPSILON_T }
    }

    /// The paper's VE.
    pub fn ve() -> Self {
        Self::Ve { sigma_min: sigma_min(), sigma_max: sigma_max() }
    }

    /// The paper's iDDPM.
    pub fn iddpm() -> Self {
        Self::Iddpm { c_1: C_1, c_2: C_2, timesteps: TIMESTEPS }
    }

    /// The coefficients of a channel at noise level `sigma`, which is above zero.
    pub fn coefficients(&self, sigma: f64, channel: usize) -> Coefficients {
        // Networks of VP and iDDPM predict the noise from an image of unit variance.
        let noise = |c_noise| Coefficients {
            c_skip: 1.0,
            c_out: -sigma,
            c_in: 1.0 / (sigma * sigma + 1.0).sqrt(),
            c_noise,
        };
        match *self {
            Self::Vp { beta_d, beta_min, timesteps, .. } => {
                noise((timesteps as f64 - 1.0) * Vp { beta_d, beta_min }.time(sigma))
            }
            Self::Ve { .. } => {
                Coefficients { c_skip: 1.0, c_out: sigma, c_in: 1.0, c_noise: (0.5 * sigma).ln() }
            }
            Self::Iddpm { c_1, c_2, timesteps } => {
                let place = IddpmLevels::new(c_1, c_2, timesteps).nearest(sigma);
                noise(timesteps as f64 - 1.0 - place as f64)
            }
            Self::Edm { ref sigma_data } => edm(sigma, sigma_data.of(channel)),
        }
    }

    /// The lowest and the highest noise level that a network of this kind has seen in training.
    pub fn sigma_range(&self) -> (f64, f64) {
        match *self {
            Self::Vp { beta_d, beta_min, epsilon_t, .. } => {
                let vp = Vp { beta_d, beta_min };
                (vp.sigma(epsilon_t), vp.sigma(1.0))
            }
            Self::Ve { sigma_min, sigma_max } => (sigma_min, sigma_max),
            Self::Iddpm { c_1, c_2, timesteps } => match IddpmLevels::new(c_1, c_2, timesteps).all() {
                [highest, .., lowest, _] => (*lowest, *highest),
                levels => (levels[0], levels[0]),
            },
            Self::Edm { .. } => (0.0, f64::INFINITY),
        }
    }

    /// The noise level nearest to `sigma` that the network knows: an entry of the table of iDDPM, whose last
    /// is 0; `sigma` itself for all others.
    pub fn round_sigma(&self, sigma: f64) -> f64 {
        match *self {
            Self::Iddpm { c_1, c_2, timesteps } => {
                let levels = IddpmLevels::new(c_1, c_2, timesteps);
                levels.all()[levels.nearest(sigma)]
            }
            _ => sigma,
        }
    }

    /// Refuses constants that contradict each other, and says what to do.
    pub fn check(&self) -> Result<(), String> {
        if let Self::Vp { timesteps, .. } | Self::Iddpm { timesteps, .. } = *self
            && !(2..=MOST_TIMESTEPS).contains(&timesteps)
        {
            return Err(format!("`timesteps` is {timesteps}, expected 2 to {MOST_TIMESTEPS}, such as 1000"));
        }
        let (low, high) = self.sigma_range();
        match *self {
            Self::Vp { epsilon_t, .. } if epsilon_t >= 1.0 => {
                Err(format!("`epsilon_t` is {epsilon_t}, expected a time above 0 and below 1, such as 1e-5"))
            }
            Self::Vp { .. } if !high.is_finite() => {
                Err("the noise level at time 1 is infinite; lower `beta_d` or `beta_min`".into())
            }
            Self::Ve { .. } if low >= high => {
                Err(format!("`sigma_min` is {low} and `sigma_max` {high}; swap the two"))
            }
            Self::Iddpm { c_1, c_2, timesteps } => {
                let falls = |levels: &[f64]| levels.is_sorted_by(|a, b| a > b) && levels[0].is_finite();
                if falls(IddpmLevels::new(c_1, c_2, timesteps).all()) {
                    return Ok(());
                }
                let what = "the noise levels of these constants do not fall from a finite one to 0";
                Err(format!("{what}; the paper has `c_1: 0.001` and `c_2: 0.008`"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a list for another number of channels than images have.
    pub fn check_channels(&self, channels: usize) -> Result<(), String> {
        match self {
            Self::Edm { sigma_data } => sigma_data.check_channels(channels),
            _ => Ok(()),
        }
    }
}

fn edm(sigma: f64, sigma_data: f64) -> Coefficients {
    let variance = sigma * sigma + sigma_data * sigma_data;
    Coefficients {
        c_skip: sigma_data * sigma_data / variance,
        c_out: sigma * sigma_data / variance.sqrt(),
        c_in: 1.0 / variance.sqrt(),
        c_noise: sigma.ln() / 4.0,
    }
}
