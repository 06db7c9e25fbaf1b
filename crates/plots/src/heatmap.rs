//! Heat maps: a column of a table over two others.

use bevy_ecs::prelude::*;
use pipeline::{Mistake, Node, Read, This, Wires};
use ports::{Cell, Table};
use serde::Deserialize;

use crate::axis::Axis;
use crate::curve::{expect_comparable, join};
use crate::figure::{COLUMNS, Figure, TO, check_to};
use crate::groups::{distinct, keys, name, spots};
use crate::panel::{Cells, Layer, Panel};

/// Settings of a heat map.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heatmap {
    of: Wires<Table>,
    x: Axis,
    y: Axis,
    value: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    panels: Option<String>,
    #[serde(default)]
    title: Option<String>,
    to: String,
}

impl Node for Heatmap {
    type Value = Figure;

    const DOC: &'static str = "Plots a column of a table as colours over two others, as SVG and PNG with the numbers as CSV.\n\
        Rows at the same place are drawn as their mean. Colours go from dark to light, so that they can be told in grey. \
        The files are written at the end of the act.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("of", "the tables, one after the other if there are several"),
        ("x", "the axis to the right: `(of: \"min\", label: \"S_tmin\")`; `scale` and `range` as in `Curve`"),
        ("y", "the axis upwards"),
        ("value", "the column whose numbers become colours"),
        ("label", "what they are called; the name of the column unless given"),
        ("panels", "the column that tells panels apart, which stand side by side"),
        ("title", "what stands above; `\"α = {}\"` with `panels`"),
        TO,
    ];

    fn check(&self) -> Result<(), Mistake> {
        self.x.check("x")?;
        self.y.check("y")?;
        check_to(&self.to)
    }
}

/// Lays the heat map out.
pub fn heatmap(this: This<Heatmap>, tables: Read<Table>, names: Query<&Name>) -> Result<Figure> {
    let table = join(&this.of, &tables, &names)?;
    let apart = [Some(&this.x.of), Some(&this.y.of), this.panels.as_ref()];
    let apart = apart.into_iter().flatten().map(String::as_str);
    expect_comparable(this.of.iter().copied(), apart, &tables, &names)?;
    let panel_keys = keys(&table, this.panels.as_deref())?;
    let panels = distinct(&panel_keys).into_iter().map(|key| this.panel(&table, &panel_keys, &key));
    let mut panels = panels.collect::<Result<Vec<_>, String>>()?;
    share_colours(&mut panels);
    Ok(Figure { panels, numbers: table, columns: COLUMNS, to: this.to.clone(), written: false })
}

impl Heatmap {
    fn panel(&self, table: &Table, panel_keys: &[Cell], key: &Cell) -> Result<Panel, String> {
        let [x, y, values] = [&self.x.of, &self.y.of, &self.value].map(|column| table.numbers(column));
        let (x, y, values) = (x?, y?, values?);
        let places = |numbers: &[f64]| -> Vec<f64> {
            spots(numbers.iter().map(|number| (*number, 0.0)).collect()).iter().map(|spot| spot.at).collect()
        };
        let (columns, rows) = (places(&x), places(&y));
        let mean = |column: f64, row: f64| {
            let here = (0..x.len()).filter(|at| x[*at] == column && y[*at] == row && panel_keys[*at] == *key);
            spots(here.map(|at| (0.0, values[at])).collect()).first().map(|spot| spot.mean())
        };
        let cells = Cells {
            values: rows
                .iter()
                .map(|row| columns.iter().map(|column| mean(*column, *row)).collect())
                .collect(),
            x: columns,
            y: rows,
            label: self.label.clone().unwrap_or_else(|| self.value.clone()),
            range: (0.0, 0.0),
        };
        let title = match &self.panels {
            Some(column) => name(key, Some(column), self.title.as_deref()),
            None => self.title.clone().unwrap_or_default(),
        };
        let layers = vec![Layer::Cells(cells)];
        Ok(Panel { title, x: self.x.clone(), y: self.y.clone(), layers })
    }
}

/// Gives all panels the range of colours that suits all of their values.
fn share_colours(panels: &mut [Panel]) {
    let mut cells: Vec<&mut Cells> =
        panels.iter_mut().flat_map(|panel| &mut panel.layers).filter_map(cells).collect();
    let values = cells.iter().flat_map(|cells| cells.values.iter().flatten().flatten().copied());
    let range = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    cells.iter_mut().for_each(|cells| cells.range = range);
}

fn cells(layer: &mut Layer) -> Option<&mut Cells> {
    match layer {
        Layer::Cells(cells) => Some(cells),
        _ => None,
    }
}
