//! Values of nodes as numbers in files.

use std::path::{Path, PathBuf};

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use pipeline::{Mistake, Node, Read, This, Tick, Wire};
use ports::{Compute, Denoised, Images, RunFolder};
use serde::Deserialize;

use crate::array::to_file;

const TO: (&str, &str) = (
    "to",
    "a `.npy` or `.safetensors` file; `{run}` is the folder of the run; with `{tick}` every tick gets a file, else the \
     last one stays",
);

/// The place of the tick in names of files.
const TICK: &str = "{tick}";

/// Settings of images on their way to a file.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaveImages {
    x: Wire<Images>,
    to: PathBuf,
}

impl Node for SaveImages {
    type Value = ();

    const DOC: &'static str = "Writes images as numbers, [n, c, h, w], under the name `images`.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[("x", "the images"), TO];

    fn check(&self) -> Result<(), Mistake> {
        check(&self.to)
    }
}

/// Writes the images of this tick.
pub fn save_images(this: This<SaveImages>, images: Read<Images>, paths: Paths, compute: Compute) -> Result {
    let array = compute.download(&images.get(this.x)?.pixels)?;
    Ok(to_file(&paths.fill(&this.to)?, "images", &array)?)
}

/// Settings of denoised images on their way to a file.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaveDenoised {
    x: Wire<Denoised>,
    to: PathBuf,
}

impl Node for SaveDenoised {
    type Value = ();

    const DOC: &'static str =
        "Writes what a denoiser made of images as numbers, [n, c, h, w], under the name `denoised`.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[("x", "the denoised images"), TO];

    fn check(&self) -> Result<(), Mistake> {
        check(&self.to)
    }
}

/// Writes what the denoiser made in this tick.
pub fn save_denoised(
    this: This<SaveDenoised>,
    denoised: Read<Denoised>,
    paths: Paths,
    compute: Compute,
) -> Result {
    let array = compute.download(&denoised.get(this.x)?.pixels)?;
    Ok(to_file(&paths.fill(&this.to)?, "denoised", &array)?)
}

fn check(to: &Path) -> Result<(), Mistake> {
    let text = to.to_string_lossy();
    let places = text.replace(TICK, "").replace(RunFolder::PLACE, "");
    if places.contains(['{', '}']) {
        let what = format!("`{text}` has other braces than `{{tick}}` and `{{run}}`");
        return Err(Mistake::new("to", what).help("names of these files know no other places"));
    }
    let extension = to.extension().and_then(|extension| extension.to_str());
    if matches!(extension, Some("npy" | "safetensors")) {
        return Ok(());
    }
    let what = format!("`{}` does not end in `.npy` or `.safetensors`", to.display());
    Err(Mistake::new("to", what))
}

/// What the places in a path stand for.
#[derive(SystemParam)]
pub struct Paths<'w> {
    tick: Res<'w, Tick>,
    run: RunFolder<'w>,
}

impl Paths<'_> {
    fn fill(&self, to: &Path) -> Result<PathBuf> {
        let to = to.to_string_lossy().replace(TICK, &self.tick.0.to_string());
        Ok(self.run.fill(&to)?.into())
    }
}
