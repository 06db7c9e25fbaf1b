//! One PNG file for every seed.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Images, Labels, RunFolder, Seeds};
use serde::Deserialize;

use super::looks::Look;
use super::picture::{check_channels, check_seeds, finite_bytes, try_folder, write};
use super::template::{Filling, Template};

/// Settings of the files.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Png {
    x: Wire<Images>,
    seeds: Wire<Seeds>,
    #[serde(default)]
    labels: Option<Wire<Labels>>,
    to: String,
}

impl Node for Png {
    type Value = ();

    const DOC: &'static str = "Writes every image that has arrived as a PNG of its own.\n\
        -1 is black, 1 is white: a byte is clip(127.5 x + 128, 0, 255) without its fraction.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the images at the end of a step"),
        ("seeds", "the seeds of the images"),
        ("labels", "the classes of the images, for `{class}`"),
        (
            "to",
            "where to, with `{seed}` or `{seed:06}`, `{class}` and `{run}`, the folder of the run; folders are made",
        ),
    ];

    fn check(&self) -> Result<(), Mistake> {
        let to = Template::check(&self.to)?;
        if !to.has_seed() {
            let what = format!("every image would be written to the same file `{}`", self.to);
            return Err(Mistake::new("to", what).help("put `{seed:06}` into its name"));
        }
        if to.has_tick() {
            let mistake =
                Mistake::new("to", "`{tick}` is for pictures of every tick, but an image arrives once");
            return Err(mistake.help("leave it out, or use `Grid`"));
        }
        if to.has_class() && self.labels.is_none() {
            let mistake = Mistake::new("to", "`{class}` needs the classes of the images");
            return Err(mistake.help("wire `labels` to a node that makes them"));
        }
        Ok(())
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        check_channels(inputs, "x", self.x)?;
        Ok(Shapes::default())
    }
}

/// Writes the images that have arrived.
pub fn png(
    this: This<Png>,
    images: Read<Images>,
    seeds: Read<Seeds>,
    labels: Read<Labels>,
    compute: Compute,
    folder: RunFolder,
    mut tried: Local<bool>,
) -> Result<()> {
    let to = Template::parse(&folder.fill(&this.to)?).map_err(|mistake| mistake.what)?;
    let ids = &seeds.get(this.seeds)?.ids;
    let classes = match labels.maybe(this.labels)?.map(|labels| labels.classes.as_deref()) {
        Some(None) if to.has_class() => {
            return Err("the labels are no classes, so `{class}` has no number".into());
        }
        classes => classes.flatten().unwrap_or_default(),
    };
    let class = |at: usize| classes.get(at).copied().unwrap_or_default();
    let path = |at: usize| to.path(Filling { seed: ids[at], class: class(at), ..Filling::default() });
    if !std::mem::replace(&mut *tried, true) && !ids.is_empty() {
        try_folder(&path(0))?;
    }
    let images = Look::Images(images.get(this.x)?);
    if images.arrived() == Some(false) {
        return Ok(());
    }
    let [n, h, w, c] = images.shape();
    check_seeds(ids, n)?;
    let size = h * w * c;
    let pixels =
        finite_bytes(&images.pixels(&compute)?, size, |at| format!("the image of seed {}", ids[at]))?;
    for (at, picture) in pixels.chunks_exact(size).enumerate() {
        write(&path(at), picture, [h, w, c])?;
    }
    Ok(())
}
