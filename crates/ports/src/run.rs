//! What nodes may know about the run that they are part of.

use std::path::PathBuf;

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;

/// The run: set by whoever starts it, and not there in a world that only wires.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct Run {
    pub name: String,
    /// Where checkpoints and metrics go.
    pub folder: PathBuf,
    /// The resolved pipeline: RON.
    pub pipeline: String,
}

/// The place `{run}` in names of files: the folder of the run.
#[derive(SystemParam)]
pub struct RunFolder<'w>(Option<Res<'w, Run>>);

impl RunFolder<'_> {
    pub const PLACE: &'static str = "{run}";

    /// The name with its place filled in.
    ///
    /// # Errors
    /// If it names the folder of the run in a world that has none.
    pub fn fill(&self, name: &str) -> Result<String> {
        match &self.0 {
            Some(run) => Ok(name.replace(Self::PLACE, &run.folder.to_string_lossy())),
            None if name.contains(Self::PLACE) => {
                Err(format!("`{name}` names the folder of the run, which has none").into())
            }
            None => Ok(name.to_owned()),
        }
    }
}
