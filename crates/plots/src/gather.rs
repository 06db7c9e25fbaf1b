//! Numbers of earlier runs.

use std::fs;
use std::path::{Path, PathBuf};

use bevy_ecs::prelude::*;
use pipeline::{Constant, Mistake, Node, This};
use ports::{Cell, SideBySide, Table};
use serde::Deserialize;
use serde_json::Value;

use crate::csv::{cell, from_csv};

/// Settings of what is gathered.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Gather {
    at: PathBuf,
    #[serde(default = "metrics")]
    file: String,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    last: bool,
}

fn metrics() -> String {
    "metrics.jsonl".to_owned()
}

impl Node for Gather {
    type Value = Table;

    const DOC: &'static str = "Reads what earlier runs have measured: their metrics, or a table each.\n\
        Of a sweep it reads the file of every point, and adds the settings of the point as columns: the file in \
        `runs/nfe/steps=18,hat.amount=0.0` has `steps` and `hat.amount`.\n\
        Scores of different `n`, or of other networks' features, are refused, unless `n` is such a setting.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("at", "the folder of a run or of a sweep: `\"runs/quickstart\"`"),
        ("file", "a `.csv` file in it, such as a `SaveTable` writes; `metrics.jsonl` unless given"),
        (
            "columns",
            "which columns; of metrics, where they have to be given, the lines that have all of them",
        ),
        ("last", "whether only the last line of each file is taken, false unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        let metrics = self.file.ends_with(".jsonl");
        if metrics && self.columns.is_empty() {
            let what = format!("`{}` has other numbers in each line", self.file);
            return Err(Mistake::new("file", what).help("say which: `columns: [\"images\", \"loss\"]`"));
        }
        if metrics || self.file.ends_with(".csv") {
            return Ok(());
        }
        Err(Mistake::new("file", format!("`{}` ends in neither `.csv` nor `.jsonl`", self.file)))
    }
}

/// Reads the files.
pub fn gather(this: This<Gather>) -> Result<Table> {
    let own = this.at.join(&this.file);
    if own.exists() {
        return Ok(this.read(&own, &mut SideBySide::told_apart_by(["metric"]))?);
    }
    let points = points(&this.at)?;
    let settings = points.iter().flat_map(|(_, settings)| settings).map(|(name, _)| name.as_str());
    let mut scores = SideBySide::told_apart_by(settings.chain(["metric"]));
    let mut table = Table::default();
    for (folder, settings) in &points {
        let file = folder.join(&this.file);
        if file.exists() {
            let read = this.read(&file, &mut scores)?;
            table.append(&settings.iter().fold(read, |table, (name, cell)| table.with(name, cell)))?;
        }
    }
    match table.rows().len() {
        0 => Err(format!("neither `{}` nor any folder beside it has rows", own.display()).into()),
        _ => Ok(table),
    }
}

/// The folders of the points of a sweep, each with its settings.
fn points(at: &Path) -> Result<Vec<(PathBuf, Vec<(String, Cell)>)>, String> {
    let cannot = |error| format!("cannot look into `{}`: {error}", at.display());
    let mut folders = Vec::new();
    for entry in fs::read_dir(at).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        folders.extend(settings(&name).map(|settings| (entry.path(), settings)));
    }
    folders.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(folders)
}

/// `steps=18,hat.amount=0.0`, if it is that.
fn settings(name: &str) -> Option<Vec<(String, Cell)>> {
    let setting = |text: &str| {
        text.split_once('=').map(|(path, value)| (path.to_owned(), cell(value.trim_matches('_'))))
    };
    name.split(',').map(setting).collect()
}

impl Gather {
    /// The rows of a file, whose scores have to compare with those of other files.
    fn read(&self, file: &Path, scores: &mut SideBySide) -> Result<Table, String> {
        let text =
            fs::read_to_string(file).map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
        let wrong = |what: String| format!("`{}`: {what}", file.display());
        if !self.file.ends_with(".csv") {
            return Ok(self.taken(&self.metrics(&text).map_err(wrong)?));
        }
        let table = self.taken(&from_csv(&text).map_err(wrong)?);
        scores.add(&table, &format!("`{}`", file.display()))?;
        self.chosen(&table).map_err(wrong)
    }

    /// All rows, or the last one.
    fn taken(&self, read: &Table) -> Table {
        let mut table = Table::new(read.columns());
        let from = if self.last { read.rows().len().saturating_sub(1) } else { 0 };
        read.rows()[from..].iter().for_each(|row| table.push(row.clone()));
        table
    }

    /// The columns that are asked for.
    fn chosen(&self, table: &Table) -> Result<Table, String> {
        if self.columns.is_empty() {
            return Ok(table.clone());
        }
        let columns = self.columns.iter().map(|name| table.cells(name)).collect::<Result<Vec<_>, _>>()?;
        let mut chosen = Table::new(&self.columns);
        (0..table.rows().len()).for_each(|row| chosen.push(columns.iter().map(|c| c[row].clone()).collect()));
        Ok(chosen)
    }

    /// The lines of metrics that have every column.
    fn metrics(&self, text: &str) -> Result<Table, String> {
        let mut table = Table::new(&self.columns);
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            let numbers = self.columns.iter().map(|name| line[name].as_f64().map(Cell::from));
            numbers.collect::<Option<Vec<Cell>>>().into_iter().for_each(|row| table.push(row));
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_sweeps_tell_their_settings() {
        let expected = vec![("steps".to_owned(), 18.0.into()), ("x.next".to_owned(), "heun".into())];
        assert_eq!(settings("steps=18,x.next=_heun_"), Some(expected));
        assert_eq!(settings("states"), None);
    }
}
