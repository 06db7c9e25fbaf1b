//! Numbers from elsewhere as the values of nodes.

use bevy_ecs::prelude::*;
use pipeline::{Constant, File, Inputs, Mistake, Node, Port, Read, Shape, Shapes, This, Wire};
use ports::{Compute, Denoised, Images, Labels, Sigma, Sigmas};
use serde::Deserialize;
use tensor::{Array, Tensor};

use crate::Seen;
use crate::array::from_file;

/// Which array of which file.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a File,
    name: &'a Option<String>,
}

impl Source<'_> {
    fn read(self) -> Result<Array, Mistake> {
        from_file(&self.file.0, self.name.as_deref()).map_err(|error| {
            let field = if matches!(error, checkpoint::Error::Name { .. }) { "name" } else { "file" };
            Mistake::new(if self.name.is_some() { field } else { "file" }, error.to_string())
        })
    }

    /// Reads an array of that many axes.
    fn axes(self, rank: usize, expected: &str) -> Result<Array, Mistake> {
        let array = self.read()?;
        if array.shape.rank() == rank {
            return Ok(array);
        }
        let what = format!("`{}` holds an array of shape {}", self.file.0.display(), array.shape);
        Err(Mistake::new("file", format!("{what}, expected {expected}")))
    }

    fn images(self) -> Result<Array, Mistake> {
        self.axes(4, "images [n, c, h, w]")
    }

    fn labels(self) -> Result<Array, Mistake> {
        self.axes(2, "labels [n, classes], one-hot or any vectors")
    }

    /// Reads a number for each sample, whatever axes of size 1 there are.
    fn sigmas(self) -> Result<Array, Mistake> {
        let mut array = self.read()?;
        let n = array.shape.len();
        if array.shape.contains(&n) || array.shape.rank() == 0 {
            array.shape = [n].into();
            return Ok(array);
        }
        Err(Mistake::new(
            "file",
            format!("`{}` holds {}, expected sigmas [n]", self.file.0.display(), array.shape),
        ))
    }
}

/// The shapes of a node that makes `T`: all axes but the first.
fn shapes<T: Port>(array: &Array) -> Shapes {
    Shapes::of::<T>(Shape(array.shape[1..].to_vec()))
}

/// Brings what was read to the device.
fn upload(array: Result<Array, Mistake>, compute: &Compute) -> Result<Tensor> {
    let array = array.map_err(|mistake| mistake.what)?;
    Ok(compute.upload(&array)?)
}

const FILE: (&str, &str) = ("file", "a `.npy` or `.safetensors` file");
const NAME: (&str, &str) = ("name", "which array of the file, needed where there are several");

/// Settings of images from a file.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadImages {
    file: File,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    sigma: f64,
    #[serde(default)]
    sigmas: Option<Wire<Sigmas>>,
}

impl LoadImages {
    fn source(&self) -> Source<'_> {
        Source { file: &self.file, name: &self.name }
    }
}

impl Node for LoadImages {
    type Value = (Images, Seen);

    const DOC: &'static str = "Images from a file of numbers: the same batch every tick.\n\
        Files hold them as [n, c, h, w]; clean images lie in [-1, 1].";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        FILE,
        NAME,
        ("sigma", "the noise level of all of them, 0 for clean ones"),
        ("sigmas", "a noise level for each of them"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.sigma >= 0.0 {
            return Ok(());
        }
        Err(Mistake::new("sigma", format!("`sigma` is {}, expected a noise level from 0 on", self.sigma)))
    }

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(shapes::<Images>(&self.source().images()?))
    }
}

/// The images again, counted as seen once more.
pub fn load_images(
    this: This<LoadImages>,
    seen: Query<&Seen>,
    sigmas: Read<Sigmas>,
    compute: Compute,
    mut pixels: Local<Option<Tensor>>,
) -> Result<(Images, Seen)> {
    let pixels = match pixels.take() {
        Some(there) => pixels.insert(there),
        None => pixels.insert(upload(this.source().images(), &compute)?),
    };
    let Seen(before) = seen.get(this.node()).copied().unwrap_or_default();
    let sigma =
        sigmas.maybe(this.sigmas)?.map_or(Sigma::Same(this.sigma), |each| Sigma::Each(each.0.clone()));
    let images = Images { sigma, ..Images::clean(pixels.clone(), before) };
    let seen = Seen(before + images.batch() as u64);
    Ok((images, seen))
}

/// Settings of labels from a file.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct LoadLabels {
    file: File,
    #[serde(default)]
    name: Option<String>,
}

impl LoadLabels {
    fn source(&self) -> Source<'_> {
        Source { file: &self.file, name: &self.name }
    }
}

impl Node for LoadLabels {
    type Value = Labels;

    const DOC: &'static str = "Labels from a file of numbers, [n, classes]: one-hot or any vectors.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[FILE, NAME];

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(shapes::<Labels>(&self.source().labels()?))
    }
}

/// The labels; they are classes where every row is one-hot.
pub fn load_labels(this: This<LoadLabels>, compute: Compute) -> Result<Labels> {
    let array = this.source().labels().map_err(|mistake| mistake.what)?;
    let numbers = array.f64s();
    let rows = numbers.chunks(array.shape[1].max(1));
    Ok(Labels { rows: compute.upload(&array)?, classes: rows.map(class).collect() })
}

/// The class that a row stands for, if it is one-hot.
fn class(row: &[f64]) -> Option<u32> {
    let one = row.iter().position(|number| *number == 1.0)?;
    row.iter().enumerate().all(|(at, number)| at == one || *number == 0.0).then_some(one as u32)
}

/// Settings of noise levels from a file.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct LoadSigmas {
    file: File,
    #[serde(default)]
    name: Option<String>,
}

impl LoadSigmas {
    fn source(&self) -> Source<'_> {
        Source { file: &self.file, name: &self.name }
    }
}

impl Node for LoadSigmas {
    type Value = Sigmas;

    const DOC: &'static str = "Noise levels from a file of numbers, one for each image: [n].";

    const FIELDS: &'static [(&'static str, &'static str)] = &[FILE, NAME];

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(shapes::<Sigmas>(&self.source().sigmas()?))
    }
}

/// The noise levels.
pub fn load_sigmas(this: This<LoadSigmas>, compute: Compute) -> Result<Sigmas> {
    upload(this.source().sigmas(), &compute).map(Sigmas)
}

/// Settings of denoised images from a file.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct LoadDenoised {
    file: File,
    #[serde(default)]
    name: Option<String>,
}

impl LoadDenoised {
    fn source(&self) -> Source<'_> {
        Source { file: &self.file, name: &self.name }
    }
}

impl Node for LoadDenoised {
    type Value = Denoised;

    const DOC: &'static str =
        "What a denoiser elsewhere made of noisy images, from a file of numbers: [n, c, h, w].";

    const FIELDS: &'static [(&'static str, &'static str)] = &[FILE, NAME];

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(shapes::<Denoised>(&self.source().images()?))
    }
}

/// The denoised images.
pub fn load_denoised(this: This<LoadDenoised>, compute: Compute) -> Result<Denoised> {
    Ok(Denoised { pixels: upload(this.source().images(), &compute)?, evaluations: 0 })
}
