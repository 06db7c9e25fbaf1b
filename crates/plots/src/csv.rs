//! Tables as files of comma-separated values.

use ports::{Cell, Table};

/// The table with its names in the first line; numbers are rounded to seven digits, as many as the devices have.
pub(crate) fn to_csv(table: &Table) -> Result<Vec<u8>, String> {
    let mut lines = csv::Writer::from_writer(Vec::new());
    lines.write_record(table.columns()).map_err(|error| error.to_string())?;
    for row in table.rows() {
        lines.write_record(row.iter().map(text)).map_err(|error| error.to_string())?;
    }
    lines.into_inner().map_err(|error| error.to_string())
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Number(number) if *number != 0.0 && number.is_finite() => {
            let rounded: f64 = format!("{number:.6e}").parse().unwrap_or(*number);
            match rounded.abs() {
                1e-4..1e15 => rounded.to_string(),
                _ => format!("{rounded:e}"),
            }
        }
        cell => cell.to_string(),
    }
}

/// A table from such a file: what reads as a number is one.
pub(crate) fn from_csv(text: &str) -> Result<Table, String> {
    let mut lines = csv::Reader::from_reader(text.as_bytes());
    let names = lines.headers().map_err(|error| error.to_string())?.clone();
    let mut table = Table::new(names.iter());
    for line in lines.records() {
        table.push(line.map_err(|error| error.to_string())?.iter().map(cell).collect());
    }
    Ok(table)
}

/// A number if it reads as one, or else a word.
pub(crate) fn cell(text: &str) -> Cell {
    text.parse::<f64>().map_or_else(|_| text.into(), Cell::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_back_from_its_file() -> Result<(), String> {
        let mut table = Table::new(["solver, by name", "error"]);
        table.push(vec!["Heun \"2\"".into(), 1.25e-7.into()]);
        table.push(vec!["Euler".into(), 0.5.into()]);
        let text = String::from_utf8(to_csv(&table)?).map_err(|error| error.to_string())?;
        assert_eq!(text, "\"solver, by name\",error\n\"Heun \"\"2\"\"\",1.25e-7\nEuler,0.5\n");
        assert_eq!(from_csv(&text)?, table);
        Ok(())
    }

    #[test]
    fn numbers_of_single_precision_are_short() {
        assert_eq!(text(&f64::from(0.1f32).into()), "0.1");
    }
}
