//! How far images are from others.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Metric, Mistake, Node, Read, Shapes, This, Tick, Wire, Wires};
use ports::{Cell, Compute, Denoised, Images, Shown, Sigma, Table};
use serde::Deserialize;

use crate::look::look;

/// Settings of a comparison.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    of: Wires<Shown>,
    to: Wire<Shown>,
    #[serde(default)]
    noisy: Option<Wire<Images>>,
}

impl Node for Compare {
    type Value = Table;

    const DOC: &'static str = "Measures how far images are from others, image by image: the root mean square of the \
        difference.\n\
        The table has a row for each image of each node: `of`, the node; `image`, counted through all ticks; `sigma`; \
        `nfe`, the evaluations it has cost; and `rms`. Samples count once, when they have arrived. Where `of` is one node, \
        that of all images of a tick together is told as `rms`.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("of", "the images, or what denoisers made of them"),
        ("to", "what each of them ought to be"),
        ("noisy", "the images that were denoised, whose noise levels stand in the table; else those of `of`"),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        for (at, wire) in self.of.iter().enumerate() {
            inputs.same(&format!("of.{at}"), *wire, self.to)?;
        }
        Ok(Shapes::default())
    }
}

/// Adds the images that have arrived in this tick.
pub fn compare(
    this: This<Compare>,
    images: Read<Images>,
    denoised: Read<Denoised>,
    tables: Read<Table>,
    names: Query<&Name>,
    tick: Res<Tick>,
    compute: Compute,
    mut metrics: MessageWriter<Metric>,
) -> Result<Table> {
    let empty = || Table::new(["of", "image", "sigma", "nfe", "rms"]);
    let mut table = tables.of(this.node()).cloned().unwrap_or_else(empty);
    let to = look(this.to, &images, &denoised, "to")?;
    for wire in this.of.iter() {
        let name = names.get(wire.node())?.as_str();
        let before = table.rows().iter().filter(|row| row[0] == name.into()).count();
        let own = images.of(wire.node());
        let step = own.and_then(|images| images.step);
        if step.is_some_and(|step| step.at != 0.0 || before > 0) {
            continue;
        }
        let x = look(*wire, &images, &denoised, name)?;
        if x.shape() != to.shape() {
            return Err(format!("`{name}` has made {}, to be compared with {}", x.shape(), to.shape()).into());
        }
        let answer = denoised.of(wire.node()).map(|denoised| denoised.evaluations);
        let nfe = step.map(|step| step.evaluations).or(answer).unwrap_or(0);
        let noisy = this.noisy.map(|noisy| images.get(noisy)).transpose()?.or(own);
        let levels = levels(noisy, x.shape()[0], &compute)?;
        let errors = differences(&compute.download(x)?.f64s(), &compute.download(to)?.f64s(), levels.len());
        if this.of.len() == 1 {
            let squares: f64 = errors.iter().map(|rms| rms * rms).sum();
            let value = (squares / errors.len().max(1) as f64).sqrt();
            metrics.write(Metric { name: "rms", tick: tick.0, value });
        }
        for (at, (sigma, rms)) in levels.into_iter().zip(errors).enumerate() {
            let numbers = [(before + at) as f64, sigma, nfe as f64, rms].map(Cell::from);
            table.push([vec![name.into()], numbers.to_vec()].concat());
        }
    }
    Ok(table)
}

/// The noise level of each of `n` images.
fn levels(images: Option<&Images>, n: usize, compute: &Compute) -> Result<Vec<f64>> {
    match images.map(|images| &images.sigma) {
        Some(Sigma::Each(levels)) => Ok(compute.download(levels)?.f64s()),
        Some(Sigma::Same(level)) => Ok(vec![*level; n]),
        None => Ok(vec![0.0; n]),
    }
}

/// The root mean square difference of each of `n` images.
fn differences(x: &[f64], y: &[f64], n: usize) -> Vec<f64> {
    let size = (x.len() / n.max(1)).max(1);
    let mean_square =
        |(x, y): (&[f64], &[f64])| x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / size as f64;
    x.chunks_exact(size).zip(y.chunks_exact(size)).map(mean_square).map(f64::sqrt).collect()
}
