//! What a network says of the images that pass.

use std::ops::Range;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use pipeline::{File, Inputs, Keep, Kept, Mistake, Node, Read, Shapes, This, Unfinished, Wire, port};
use ports::{Compute, Denoiser, Images, Seeds};
use serde::Deserialize;

use crate::score::ranges;
use crate::{Extractor, FeatureNetwork, Origin, Rows, digest};

/// Settings of the features.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Unfinished)]
pub struct Features {
    x: Wire<Images>,
    #[serde(default)]
    seeds: Option<Wire<Seeds>>,
    #[serde(default)]
    count: Option<usize>,
    #[serde(default)]
    skip: usize,
    #[serde(default)]
    by: Option<Wire<Denoiser>>,
    #[serde(default)]
    network: Choice,
}

/// Which network looks at images.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub enum Choice {
    /// The one that comes with the program.
    #[default]
    SqueezeNet,
    /// That of FID, from a file.
    Inception {
        /// Safetensors with torchvision's names.
        weights: File,
    },
}

/// The features of a set of images so far.
#[derive(Component, Clone, Debug, Default)]
pub struct FeatureSet {
    pub rows: Arc<Rows>,
    pub origin: Origin,
    /// Whether no images are to come.
    pub complete: bool,
    seeds: Vec<u64>,
}

port!(FeatureSet);

impl Node for Features {
    type Value = FeatureSet;

    const DOC: &'static str = "What a network says of images, collected over ticks: the numbers that distances compare.\n\
        With `seeds` it takes samples of all batches when they have arrived; with `count` the images of every tick until \
        they are so many. Images are rounded to bytes first, as files have them.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the images, clean ones or samples"),
        ("seeds", "the seeds of images that are sampled"),
        ("count", "how many images to take, where they are not samples"),
        (
            "skip",
            "how many images of the data to leave out before, 0 unless given: for two sets without a common image",
        ),
        ("by", "the denoiser that makes the samples: scores then tell the digest of its weights"),
        (
            "network",
            "`SqueezeNet`, which it is unless given, or `Inception(weights: \"inception.safetensors\")` for FID: that of \
             2015-12-05 with torchvision's names",
        ),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.seeds.is_some() && self.skip > 0 {
            return Err(Mistake::new("skip", "`skip` is for data, and `seeds` says that these are samples")
                .help("leave out `skip`, and choose the seeds that are wanted"));
        }
        match (self.seeds, self.count) {
            (Some(_), None) => Ok(()),
            (None, Some(count)) if count >= 2 => Ok(()),
            (None, Some(count)) => {
                Err(Mistake::new("count", format!("`count` is {count}, expected at least 2")))
            }
            (None, None) => Err(Mistake::new("x", "it is not said how many images to take")
                .help("add `count: 10000`, or `seeds: \"…\"` for images that are sampled")),
            (Some(_), Some(_)) => {
                Err(Mistake::new("count", "`seeds` and `count` both say how many images to take")
                    .help("leave out `count`"))
            }
        }
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        match inputs.of(self.x).as_deref() {
            Some(&[h, w, c]) if !matches!(c, 1 | 3) => {
                let what = format!(
                    "`{}` makes images of {h}x{w}x{c}, expected 1 or 3 channels",
                    inputs.name(self.x)
                );
                Err(Mistake::new("x", what).help("networks look at grey or RGB images"))
            }
            _ => Ok(Shapes::default()),
        }
    }
}

impl Keep for FeatureSet {
    const NAME: &'static str = "FeatureSet";

    fn save(&self, _: &World) -> Result<Kept> {
        let kept = Kept::plain(&(&self.origin, self.complete, &self.seeds, self.rows.width()))?;
        Ok(kept.with("rows", pipeline::Array::new([self.rows.numbers().len()], self.rows.numbers())))
    }

    fn load(kept: &Kept, _: &mut World) -> Result<Self> {
        let (origin, complete, seeds, width): (Origin, bool, Vec<u64>, usize) = kept.read()?;
        let numbers: Vec<f32> = kept.array("rows")?.read()?;
        let whole = numbers.is_empty() || (width > 0 && numbers.len().is_multiple_of(width));
        let rows = match (whole, numbers.is_empty()) {
            (false, _) => return Err(format!("{} features are no rows of {width}", numbers.len()).into()),
            (true, true) => Rows::default(),
            (true, false) => Rows::new(width, numbers),
        };
        Ok(FeatureSet { rows: Arc::new(rows), origin, complete, seeds })
    }
}

