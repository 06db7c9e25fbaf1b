//! Metrics as JSON lines in the run folder: `{"tick": 1200, "images": 76800, "loss": 0.431}`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bevy_ecs::prelude::*;
use pipeline::{After, Engine, Metric, Tick};
use ports::{Gauges, Images};
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::progress::images_seen;

const FILE: &str = "metrics.jsonl";
const IMAGES: &str = "images";

#[derive(Resource)]
struct Log {
    path: PathBuf,
    file: File,
    /// The lines that are not written yet, by tick: name and JSON of each number.
    lines: BTreeMap<u64, BTreeMap<&'static str, Value>>,
}

/// Writes every metric of this engine's run into its folder, behind those of its first `ticks` ticks.
///
/// Later lines come from ticks that a resumed run does again, so they are taken out; so is a line without an end.
pub(crate) fn log(engine: &mut Engine, folder: &Path, ticks: u64) -> Result<(), Problem> {
    let path = folder.join(FILE);
    let kept = keep_until(&path, ticks).map_err(|error| cannot_write(&path, &error))?;
    checkpoint::write_whole(&path, |file| file.write_all(kept.as_bytes()))?;
    let file = OpenOptions::new().append(true).open(&path).map_err(|error| cannot_write(&path, &error))?;
    engine.world.insert_resource(Log { path, file, lines: BTreeMap::new() });
    // A state that is saved must not know more than the metrics say: resuming from it would leave a gap.
    engine.add_systems(After, write_metrics.after(ports::read_gauges).before(train::write_checkpoints));
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

/// A line for each tick that told anything, as soon as nothing of that tick is missing.
fn write_metrics(
    mut metrics: MessageReader<Metric>,
    mut log: ResMut<Log>,
    gauges: Res<Gauges>,
    tick: Res<Tick>,
    images: Query<Ref<Images>>,
) -> Result {
    for Metric { name, tick, value } in metrics.read() {
        log.lines.entry(*tick).or_default().insert(name, json!(value));
    }
    if let Some(seen) = images_seen(images.iter()) {
        log.lines.entry(tick.0).or_default().insert(IMAGES, json!(seen));
    }
    let missing = log.lines.split_off(&gauges.oldest().unwrap_or(u64::MAX));
    let lines = std::mem::replace(&mut log.lines, missing);
    let told = lines.iter().filter(|(_, numbers)| numbers.keys().any(|name| *name != IMAGES));
    let text: String = told.map(|(tick, numbers)| line(tick + 1, numbers)).collect();
    let written = log.file.write_all(text.as_bytes());
    Ok(written.map_err(|error| format!("cannot write `{}`: {error}", log.path.display()))?)
}

/// JSON that begins with the tick, counted as ticks that are done.
fn line(ticks: u64, numbers: &BTreeMap<&str, Value>) -> String {
    let numbers: String = numbers.iter().map(|(name, value)| format!(", {}: {value}", json!(name))).collect();
    format!("{{\"tick\": {ticks}{numbers}}}\n")
}

fn cannot_write(path: &Path, error: &io::Error) -> Problem {
    Problem::new(format!("cannot write `{}`: {error}", path.display()))
}
