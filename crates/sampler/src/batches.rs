//! Which images are being sampled.

use bevy_ecs::prelude::*;
use pipeline::{Mistake, Node, Past, Read, This};
use ports::{Seeds, Step};
use serde::Deserialize;

use crate::SeedList;

/// Settings of the batches of seeds.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batches {
    of: String,
    size: usize,
    step: Past<Step>,
}

impl Batches {
    /// Every seed, if that is what `of` says.
    pub fn seeds(&self) -> Option<SeedList> {
        SeedList::parse(&self.of).ok()
    }

    /// The trajectory that the images are on.
    pub fn step(&self) -> Past<Step> {
        self.step
    }
}

impl Node for Batches {
    type Value = Seeds;

    const DOC: &'static str = "Seeds in batches; the next one starts when the trajectory of the \
        last has ended.\n\
        An image depends on its seed alone, never on the size of the batch. A run that is resumed in the \
        middle of a batch starts that batch again.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("of", "the seeds, one an image: `\"0-63\"` or `\"1,2,5-10\"`"),
        ("size", "how many images are sampled at a time"),
        ("step", "the trajectory that the images are on"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.size == 0 {
            return Err(Mistake::new("size", "`size` must be at least 1, not 0"));
        }
        SeedList::parse(&self.of).map(drop).map_err(|what| Mistake::new("of", what))
    }
}

/// Goes on with the batch in flight, or starts the next one.
pub fn batches(this: This<Batches>, steps: Read<Step>, seeds: Read<Seeds>) -> Result<Seeds> {
    let old = seeds.of(this.node());
    let step = steps.past(this.step);
    match (old, step) {
        (Some(old), Some(step)) if !step.is_last() || old.last => Ok(Seeds { fresh: false, ..old.clone() }),
        // A resumed run has its seeds and no images yet.
        (Some(old), None) => Ok(Seeds { fresh: true, ..old.clone() }),
        (old, _) => {
            let list = SeedList::parse(&this.of)?;
            let ids = list.after(old.and_then(|old| old.ids.last().copied()), this.size);
            let last = ids.last() == Some(&list.last());
            Ok(Seeds { ids, fresh: true, last })
        }
    }
}
