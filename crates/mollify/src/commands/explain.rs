//! `mollify explain`: what the choices in a pipeline come to.

use std::path::Path;

use pipeline::Plugin;

use crate::explanation::Explanation;
use crate::problem::{Problem, print};
use crate::world;

/// Explains a pipeline; of a sweep its first point.
pub(crate) fn explain(file: &Path, settings: &[String], plugins: &[&dyn Plugin]) -> Result<(), Problem> {
    let points = world::points(file, settings)?;
    let settings = points.first().map_or(settings, |point| &point.settings);
    let (engine, pipeline) = world::wired(file, settings, plugins)?;
    print(&format!("{}\n{}", pipeline.about, Explanation::of(&engine)))
}
