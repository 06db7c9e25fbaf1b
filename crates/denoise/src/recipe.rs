//! What a file of weights remembers of the denoiser that they belong to.

use diffusion::Scheme;
use ports::Architecture;
use serde::{Deserialize, Serialize};

/// How to build a denoiser again from its parameters: the `recipe` in the metadata of a file of weights, as
/// RON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    #[serde(serialize_with = "SchemeToWrite::serialize")]
    pub scheme: Scheme,
    /// The network with all its sizes, of images and labels too.
    pub network: Architecture,
}

impl Recipe {
    pub fn read(text: &str) -> Result<Self, String> {
        ron::from_str(text).map_err(|error| format!("no denoiser can be built from `{text}`: {error}"))
    }

    pub fn write(&self) -> String {
        ron::to_string(self).expect("sizes are plain data")
    }
}

/// [`Scheme`] can only be read.
#[derive(Serialize)]
#[serde(remote = "Scheme")]
enum SchemeToWrite {
    Edm { sigma_data: f64 },
}
