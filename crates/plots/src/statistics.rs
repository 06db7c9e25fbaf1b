//! Mean and standard deviation of images from tick to tick.

use bevy_ecs::prelude::*;
use pipeline::{Node, Read, This, Wires};
use ports::{Cell, Compute, Denoised, Images, Shown, Table};
use serde::Deserialize;

use crate::look::look;

/// Settings of statistics.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    of: Wires<Shown>,
}

impl Node for Statistics {
    type Value = Table;

    const DOC: &'static str = "Mean and standard deviation over all pixels of all images, tick by tick.\n\
        The table has a row for each node: `of`, the node; `tick`, counted from 0; `mean`; `std`.";

    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("of", "the images, or what denoisers made of them")];
}

/// Adds what the images of this tick have.
pub fn statistics(
    this: This<Statistics>,
    images: Read<Images>,
    denoised: Read<Denoised>,
    tables: Read<Table>,
    names: Query<&Name>,
    tick: Res<pipeline::Tick>,
    compute: Compute,
) -> Result<Table> {
    let empty = || Table::new(["of", "tick", "mean", "std"]);
    let mut table = tables.of(this.node()).cloned().unwrap_or_else(empty);
    for wire in this.of.iter() {
        let name = names.get(wire.node())?.as_str();
        let pixels = compute.download(look(*wire, &images, &denoised, name)?)?.f64s();
        let n = pixels.len().max(1) as f64;
        let mean = pixels.iter().sum::<f64>() / n;
        let variance = pixels.iter().map(|pixel| (pixel - mean).powi(2)).sum::<f64>() / n;
        let numbers = [tick.0 as f64, mean, variance.sqrt()].map(Cell::from);
        table.push([vec![name.into()], numbers.to_vec()].concat());
    }
    Ok(table)
}
