//! Curves: one column of a table over another.

use bevy_ecs::prelude::*;
use diffusion::log_normal_density;
use pipeline::{Mistake, Node, Read, This, Wire, Wires};
use ports::{Cell, SideBySide, Table};
use serde::Deserialize;

use crate::axis::{Axis, Scale};
use crate::figure::{COLUMNS, Figure, TO, check_to};
use crate::groups::{Spot, distinct, keys, name, spots};
use crate::panel::{Layer, Line, Panel};

/// Settings of curves.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    of: Wires<Table>,
    x: Axis,
    y: Axis,
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    legend: Option<String>,
    #[serde(default)]
    panels: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    center: Center,
    #[serde(default)]
    band: Band,
    #[serde(default = "yes")]
    markers: bool,
    #[serde(default)]
    density: Option<(f64, f64)>,
    #[serde(default)]
    floor: Option<Wire<Table>>,
    to: String,
}

fn yes() -> bool {
    true
}

/// What rows at the same place are drawn as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub enum Center {
    #[default]
    Mean,
    /// The root mean square: what errors of single images come to together.
    Rms,
}

/// What is shaded around means.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub enum Band {
    None,
    /// One standard deviation up and down.
    #[default]
    Std,
    /// From the least to the greatest.
    Extremes,
    /// So much up and down as a column says.
    Column(String),
}

impl Node for Curve {
    type Value = Figure;

    const DOC: &'static str = "Plots one column of a table over another, as SVG and PNG with the numbers as CSV.\n\
        Rows with the same `x` on the same line are drawn as their mean, or root mean square, with a band. The files are written at the end \
        of the act. Scores of different `n`, or of other networks' features, are refused, as they do not compare; but what `x`, `by` and \
        `panels` tell apart may differ. Lines differ in colour, dashes and markers; the SVG suits light and dark pages. Where `x` holds words, they stand \
        side by side.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("of", "the tables; of several, a column `of` says which node a row is from"),
        (
            "x",
            "the axis: `(of: \"sigma\", label: \"noise level σ\", scale: Log, range: (0.002, 80.0))`, of which `of`, the \
             column, is needed",
        ),
        ("y", "the same upwards"),
        ("by", "the column that tells lines apart"),
        ("legend", "what a line is called: `\"ρ = {}\"`"),
        ("panels", "the column that tells panels apart, which stand side by side"),
        ("title", "what stands above; `\"α = {}\"` with `panels`"),
        ("center", "what rows at the same `x` are drawn as: `Mean` unless given, or `Rms`"),
        ("band", "what is shaded: `Std` around means unless given, `Extremes`, `Column(\"std\")` or `None`"),
        ("markers", "whether points are marked, true unless given"),
        (
            "density",
            "mean and standard deviation of ln σ: the noise levels of training, in grey below the curves",
        ),
        ("floor", "a table whose `y` is drawn as a line across: the best that there can be"),
        TO,
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.of.is_empty() {
            return Err(Mistake::new("of", "`of` names no node").help("name a node that makes a table"));
        }
        self.x.check("x")?;
        self.y.check("y")?;
        check_to(&self.to)
    }
}

/// Lays the curves out.
pub fn curve(this: This<Curve>, tables: Read<Table>, names: Query<&Name>) -> Result<Figure> {
    let table = join(&this.of, &tables, &names)?;
    let apart = [Some(&this.x.of), this.by.as_ref(), this.panels.as_ref()];
    let apart = || apart.into_iter().flatten().map(String::as_str);
    let shown = this.of.iter().chain(&this.floor);
    expect_comparable(shown.copied(), apart(), &tables, &names)?;
    let panel_keys = keys(&table, this.panels.as_deref())?;
    let x = this.places(&table)?;
    let panels = distinct(&panel_keys).into_iter().map(|key| this.panel(&table, &x, &panel_keys, &key));
    let mut panels = panels.collect::<Result<Vec<_>, String>>()?;
    if let Some(floor) = this.floor {
        let level = this.level(tables.get(floor)?, names.get(floor.node())?)?;
        panels.iter_mut().for_each(|panel| panel.layers.extend(level.clone()));
    }
    if panels.len() > 1 {
        this.share_axes(&mut panels);
    }
    let numbers = this.numbers(&panels);
    Ok(Figure { panels, numbers, columns: COLUMNS, to: this.to.clone(), written: false })
}

