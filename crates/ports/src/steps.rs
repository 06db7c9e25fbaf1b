//! The steps of sampling.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use diffusion::Path;
use serde::{Deserialize, Serialize};

/// The time steps t_0 … t_N of a sampling run.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct Times {
    /// Times, of which the last is 0. They fall but for restarts.
    pub t: Vec<f64>,
    /// What noise level and what scale images have at a time.
    pub path: Path,
    /// The steps that begin with fresh noise, and the times it takes images to.
    pub restarts: BTreeMap<usize, f64>,
}

/// One step of a sampling run, from one time to the next.
#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// From 0 to `steps - 1`.
    pub index: usize,
    pub steps: usize,
    /// t_i, at the start.
    pub from: f64,
    /// t_{i+1}, at the end; 0 in the last step.
    pub to: f64,
    /// Where images are to be taken by fresh noise before the step, if anywhere.
    pub restart: Option<f64>,
    /// The time of the images that this belongs to: `from`, `to`, or t̂_i, after noise was added.
    pub at: f64,
    pub path: Path,
    /// How many evaluations of networks these images have cost so far, each.
    pub evaluations: usize,
    /// How often fresh noise has taken these images up so far.
    pub climbs: u32,
}

impl Step {
    pub fn is_last(&self) -> bool {
        self.index + 1 == self.steps
    }

    /// The noise level of the images that this belongs to.
    pub fn sigma(&self) -> f64 {
        self.path.sigma(self.at)
    }
}
