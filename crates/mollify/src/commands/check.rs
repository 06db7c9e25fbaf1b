//! `mollify check`: every mistake of every file, or what the files come to.

use std::path::{Path, PathBuf};

use gpu::Offer;
use pipeline::Plugin;

use crate::args::DeviceChoice;
use crate::problem::{Problem, print};
use crate::{device, plan, world};

pub(crate) fn check(
    files: &[PathBuf],
    settings: &[String],
    mermaid: bool,
    device: Option<&DeviceChoice>,
    plugins: &[&dyn Plugin],
) -> Result<(), Problem> {
    let offer = device.map(device::offer).transpose()?;
    let mut problems = Problem::default();
    for file in files {
        match resolved(file, settings, mermaid, offer, plugins) {
            Ok(text) if files.len() == 1 => print(&text)?,
            Ok(text) => print(&format!("{}\n\n{text}\n", file.display()))?,
            Err(problem) => problems.add(problem),
        }
    }
    problems.or_ok()
}

/// The resolved pipeline, with what it takes of a GPU if there is one; of a sweep every point is wired and the first one
/// shown.
fn resolved(
    file: &Path,
    settings: &[String],
    mermaid: bool,
    offer: Option<Offer>,
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
    if let (Some(offer), Some(first)) = (offer, points.first()) {
        let lines = plan::lines(file, &first.settings, plugins, offer)?;
        text += "\n";
        lines.iter().for_each(|line| text += &format!("{line}\n"));
    }
    Ok(text)
}
