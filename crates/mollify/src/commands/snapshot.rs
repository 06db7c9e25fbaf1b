//! `mollify snapshot`: what every node of a pipeline ends with, beside the pipeline.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use pipeline::{Engine, Plugin, Tick};

use crate::args::Hardware;
use crate::problem::{Problem, print};
use crate::snapshot_file::SnapshotFile;
use crate::statistics::Statistics;
use crate::values::Values;
use crate::{device, run_folder, world};

pub(crate) fn snapshot(
    files: &[PathBuf],
    check: bool,
    settings: &[String],
    hardware: &Hardware,
    plugins: &[&dyn Plugin],
) -> Result<(), Problem> {
    let mut problems = Problem::default();
    for file in files {
        match taken(file, settings, hardware, plugins).and_then(|text| compared(file, text, check)) {
            Ok(line) => print(&line)?,
            Err(problem) => problems.add(problem),
        }
    }
    problems.or_ok()
}

fn compared(file: &Path, text: String, check: bool) -> Result<String, Problem> {
    let snapshot = SnapshotFile::beside(file, text);
    if check {
        snapshot.check()?;
        Ok(format!("{} is as in {}\n", file.display(), snapshot.path().display()))
    } else {
        snapshot.write()?;
        Ok(format!("{}\n", snapshot.path().display()))
    }
}

/// Runs each point of a pipeline, with a run folder that is gone afterwards, and describes it.
fn taken(
    file: &Path,
    settings: &[String],
    hardware: &Hardware,
    plugins: &[&dyn Plugin],
) -> Result<String, Problem> {
    let machine = device::open(hardware)?.machine;
    let mut text = String::new();
    for point in world::points(file, settings)? {
        let (mut engine, pipeline) = world::wired(file, &point.settings, plugins)?;
        let folder = run_folder::Scratch::new()?;
        engine.world.insert_resource(machine.clone());
        engine.world.insert_resource(folder.run(file, &pipeline));
        engine.run()?;
        if !point.name.is_empty() {
            text += &format!("## {}\n\n", point.name);
        }
        text += &format!("{}\n{}\n", engine.describe(), values(&engine)?);
    }
    Ok(text)
}

/// A line for each value, in running order.
fn values(engine: &Engine) -> Result<String, Problem> {
    let mut out = format!("after {} ticks:\n", engine.world.resource::<Tick>().0);
    for name in engine.nodes() {
        let Some(node) = engine.find(name) else { continue };
        let values = Values::of(&engine.world, node);
        let values =
            values.map_err(|error| Problem::new(format!("`{name}` cannot be summarised: {error}")))?;
        for (port, numbers) in values {
            writeln!(out, "  {name}: {port} {:?}, {}", numbers.shape, Statistics::of(&numbers.values))
                .expect("strings take all");
        }
    }
    Ok(out)
}
