//! `mollify check`: every mistake of every file, or what the files come to.

use std::path::{Path, PathBuf};

use pipeline::Plugin;

use crate::problem::{Problem, print};
use crate::world;

pub(crate) fn check(
    files: &[PathBuf],
    settings: &[String],
    mermaid: bool,
    plugins: &[&dyn Plugin],
) -> Result<(), Problem> {
    let mut problems = Problem::default();
    for file in files {
        match resolved(file, settings, mermaid, plugins) {
            Ok(text) if files.len() == 1 => print(&text)?,
            Ok(text) => print(&format!("{}\n\n{text}\n", file.display()))?,
            Err(problem) => problems.add(problem),
        }
    }
    problems.or_ok()
}

/// The resolved pipeline; of a sweep every point is wired and the first one shown.
fn resolved(
    file: &Path,
    settings: &[String],
    mermaid: bool,
    plugins: &[&dyn Plugin],
) -> Result<String, Problem> {
    let points = world::points(file, settings)?;
    let mut text = None;
    for point in &points {
        let (engine, _) = world::wired(file, &point.settings, plugins)?;
        text.get_or_insert_with(|| if mermaid { engine.mermaid() } else { engine.describe() });
    }
    let mut text = text.unwrap_or_default();
    if points.len() > 1 && !mermaid {
        text += &format!("\na sweep of {} points, of which this is the first:\n", points.len());
        points.iter().for_each(|point| text += &format!("  {}\n", point.name));
    }
    Ok(text)
}