/// The rows of all tables, with the names of their nodes if there are several.
pub(crate) fn join(wires: &[Wire<Table>], tables: &Read<Table>, names: &Query<&Name>) -> Result<Table> {
    let mut joined = Table::default();
    for wire in wires {
        let table = tables.get(*wire)?.clone();
        let told = wires.len() < 2 || table.columns().iter().any(|column| column == "of");
        let table = if told { table } else { table.with("of", &names.get(wire.node())?.as_str().into()) };
        joined.append(&table)?;
    }
    Ok(joined)
}

/// Refuses to draw scores in one figure that do not mean the same, but for the columns that tell them apart.
pub(crate) fn expect_comparable<'a>(
    wires: impl IntoIterator<Item = Wire<Table>>,
    apart: impl IntoIterator<Item = &'a str>,
    tables: &Read<Table>,
    names: &Query<&Name>,
) -> Result {
    let mut scores = SideBySide::told_apart_by(apart);
    for wire in wires {
        scores.add(tables.get(wire)?, &format!("`{}`", names.get(wire.node())?))?;
    }
    Ok(())
}

impl Curve {
    /// Where rows lie to the right, with the axis: words side by side, in the order in which they come.
    fn places(&self, table: &Table) -> Result<(Vec<f64>, Axis), String> {
        let cells = keys(table, Some(&self.x.of))?;
        if cells.is_empty() || cells.iter().any(|cell| matches!(cell, Cell::Number(_))) {
            return Ok((table.numbers(&self.x.of)?, self.x.clone()));
        }
        let words = distinct(&cells);
        let place = |cell| words.iter().position(|word| word == cell).unwrap_or_default() as f64;
        let names = words.iter().map(ToString::to_string).collect();
        Ok((cells.iter().map(place).collect(), Axis { names, ..self.x.clone() }))
    }

    /// The line across, once its table has rows.
    fn level(&self, table: &Table, name: &Name) -> Result<Option<Layer>, String> {
        if table.rows().is_empty() {
            return Ok(None);
        }
        let heights = table.numbers(&self.y.of)?;
        let at = heights.iter().sum::<f64>() / heights.len() as f64;
        Ok(Some(Layer::Level { name: name.to_string(), at }))
    }

    /// The panel of the rows whose key is `key`.
    fn panel(
        &self,
        table: &Table,
        (x, axis): &(Vec<f64>, Axis),
        panel_keys: &[Cell],
        key: &Cell,
    ) -> Result<Panel, String> {
        let y = table.numbers(&self.y.of)?;
        let lines = keys(table, self.by.as_deref())?;
        let widths = match &self.band {
            Band::Column(column) => Some(table.numbers(column)?),
            _ => None,
        };
        let mut layers = self.density(x);
        for (style, line) in distinct(&lines).iter().enumerate() {
            let rows = (0..x.len()).filter(|row| panel_keys[*row] == *key && lines[*row] == *line);
            let gathered = |of: &[f64]| spots(rows.clone().map(|row| (x[row], of[row])).collect());
            let (means, widths) = (gathered(&y), widths.as_deref().map(gathered));
            if !means.is_empty() {
                let name = name(line, self.by.as_deref(), self.legend.as_deref());
                layers.push(Layer::Line(self.line(&means, widths, name, style)));
            }
        }
        let title = match &self.panels {
            Some(column) => name(key, Some(column), self.title.as_deref()),
            None => self.title.clone().unwrap_or_default(),
        };
        Ok(Panel { title, x: axis.clone(), y: self.y.clone(), layers })
    }

