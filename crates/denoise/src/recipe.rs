//! What a file of weights remembers of the denoiser that they belong to.

use diffusion::Scheme;
use ports::Architecture;
use serde::{Deserialize, Serialize};

/// How to build a denoiser again from its parameters: the `recipe` in the metadata of a file of weights, as
/// RON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    pub scheme: Scheme,
    /// The network with all its sizes, of images and labels too.
    pub network: Architecture,
}

impl Recipe {
    pub fn read(text: &str) -> Result<Self, String> {
        let unfit = |error: String| format!("no denoiser can be built from `{text}`: {error}");
        let recipe: Self = ron::from_str(text).map_err(|error| unfit(error.to_string()))?;
        recipe.scheme.check().map_err(unfit)?;
        Ok(recipe)
    }

    pub fn write(&self) -> String {
        ron::to_string(self).expect("sizes are plain data")
    }
}
