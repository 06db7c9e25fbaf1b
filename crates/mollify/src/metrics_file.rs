//! Metrics and timings as JSON lines in the run folder: `{"tick": 1200, "images": 76800, "loss": 0.431}`.
//!
//! Metrics are about results, and a resumed run repeats them byte for byte. Timings are about the machine, so they have a
//! file of their own, which is there if any node tells any.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bevy_ecs::prelude::*;
use pipeline::{After, Engine, Metric, Tick, Timing};
use ports::{Gauges, Images};
use serde_json::json;

use crate::json_lines::{JsonLines, Line};
use crate::problem::Problem;
use crate::progress::images_seen;

const METRICS: &str = "metrics.jsonl";
const TIMINGS: &str = "timings.jsonl";
const IMAGES: &str = "images";

#[derive(Resource)]
struct Metrics {
    file: JsonLines,
    /// The lines that are not written yet, by tick.
    lines: BTreeMap<u64, Line>,
}

#[derive(Resource)]
struct Timings {
    path: PathBuf,
    file: Option<JsonLines>,
}

/// Writes every metric and timing of this engine's run into its folder, behind those of its first `ticks` ticks.
pub(crate) fn log(engine: &mut Engine, folder: &Path, ticks: u64) -> Result<(), Problem> {
    let file = JsonLines::behind(folder.join(METRICS), ticks).map_err(Problem::new)?;
    engine.world.insert_resource(Metrics { file, lines: BTreeMap::new() });
    let path = folder.join(TIMINGS);
    let file = path.exists().then(|| JsonLines::behind(path.clone(), ticks));
    let file = file.transpose().map_err(Problem::new)?;
    engine.world.insert_resource(Timings { path, file });
    // A state that is saved must not know more than the metrics say: resuming from it would leave a gap.
    engine.add_systems(After, write_metrics.after(ports::read_gauges).before(train::write_checkpoints));
    engine.add_systems(After, write_timings);
    Ok(())
}

/// A line for each tick that told anything, as soon as nothing of that tick is missing.
fn write_metrics(
    mut metrics: MessageReader<Metric>,
    mut log: ResMut<Metrics>,
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
    Ok(log.file.add(told.map(|(tick, numbers)| (*tick, numbers)))?)
}

/// A line for each tick that told any.
fn write_timings(
    mut timings: MessageReader<Timing>,
    mut log: ResMut<Timings>,
    tick: Res<Tick>,
) -> Result<(), BevyError> {
    let line: Line = timings.read().map(|Timing { name, value }| (*name, json!(value))).collect();
    if line.is_empty() {
        return Ok(());
    }
    let Timings { path, file } = &mut *log;
    let file = match file {
        Some(file) => file,
        None => file.insert(JsonLines::behind(path.clone(), tick.0)?),
    };
    Ok(file.add([(tick.0, &line)].into_iter())?)
}