    fn line(&self, spots: &[Spot], widths: Option<Vec<Spot>>, name: String, style: usize) -> Line {
        let around = |spot: &Spot, width: f64| {
            // Nothing lies below 0 on a logarithmic axis.
            let low = if self.y.scale == Scale::Log {
                (spot.mean() - width).max(spot.mean() * 0.1)
            } else {
                spot.mean() - width
            };
            [spot.at, low, spot.mean() + width]
        };
        let end = |spot: &Spot, choose: fn(f64, f64) -> f64| spot.values.iter().copied().reduce(choose);
        let band = |(at, spot): (usize, &Spot)| match &self.band {
            Band::Column(_) => widths.as_ref().map(|widths| around(spot, widths[at].mean())),
            Band::Std if spot.values.len() > 1 => Some(around(spot, spot.std())),
            Band::Extremes => Some([spot.at, end(spot, f64::min)?, end(spot, f64::max)?]),
            _ => None,
        };
        let center = match self.center {
            Center::Mean => Spot::mean,
            Center::Rms => Spot::rms,
        };
        Line {
            name,
            style,
            points: spots.iter().map(|spot| [spot.at, center(spot)]).collect(),
            band: spots.iter().enumerate().filter_map(band).collect(),
            markers: self.markers,
            thin: false,
        }
    }

    /// What is drawn: a row a point.
    fn numbers(&self, panels: &[Panel]) -> Table {
        let words = self.panels.iter().chain(&self.by).map(String::as_str);
        let numbers = [self.x.of.as_str(), self.y.of.as_str(), "low", "high"];
        let mut table = Table::new(words.chain(numbers));
        for panel in panels {
            for layer in &panel.layers {
                if let Layer::Level { name, at } = layer {
                    let word = || Cell::Word(name.clone());
                    let words = self.panels.iter().map(|_| Cell::Word(panel.title.clone()));
                    let words = words.chain(self.by.iter().map(|_| word())).chain([word()]);
                    table.push(words.chain([*at; 3].map(Cell::from)).collect());
                }
                let Layer::Line(line) = layer else { continue };
                for [x, y] in &line.points {
                    let band = line
                        .band
                        .iter()
                        .find(|[at, ..]| at == x)
                        .map_or([*y, *y], |[_, low, high]| [*low, *high]);
                    let words =
                        self.panels.iter().map(|_| &panel.title).chain(self.by.iter().map(|_| &line.name));
                    let words = words.map(|word| Cell::Word(word.clone()));
                    let name = panel.x.names.get(*x as usize);
                    let x = name.map_or(Cell::from(*x), |name| Cell::Word(name.clone()));
                    table.push(words.chain([x]).chain([*y, band[0], band[1]].map(Cell::from)).collect());
                }
            }
        }
        table
    }

    /// The density of ln σ over what is shown of the noise levels, a third as high as the panel.
    fn density(&self, x: &[f64]) -> Vec<Layer> {
        let Some((mean, std)) = self.density else { return Vec::new() };
        let data = || x.iter().copied().filter(|sigma| *sigma > 0.0);
        let (low, high) =
            self.x.range.unwrap_or((data().fold(f64::MAX, f64::min), data().fold(f64::MIN, f64::max)));
        let peak = log_normal_density(mean.exp(), mean, std);
        let level = |at: u32| low * (high / low).powf(f64::from(at) / 200.0);
        let point = |at| [level(at), 0.33 * log_normal_density(level(at), mean, std) / peak];
        let points = (0..=200).map(point).collect();
        vec![Layer::Area { name: "p_train(σ)".to_owned(), points }]
    }

    /// Gives every panel the axes that show the data of all.
    fn share_axes(&self, panels: &mut [Panel]) {
        let extents: Vec<[Vec<f64>; 2]> = panels.iter().map(Panel::extent).collect();
        let all = |side: usize| extents.iter().flat_map(move |extent| extent[side].clone());
        let (x, y) = (self.x.spanning(all(0)), self.y.spanning(all(1)));
        for panel in panels {
            (panel.x, panel.y) = (x.clone(), y.clone());
        }
    }
}
