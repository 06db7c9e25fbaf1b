//! Tables on disk.

use bevy_ecs::prelude::*;
use pipeline::{Closing, Mistake, Node, Read, This, Wires};
use ports::{RunFolder, Table};
use serde::Deserialize;

use crate::csv::to_csv;
use crate::curve::join;
use crate::figure::write_file;

/// Settings of a table on its way to a file.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaveTable {
    of: Wires<Table>,
    to: String,
}

impl Node for SaveTable {
    type Value = Saved;

    const DOC: &'static str = "Writes a table as comma-separated values, at the end of the act.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("of", "the tables, one after the other if there are several"),
        ("to", "a `.csv` file; `{run}` is the folder of the run"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.of.is_empty() {
            return Err(Mistake::new("of", "`of` names no node").help("name a node that makes a table"));
        }
        if self.to.ends_with(".csv") {
            return Ok(());
        }
        Err(Mistake::new("to", format!("`{}` does not end in `.csv`", self.to)))
    }
}

/// A table that is to be saved.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct Saved {
    table: Table,
    to: String,
    written: bool,
}

/// Takes the rows that there are.
pub fn save_table(this: This<SaveTable>, tables: Read<Table>, names: Query<&Name>) -> Result<Saved> {
    Ok(Saved { table: join(&this.of, &tables, &names)?, to: this.to.clone(), written: false })
}

/// Writes what has been taken.
pub(crate) fn write_tables(
    mut tables: Query<&mut Saved>,
    closing: Res<Closing>,
    folder: RunFolder,
) -> Result {
    for mut saved in tables.iter_mut().filter(|saved| closing.0 && !saved.written) {
        write_file(&folder.fill(&saved.to)?, &to_csv(&saved.table)?)?;
        saved.written = true;
    }
    Ok(())
}
