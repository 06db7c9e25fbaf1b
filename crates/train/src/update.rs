//! How far training is.

use bevy_ecs::prelude::*;

/// Beside parameters that are being trained: which images changed them last.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// How many images the run had seen before.
    pub before: u64,
    /// How many images this update learnt from.
    pub batch: usize,
}

impl Update {
    /// How many images the run has seen.
    pub fn images(self) -> u64 {
        self.before + self.batch as u64
    }
}
