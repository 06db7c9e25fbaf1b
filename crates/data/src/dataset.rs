//! Pictures of a folder or zip file as an endless stream of shuffled batches.

use std::path::{Path, PathBuf};

use bevy_ecs::prelude::*;
use bevy_ecs::relationship::RelationshipTarget;
use pipeline::{Edge, Inputs, Mistake, Node, Outgoing, Port, Shape, Shapes, This, Timing};
use ports::{Compute, Explain, Fact, Images, Labels, Others};
use serde::Deserialize;

use crate::loader::Loader;
use crate::picture_set::{Choice, PictureSet, Split};
use crate::pictures::{Order, Pictures, Seen, spread};
use crate::{ANY_STD, batch_size, positive};

/// Settings of a set of pictures.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    at: PathBuf,
    batch: usize,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    mirror: bool,
    #[serde(default = "two")]
    workers: usize,
    #[serde(default)]
    max_images: Option<usize>,
    #[serde(default)]
    held_out: f64,
    #[serde(default)]
    split: Split,
    #[serde(default = "one_gib")]
    cache_mib: usize,
    #[serde(default)]
    any_std: bool,
}

fn two() -> usize {
    2
}

fn one_gib() -> usize {
    1024
}

impl Node for Dataset {
    type Value = (Images, Labels, Seen);

    const DOC: &'static str = "Pictures of one size from a folder or zip file, in another order every epoch.\n\
        They are PNG, JPEG, WebP or BMP, grey or RGB; folders inside are searched as well. `dataset.json` at the top labels \
        them with classes or lists of numbers: {\"labels\": [[\"a/b.png\", 3], …]}. Without it, if there are several folders at \
        the top and no picture outside of them, each is a class, in the order of their names. Other files and hidden ones \
        are passed over. `mollify dataset` makes such folders and zip files.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("at", "the folder or zip file"),
        ("batch", "how many images a tick"),
        ("seed", "which order they come in, 0 unless given"),
        ("mirror", "whether every other image, at random, is turned left to right"),
        ("workers", "how many threads read files ahead of time, 2 unless given"),
        ("max_images", "take only so many of the files, spread evenly"),
        (
            "held_out",
            "the share of pictures, chosen by a hash of their paths, that is held out: 0 unless given",
        ),
        ("split", "Train for the others, which is what it is unless given, or HeldOut for those held out"),
        ("cache_mib", "how much memory decoded pictures may take, 1024 MiB unless given; 0 keeps none"),
        ANY_STD,
    ];

    fn check(&self) -> Result<(), Mistake> {
        batch_size(self.batch)?;
        positive("workers", self.workers)?;
        if !(0.0..1.0).contains(&self.held_out) {
            let what = format!("`held_out` is {}, expected a share from 0 to less than 1", self.held_out);
            return Err(Mistake::new("held_out", what));
        }
        if self.split == Split::HeldOut && self.held_out == 0.0 {
            return Err(Mistake::new("split", "`split` is HeldOut, but no pictures are held out")
                .help("add `held_out: 0.1`, here and where the others are trained with"));
        }
        self.max_images.map_or(Ok(()), |images| positive("max_images", images))
    }

    /// Pictures that are not there yet may be made before the run: then nothing is known.
    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        if !self.at.exists() {
            return Ok(Shapes::default());
        }
        let set = PictureSet::list(&self.at, self.choice()).map_err(|what| Mistake::new("at", what))?;
        let (image, labels) = (Shape::from(set.shape()), Shape::from([set.labels()]));
        Ok(Shapes::of::<Images>(image).and::<Labels>(labels))
    }
}

impl Explain for Dataset {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        let wanted = !self.any_std && self.at.exists();
        let set = wanted.then(|| PictureSet::list(&self.at, self.choice()).ok()).flatten();
        set.map_or_else(Vec::new, |set| spread(&set))
    }
}

impl Dataset {
    fn choice(&self) -> Choice {
        let Self { held_out, split, max_images, cache_mib, .. } = *self;
        Choice { held_out, split, max_images, cache: cache_mib.saturating_mul(1 << 20) }
    }

    fn open(&self) -> Result<PictureSet, String> {
        PictureSet::open(&self.at, self.choice(), self.workers)
    }
}

/// The next batch of pictures.
pub fn dataset(
    this: This<Dataset>,
    seen: Query<&Seen>,
    outgoing: Query<&Outgoing>,
    edges: Query<&Edge>,
    compute: Compute,
    mut loader: Local<Option<Loader>>,
    mut timings: MessageWriter<Timing>,
) -> Result<(Images, Labels, Seen)> {
    let Seen(before) = seen.get(this.node()).copied().unwrap_or_default();
    let loader = match loader.take_if(|loader| loader.position() == before) {
        Some(running) => loader.insert(running),
        None => {
            let set = this.open()?;
            let readers = outgoing.get(this.node()).into_iter().flat_map(RelationshipTarget::iter);
            let mut readers = readers.filter_map(|edge| edges.get(edge).ok());
            if set.labels() == 0 && readers.any(|edge| edge.port == Some(Labels::NAME)) {
                return Err(no_labels(&this.at).into());
            }
            let order = Order { seed: this.seed, mirror: this.mirror };
            loader.insert(Loader::start(set, order, before, this.batch, this.workers))
        }
    };
    let (batch, wait) = loader.take()?;
    timings.write_batch(wait.map(|value| Timing { name: "loader_wait", value }));
    batch.upload(before, &compute)
}

fn no_labels(at: &Path) -> String {
    format!(
        "labels are wanted, but the pictures of `{}` have none: put each class into a folder of its own there, or write \
         `dataset.json`",
        at.display()
    )
}