/// Adds the images of this tick.
pub fn features(
    this: This<Features>,
    images: Read<Images>,
    seeds: Read<Seeds>,
    denoisers: Read<Denoiser>,
    sets: Query<&FeatureSet>,
    compute: Compute,
    mut extractor: Local<Option<Extractor>>,
    mut commands: Commands,
) -> Result<FeatureSet> {
    let mut set = sets.get(this.node()).cloned().unwrap_or_default();
    let images = images.get(this.x)?;
    let seeds = seeds.maybe(this.seeds)?;
    let from = this.skip.saturating_sub(images.before as usize);
    if !set.complete && from < images.batch() && wanted(&set, images, seeds) {
        let extractor = match extractor.as_mut() {
            Some(ready) => ready,
            None => extractor.insert(Extractor::new(this.network.open()?)),
        };
        let left = this.count.map_or(usize::MAX, |count| count - set.origin.n);
        let to = from.saturating_add(left).min(images.batch());
        let rows = look(images, from..to, extractor, &compute)?;
        if set.origin.n == 0 {
            set.origin = Origin::seen_by(extractor.network(), 0);
            set.rows = Arc::new(Rows::new(rows.width(), Vec::new()));
        }
        set.origin.n += rows.count();
        set.origin.nfe = images.step.map_or(0, |step| step.evaluations);
        Arc::make_mut(&mut set.rows).append(&rows);
        set.seeds.extend(seeds.iter().flat_map(|seeds| &seeds.ids));
        set.complete = seeds.map_or(left <= rows.count(), |seeds| seeds.last);
        if set.complete {
            let weights = denoisers.maybe(this.by)?.map(|by| weights(by, &compute)).transpose()?;
            set.origin.weights = weights.unwrap_or_default();
            set.origin.seeds = ranges(set.seeds.iter().copied());
        }
    }
    if set.complete {
        commands.entity(this.node()).remove::<Unfinished>();
    }
    Ok(set)
}

/// Whether these images are there and new. A batch that a resumed run has sampled again is in the set already.
fn wanted(set: &FeatureSet, images: &Images, seeds: Option<&Seeds>) -> bool {
    let arrived = images.step.is_none_or(|step| step.is_last());
    seeds.is_none_or(|seeds| arrived && !seeds.ids.iter().any(|seed| set.seeds.contains(seed)))
}

/// The features of some images of a batch.
fn look(images: &Images, which: Range<usize>, extractor: &mut Extractor, compute: &Compute) -> Result<Rows> {
    let &[_, h, w, c] = &images.pixels.shape()[..] else {
        return Err(format!("images are {}, expected [n, h, w, c]", images.pixels.shape()).into());
    };
    let numbers = compute.download(&images.pixels)?.f32s();
    if !numbers.iter().all(|number| number.is_finite()) {
        return Err("an image has pixels that are not finite".into());
    }
    let byte = |pixel: &f32| (pixel * 127.5 + 128.0).clamp(0.0, 255.0) as u8;
    let size = h * w * c;
    let bytes: Vec<u8> = numbers[which.start * size..which.end * size].iter().map(byte).collect();
    Ok(extractor.rows(compute.device(), [h, w, c], &bytes)?)
}

/// What tells the weights of a denoiser from others: `none` where it has none.
fn weights(by: &Denoiser, compute: &Compute) -> Result<String> {
    let Some((_, parameters)) = by.0.trainable() else { return Ok("none".into()) };
    let numbers = compute.download(&parameters.arena)?.f32s();
    Ok(digest(&numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()))
}

impl Choice {
    /// Reads the network.
    pub fn open(&self) -> Result<FeatureNetwork, String> {
        match self {
            Self::SqueezeNet => Ok(FeatureNetwork::squeezenet()),
            Self::Inception { weights } => FeatureNetwork::inception(&weights.0),
        }
    }
}
