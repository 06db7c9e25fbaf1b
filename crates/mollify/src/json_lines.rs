//! Files of JSON lines in the run folder, each of which begins with its tick: `{"tick": 1200, "loss": 0.431}`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The numbers of one tick, by name.
pub(crate) type Line = BTreeMap<&'static str, Value>;

/// A file that lines are put behind.
pub(crate) struct JsonLines {
    path: PathBuf,
    file: File,
}

impl JsonLines {
    /// Opens a file behind the lines of its first `ticks` ticks.
    ///
    /// Later lines come from ticks that a resumed run does again, so they are taken out; so is a line without an end.
    pub(crate) fn behind(path: PathBuf, ticks: u64) -> Result<Self, String> {
        let failed = |error| cannot_write(&path, &error);
        let kept = keep_until(&path, ticks).map_err(failed)?;
        checkpoint::write_whole(&path, |file| file.write_all(kept.as_bytes()))
            .map_err(|error| error.to_string())?;
        let file = OpenOptions::new().append(true).open(&path).map_err(failed)?;
        Ok(Self { path, file })
    }

    /// Adds a line for each tick; ticks are counted from 0 here, and as those that are done in the file.
    pub(crate) fn add<'a>(&mut self, lines: impl Iterator<Item = (u64, &'a Line)>) -> Result<(), String> {
        let text: String = lines.map(|(tick, numbers)| line(tick + 1, numbers)).collect();
        self.file.write_all(text.as_bytes()).map_err(|error| cannot_write(&self.path, &error))
    }
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

fn line(ticks: u64, numbers: &Line) -> String {
    let numbers: String = numbers.iter().map(|(name, value)| format!(", {}: {value}", json!(name))).collect();
    format!("{{\"tick\": {ticks}{numbers}}}\n")
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("cannot write `{}`: {error}", path.display())
}
