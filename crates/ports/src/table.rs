//! Numbers in rows, for figures and files.

use std::fmt::{self, Display, Formatter};

use bevy_ecs::prelude::*;
use pipeline::keep_plain;
use serde::{Deserialize, Serialize};

/// Rows under named columns, in long form: one measurement a row, with all that tells it from others.
///
/// A node that measures again and again returns its last table with more rows.
#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

keep_plain!(Table);

/// What stands in a row under a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cell {
    Number(f64),
    /// What a line of a figure is of, such as the name of a solver.
    Word(String),
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Cell {
    fn from(word: &str) -> Self {
        Self::Word(word.into())
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Word(word) => word.fmt(f),
        }
    }
}

impl Table {
    /// A table without rows.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row, a cell for each column.
    ///
    /// # Panics
    /// If there are more or fewer cells than columns.
    pub fn push(&mut self, row: Vec<Cell>) {
        assert_eq!(row.len(), self.columns.len(), "a row has a cell under each of {:?}", self.columns);
        self.rows.push(row);
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// The table with one more column, which says the same in every row.
    pub fn with(mut self, column: &str, cell: &Cell) -> Self {
        self.columns.push(column.to_owned());
        self.rows.iter_mut().for_each(|row| row.push(cell.clone()));
        self
    }

    /// Adds the rows of another table, which has the same columns.
    ///
    /// # Errors
    /// If its columns are others.
    pub fn append(&mut self, other: &Table) -> Result<(), String> {
        if self.columns.is_empty() {
            self.columns.clone_from(&other.columns);
        }
        if self.columns != other.columns {
            let [these, those] = [self, other].map(|table| table.columns.join("`, `"));
            return Err(format!("one table has the columns `{these}`, another one `{those}`"));
        }
        self.rows.extend_from_slice(&other.rows);
        Ok(())
    }

    /// What stands under a column, row by row.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn cells(&self, column: &str) -> Result<Vec<&Cell>, String> {
        let Some(at) = self.columns.iter().position(|known| known == column) else {
            return Err(format!("no column is called `{column}`; there are `{}`", self.columns.join("`, `")));
        };
        Ok(self.rows.iter().map(|row| &row[at]).collect())
    }

    /// The numbers of a column.
    ///
    /// # Errors
    /// If there is no such column, or something else than numbers in it.
    pub fn numbers(&self, column: &str) -> Result<Vec<f64>, String> {
        let number = |cell: &Cell| match cell {
            Cell::Number(number) => Ok(*number),
            Cell::Word(word) => Err(format!("the column `{column}` holds `{word}`, which is no number")),
        };
        self.cells(column)?.into_iter().map(number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors() -> Table {
        let mut table = Table::new(["solver", "error"]);
        table.push(vec!["Heun".into(), 0.5.into()]);
        table
    }

    #[test]
    fn tables_of_the_same_columns_become_one() {
        let mut all = Table::default();
        all.append(&errors()).expect("an empty table takes any columns");
        all.append(&errors()).expect("the same columns");
        assert_eq!(all.numbers("error"), Ok(vec![0.5, 0.5]));
        let other = errors().with("rho", &7.0.into());
        let what = all.append(&other).expect_err("other columns");
        assert_eq!(what, "one table has the columns `solver`, `error`, another one `solver`, `error`, `rho`");
    }

    #[test]
    fn a_column_that_is_not_there_is_told_with_those_that_are() {
        let what = errors().numbers("rms").expect_err("no such column");
        assert_eq!(what, "no column is called `rms`; there are `solver`, `error`");
        let what = errors().numbers("solver").expect_err("words");
        assert_eq!(what, "the column `solver` holds `Heun`, which is no number");
    }
}
