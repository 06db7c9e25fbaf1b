//! Preconditioning: how a raw network F becomes a denoiser D (equation 7, table 1 "Network and
//! preconditioning").

use serde::Deserialize;

use crate::setting::{positive, sigma_data};

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

/// A choice of preconditioning.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Scheme {
    /// The paper's own: input and training target of F have unit variance at every noise level.
    Edm {
        /// Standard deviation of the data, 0.5 unless given.
        #[serde(default = "sigma_data", deserialize_with = "positive")]
        sigma_data: f64,
    },
}

impl Default for Scheme {
    fn default() -> Self {
        Self::Edm { sigma_data: sigma_data() }
    }
}

impl Scheme {
    /// The coefficients at noise level `sigma`, which is above zero.
    pub fn coefficients(self, sigma: f64) -> Coefficients {
        match self {
            Self::Edm { sigma_data } => edm(sigma, sigma_data),
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
