//! Loss weights: how much a noise level counts in training (table 1 "Loss weighting").

use serde::Deserialize;

use crate::SigmaData;

/// A choice of `lambda(sigma)`, by which the squared error of each pixel is multiplied. It goes with any
/// preconditioning and any noise distribution.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Weight {
    /// That of VP, `1 / sigma^2`: the squared error of the predicted noise.
    Vp,
    /// That of VE, which is the same `1 / sigma^2`.
    Ve,
    /// The paper's own, `1 / c_out^2`: an untrained network has a loss of about 1 at every noise level.
    Edm {
        /// Standard deviation of the data, one number or a list of one for each channel; 0.5 unless given.
        #[serde(default)]
        sigma_data: SigmaData,
    },
}

impl Default for Weight {
    fn default() -> Self {
        Self::Edm { sigma_data: SigmaData::default() }
    }
}

impl Weight {
    /// The weight of a channel at noise level `sigma`, which is above zero.
    pub fn lambda(&self, sigma: f64, channel: usize) -> f64 {
        match self {
            Self::Vp | Self::Ve => 1.0 / (sigma * sigma),
            Self::Edm { sigma_data } => {
                let sigma_data = sigma_data.of(channel);
                (sigma * sigma + sigma_data * sigma_data) / (sigma * sigma_data).powi(2)
            }
        }
    }

    /// Refuses a list for another number of channels than images have.
    pub fn check_channels(&self, channels: usize) -> Result<(), String> {
        match self {
            Self::Edm { sigma_data } => sigma_data.check_channels(channels),
            Self::Vp | Self::Ve => Ok(()),
        }
    }
}
