//! Rows of a table that belong together.

use ports::{Cell, Table};

use crate::axis::text;

/// Numbers that were measured at one place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spot {
    pub(crate) at: f64,
    pub(crate) values: Vec<f64>,
}

impl Spot {
    pub(crate) fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// The root mean square.
    pub(crate) fn rms(&self) -> f64 {
        (self.values.iter().map(|value| value * value).sum::<f64>() / self.values.len() as f64).sqrt()
    }

    /// The standard deviation over the measurements.
    pub(crate) fn std(&self) -> f64 {
        let mean = self.mean();
        let squares = self.values.iter().map(|value| (value - mean).powi(2));
        (squares.sum::<f64>() / self.values.len() as f64).sqrt()
    }
}

/// What tells rows apart: nothing where no column is named.
pub(crate) fn keys(table: &Table, column: Option<&str>) -> Result<Vec<Cell>, String> {
    match column {
        Some(column) => Ok(table.cells(column)?.into_iter().cloned().collect()),
        None => Ok(vec!["".into(); table.rows().len()]),
    }
}

/// Each key once: numbers in their order, words in that of the rows.
pub(crate) fn distinct(keys: &[Cell]) -> Vec<Cell> {
    let mut distinct: Vec<Cell> = Vec::new();
    for key in keys {
        if !distinct.contains(key) {
            distinct.push(key.clone());
        }
    }
    distinct.sort_by(|a, b| match (a, b) {
        (Cell::Number(a), Cell::Number(b)) => a.total_cmp(b),
        _ => std::cmp::Ordering::Equal,
    });
    distinct
}

/// Gathers the values at each place, places rising.
pub(crate) fn spots(mut pairs: Vec<(f64, f64)>) -> Vec<Spot> {
    pairs.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut spots: Vec<Spot> = Vec::new();
    for (at, value) in pairs {
        match spots.last_mut() {
            Some(spot) if spot.at == at => spot.values.push(value),
            _ => spots.push(Spot { at, values: vec![value] }),
        }
    }
    spots
}

/// What a key is called: in a template such as `ρ = {}`, or else a word as it is and a number with its column.
pub(crate) fn name(key: &Cell, column: Option<&str>, template: Option<&str>) -> String {
    let written = match key {
        Cell::Number(number) => text(*number),
        Cell::Word(word) => word.clone(),
    };
    match (template, key, column) {
        (Some(template), ..) => template.replace("{}", &written),
        (None, Cell::Number(_), Some(column)) => format!("{column} = {written}"),
        _ => written,
    }
}
