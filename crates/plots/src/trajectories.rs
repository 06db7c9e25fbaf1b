//! Trajectories: the way of single images through time.

use bevy_ecs::prelude::*;
use pipeline::{Mistake, Node, Read, This, Wires};
use ports::{Cell, Compute, Images, Table};
use serde::Deserialize;

use crate::axis::{Axis, text};
use crate::figure::{Figure, TO, check_to};
use crate::groups::{distinct, keys};
use crate::panel::{Layer, Line, Panel};

/// Settings of trajectories.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trajectories {
    of: Wires<Images>,
    #[serde(default)]
    pixel: usize,
    #[serde(default = "many")]
    count: usize,
    #[serde(default = "time")]
    x: Axis,
    #[serde(default = "value")]
    y: Axis,
    #[serde(default)]
    titles: Vec<String>,
    #[serde(default)]
    zoom: Option<f64>,
    to: String,
}

fn many() -> usize {
    16
}

fn time() -> Axis {
    Axis { of: "t".to_owned(), label: Some("time t".to_owned()), ..Axis::default() }
}

fn value() -> Axis {
    Axis { of: "x".to_owned(), label: Some("x".to_owned()), ..Axis::default() }
}

impl Node for Trajectories {
    type Value = (Figure, Table);

    const DOC: &'static str = "Plots how one number of each image moves through time, as SVG and PNG with the numbers as \
        CSV.\n\
        It records what `Trajectory` nodes make, a panel a node, side by side. The table has a row for every image and \
        step: `of`, the node; `image`; `t`; `sigma`; `scale`, s(t); and `x`, the number. The files are written at the end \
        of the act.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("of", "the `Trajectory` nodes"),
        (
            "pixel",
            "which number of an image, 0 unless given: height by width by channels, channels next to each other",
        ),
        ("count", "how many images, 16 unless given"),
        ("x", "the axis to the right: `(of: \"t\", label: \"time t\")` unless given, or of `sigma`"),
        ("y", "the axis upwards: `(of: \"x\", label: \"x\")` unless given"),
        ("titles", "what stands above each panel; the names of the nodes unless given"),
        ("zoom", "a noise level up to which everything is shown once more, in a second row of panels"),
        TO,
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.of.is_empty() {
            return Err(Mistake::new("of", "`of` names no node").help("name a `Trajectory`"));
        }
        if !self.titles.is_empty() && self.titles.len() != self.of.len() {
            let what = format!("there are {} titles for {} nodes", self.titles.len(), self.of.len());
            return Err(Mistake::new("titles", what).help("give each a title, or leave out `titles`"));
        }
        self.x.check("x")?;
        self.y.check("y")?;
        check_to(&self.to)
    }
}

/// Notes where the images are.
pub fn trajectories(
    this: This<Trajectories>,
    images: Read<Images>,
    tables: Read<Table>,
    names: Query<&Name>,
    compute: Compute,
) -> Result<(Figure, Table)> {
    let empty = || Table::new(["of", "image", "t", "sigma", "scale", "x"]);
    let mut table = tables.of(this.node()).cloned().unwrap_or_else(empty);
    for wire in this.of.iter() {
        this.note(&mut table, names.get(wire.node())?, images.get(*wire)?, &compute)?;
    }
    let mut panels = Vec::new();
    for limit in [None].into_iter().chain(this.zoom.map(Some)) {
        for (at, wire) in this.of.iter().enumerate() {
            panels.push(this.panel(&table, at, names.get(wire.node())?, limit)?);
        }
    }
    let (numbers, columns) = (table.clone(), this.of.len());
    Ok((Figure { panels, numbers, columns, to: this.to.clone(), written: false }, table))
}

impl Trajectories {
    /// Adds a row for each image, unless they still are where they were.
    fn note(&self, table: &mut Table, name: &str, images: &Images, compute: &Compute) -> Result {
        let Some(step) = images.step else {
            return Err(
                format!("`{name}` makes images that are on no trajectory; wire a `Trajectory`").into()
            );
        };
        let last = table.rows().iter().rev().find(|row| row[0] == name.into());
        if last.is_some_and(|row| row[2] == step.at.into()) {
            return Ok(());
        }
        let pixels = compute.download(&images.pixels)?.f64s();
        let size = pixels.len() / images.batch().max(1);
        for (at, image) in pixels.chunks_exact(size.max(1)).take(self.count).enumerate() {
            let x = image.get(self.pixel).copied();
            let x = x.ok_or_else(|| format!("`pixel` is {}, but an image has {size} numbers", self.pixel))?;
            let numbers = [at as f64, step.at, step.sigma(), images.scale(), x].map(Cell::from);
            table.push([vec![name.into()], numbers.to_vec()].concat());
        }
        Ok(())
    }

    /// The panel of a node; where there is a limit, of noise levels up to it.
    fn panel(&self, table: &Table, at: usize, name: &str, limit: Option<f64>) -> Result<Panel> {
        let (of, image) = (keys(table, Some("of"))?, keys(table, Some("image"))?);
        let (x, y, sigma) = (table.numbers(&self.x.of)?, table.numbers(&self.y.of)?, table.numbers("sigma")?);
        let here = |row: &usize| of[*row] == name.into() && limit.is_none_or(|limit| sigma[*row] <= limit);
        let line = |one: &Cell| {
            let rows = (0..x.len()).filter(here).filter(|row| image[*row] == *one);
            let points = rows.map(|row| [x[row], y[row]]).collect();
            Layer::Line(Line { points, thin: true, ..Line::default() })
        };
        let title = self.titles.get(at).cloned().unwrap_or_else(|| name.to_owned());
        Ok(Panel {
            title: limit.map_or(title, |limit| format!("up to σ = {}", text(limit))),
            x: self.x.clone(),
            y: self.y.clone(),
            layers: distinct(&image).iter().map(line).collect(),
        })
    }
}
