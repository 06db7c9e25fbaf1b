//! What nodes may know about the run that they are part of.

use std::path::PathBuf;

use bevy_ecs::prelude::*;

/// The run: set by whoever starts it, and not there in a world that only wires.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct Run {
    pub name: String,
    /// Where checkpoints and metrics go.
    pub folder: PathBuf,
    /// The resolved pipeline: RON.
    pub pipeline: String,
}
