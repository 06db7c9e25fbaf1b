//! A folder of pictures as an endless stream of shuffled batches.

use std::path::PathBuf;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use bevy_ecs::relationship::RelationshipTarget;
use pipeline::{Edge, Feed, Inputs, Mistake, Node, Outgoing, Port, Shape, Shapes, This};
use ports::{Compute, Explain, Fact, Images, Labels, Others};
use serde::Deserialize;

use crate::folder::Folder;
use crate::pictures::{Batch, Order, Pictures, Seen, spread};
use crate::{batch_size, positive};

/// Batches that each loader thread may be ahead.
const AHEAD: usize = 2;

/// Settings of a folder of pictures.
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
}

fn two() -> usize {
    2
}

impl Node for Dataset {
    type Value = (Images, Labels, Seen);

    const DOC: &'static str = "A folder of PNG and JPEG pictures of one size, in another order every epoch.\n\
        Folders in it are searched as well. If there are several at the top, each is a class, in the order of \
        their names, and there are labels. Files with other extensions and hidden files are passed over.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("at", "the folder"),
        ("batch", "how many images a tick"),
        ("seed", "which order they come in, 0 unless given"),
        ("mirror", "whether every other image, at random, is turned left to right"),
        ("workers", "how many threads read files ahead of time, 2 unless given"),
        ("max_images", "take only so many of the files, spread evenly"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        batch_size(self.batch)?;
        positive("workers", self.workers)?;
        self.max_images.map_or(Ok(()), |images| positive("max_images", images))
    }

    /// A folder that is not there yet may be made before the run: then nothing is known.
    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        if !self.at.exists() {
            return Ok(Shapes::default());
        }
        let folder = Folder::list(&self.at, self.max_images).map_err(|what| Mistake::new("at", what))?;
        let (image, labels) = (Shape::from(folder.shape()), Shape::from([folder.classes()]));
        Ok(Shapes::of::<Images>(image).and::<Labels>(labels))
    }
}

impl Explain for Dataset {
    fn explain(&self, _: &Others) -> Vec<Fact> {
        let folder = self.at.exists().then(|| Folder::open(&self.at, self.max_images).ok()).flatten();
        folder.map_or_else(Vec::new, |folder| spread(&folder))
    }
}

/// The loader threads of one node, and what they read.
pub struct Loader {
    folder: Arc<Folder>,
    feed: Feed<Batch>,
    /// Where in the run the next batch starts.
    next: u64,
}

/// The next batch of pictures.
pub fn dataset(
    this: This<Dataset>,
    seen: Query<&Seen>,
    outgoing: Query<&Outgoing>,
    edges: Query<&Edge>,
    compute: Compute,
    mut loader: Local<Option<Loader>>,
) -> Result<(Images, Labels, Seen)> {
    let Seen(before) = seen.get(this.node()).copied().unwrap_or_default();
    let loader = match loader.take_if(|loader| loader.next == before) {
        Some(running) => loader.insert(running),
        None => {
            let folder = Folder::open(&this.at, this.max_images)?;
            let readers = outgoing.get(this.node()).into_iter().flat_map(RelationshipTarget::iter);
            let mut readers = readers.filter_map(|edge| edges.get(edge).ok());
            if folder.classes() == 0 && readers.any(|edge| edge.port == Some(Labels::NAME)) {
                return Err(no_labels(&this.at).into());
            }
            loader.insert(this.start(folder, before))
        }
    };
    let batch = loader.feed.take()?;
    loader.next += this.batch as u64;
    batch.upload(before, loader.folder.classes(), &compute)
}

impl Dataset {
    fn start(&self, folder: Folder, from: u64) -> Loader {
        let folder = Arc::new(folder);
        let order = Order { seed: self.seed, mirror: self.mirror };
        let (set, size) = (folder.clone(), self.batch as u64);
        let make = move |item: u64| {
            let start = from + item * size;
            Ok(order.batch(&*set, start..start + size)?)
        };
        Loader { folder, feed: Feed::start(self.workers, AHEAD, 0, make), next: from }
    }
}

fn no_labels(folder: &std::path::Path) -> String {
    format!(
        "labels are wanted, but the pictures of `{}` have none: put each class into a folder of its own there",
        folder.display()
    )
}
