//! The kernel distance of two sets of images.

use bevy_ecs::prelude::*;
use pipeline::{Node, Read, This, Wire};
use ports::Table;
use serde::Deserialize;

use super::Teller;
use super::features::FeatureSet;
use crate::{Score, kernel_distance};

/// Settings of the distance.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelDistance {
    x: Wire<FeatureSet>,
    against: Wire<FeatureSet>,
    #[serde(default)]
    seed: u64,
}

impl Node for KernelDistance {
    type Value = Table;

    const DOC: &'static str = "The kernel distance (KID) between the features of two sets of images, with its standard error, once \
        both are complete.\n\
        Tells `kernel_distance`: the unbiased estimate with the cubic kernel, mean over blocks of 1,000 images or a tenth of \
        the smaller set. So unlike a Fréchet distance it does not depend on how many images there are.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the features of the images"),
        ("against", "the features of the images to compare with"),
        ("seed", "how the images fall into blocks, 0 unless given"),
    ];
}

/// Compares the sets when they are complete.
pub fn kernel(this: This<KernelDistance>, sets: Read<FeatureSet>, mut teller: Teller) -> Result<Table> {
    let (x, against) = (sets.get(this.x)?, sets.get(this.against)?);
    teller.tell(&[x, against], || {
        x.origin.expect_same_network(&against.origin)?;
        let estimate = kernel_distance(&x.rows, &against.rows, this.seed)?;
        let score = Score::estimate("KID", estimate, x.origin.clone(), Some(against.origin.n as u64));
        Ok(vec![("kernel_distance", score)])
    })
}
