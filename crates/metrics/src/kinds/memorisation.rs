//! Whether generated images are copies of those of training.

use bevy_ecs::prelude::*;
use pipeline::{Node, Read, This, Wire};
use ports::Table;
use serde::Deserialize;

use super::Teller;
use super::features::FeatureSet;
use crate::{Score, memorisation};

/// Settings of the comparison.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memorisation {
    x: Wire<FeatureSet>,
    training: Wire<FeatureSet>,
    held_out: Wire<FeatureSet>,
}

impl Node for Memorisation {
    type Value = Table;

    const DOC: &'static str = "Whether generated images lie nearer to those of training than images do that were held out, once all \
        are complete.\n\
        Tells `nearest_generated` and `nearest_held_out`, the median distances to the nearest training image, and \
        `memorised`: how often a generated image is nearer, 0.5 where nothing is memorised and 1 for copies.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the features of the generated images"),
        ("training", "the features of the images of training, all of them"),
        ("held_out", "the features of images like them that training has not seen"),
    ];
}

/// Compares the sets when they are complete.
pub fn measure(this: This<Memorisation>, sets: Read<FeatureSet>, mut teller: Teller) -> Result<Table> {
    let [x, training, held_out] = [sets.get(this.x)?, sets.get(this.training)?, sets.get(this.held_out)?];
    teller.tell(&[x, training, held_out], || {
        x.origin.expect_same_network(&training.origin)?;
        x.origin.expect_same_network(&held_out.origin)?;
        let found = memorisation(&x.rows, &training.rows, &held_out.rows)?;
        let of = |set: &FeatureSet| (set.origin.clone(), Some(training.origin.n as u64));
        let [(generated, n), (real, _)] = [of(x), of(held_out)];
        Ok(vec![
            ("nearest_generated", Score::new("nearest generated", found.generated, generated.clone(), n)),
            ("nearest_held_out", Score::new("nearest held out", found.held_out, real, n)),
            ("memorised", Score::estimate("memorised", found.nearer, generated, n)),
        ])
    })
}
