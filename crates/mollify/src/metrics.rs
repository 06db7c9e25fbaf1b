//! Metrics as JSON lines in the run folder: `{"tick": 1200, "images": 76800, "loss": 0.431}`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bevy_ecs::prelude::*;
use pipeline::{After, Engine, Metric, Tick};
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::progress::images_seen;

const FILE: &str = "metrics.jsonl";

#[derive(Resource)]
struct Log {
    path: PathBuf,
    file: File,
}

/// Writes every metric of this engine's run into its folder, behind those of its first `ticks` ticks.
///
/// Later lines come from ticks that a resumed run does again, so they are taken out; so is a line without an end.
pub(crate) fn log(engine: &mut Engine, folder: &Path, ticks: u64) -> Result<(), Problem> {
    let path = folder.join(FILE);
    let kept = keep_until(&path, ticks).map_err(|error| cannot_write(&path, &error))?;
    checkpoint::write_whole(&path, |file| file.write_all(kept.as_bytes()))?;
    let file = OpenOptions::new().append(true).open(&path).map_err(|error| cannot_write(&path, &error))?;
    engine.world.insert_resource(Log { path, file });
    engine.add_systems(After, write_metrics.after(ports::read_gauges));
    Ok(())
}

/// The lines of earlier ticks.
fn keep_until(path: &Path, ticks: u64) -> io::Result<String> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        text => text?,
    };
    let tick = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("tick")?.as_u64();
    let kept = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n') && tick(line).is_some_and(|tick| tick <= ticks));
    Ok(kept.collect())
}

/// One line for each tick that told anything.
fn write_metrics(
    mut metrics: MessageReader<Metric>,
    mut log: ResMut<Log>,
    tick: Res<Tick>,
    images: Query<&ports::Images>,
) -> Result {
    let told: BTreeMap<&str, f64> = metrics.read().map(|metric| (metric.name, metric.value)).collect();
    if told.is_empty() {
        return Ok(());
    }
    let mut line = format!("{{\"tick\": {}", tick.0 + 1);
    if let Some(images) = images_seen(images.iter()) {
        line += &format!(", \"images\": {images}");
    }
    for (name, value) in told {
        line += &format!(", {}: {}", json!(name), json!(value));
    }
    line += "}\n";
    let path = log.path.clone();
    log.file
        .write_all(line.as_bytes())
        .map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
    Ok(())
}

fn cannot_write(path: &Path, error: &io::Error) -> Problem {
    Problem::new(format!("cannot write `{}`: {error}", path.display()))
}
