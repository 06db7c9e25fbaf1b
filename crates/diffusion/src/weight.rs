//! Loss weights: how much a noise level counts in training (table 1 "Loss weighting").

use serde::Deserialize;

use crate::setting::{positive, sigma_data};

/// A choice of `lambda(sigma)`, by which the squared error of each pixel is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Weight {
    /// The paper's own, `1 / c_out^2`: an untrained network has a loss of about 1 at every noise level.
    Edm {
        /// Standard deviation of the data, 0.5 unless given.
        #[serde(default = "sigma_data", deserialize_with = "positive")]
        sigma_data: f64,
    },
}

impl Default for Weight {
    fn default() -> Self {
        Self::Edm { sigma_data: sigma_data() }
    }
}

impl Weight {
    /// The weight at noise level `sigma`, which is above zero.
    pub fn lambda(self, sigma: f64) -> f64 {
        match self {
            Self::Edm { sigma_data } => {
                (sigma * sigma + sigma_data * sigma_data) / (sigma * sigma_data).powi(2)
            }
        }
    }
}
