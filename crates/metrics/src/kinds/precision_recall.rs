//! Precision and recall of generated images.

use bevy_ecs::prelude::*;
use pipeline::{Mistake, Node, Read, This, Wire};
use ports::Table;
use serde::Deserialize;

use super::Teller;
use super::features::FeatureSet;
use crate::{Score, precision_recall};

/// Settings of precision and recall.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrecisionRecall {
    x: Wire<FeatureSet>,
    against: Wire<FeatureSet>,
    #[serde(default = "three")]
    neighbours: usize,
}

fn three() -> usize {
    3
}

impl Node for PrecisionRecall {
    type Value = Table;

    const DOC: &'static str = "How many generated images lie among real ones, and how many real ones among generated ones, once \
        both sets are complete (Kynkäänniemi et al. 2019).\n\
        Tells `precision` and `recall`, from 0 to 1. A set reaches as far around each of its images as that one's third \
        neighbour lies.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the features of the generated images"),
        ("against", "the features of as many real images"),
        ("neighbours", "how many neighbours a ball around an image reaches to, 3 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        match self.neighbours {
            0 => Err(Mistake::new("neighbours", "`neighbours` is 0, expected at least 1")),
            _ => Ok(()),
        }
    }
}

/// Compares the sets when they are complete.
pub fn measure(this: This<PrecisionRecall>, sets: Read<FeatureSet>, mut teller: Teller) -> Result<Table> {
    let (x, against) = (sets.get(this.x)?, sets.get(this.against)?);
    teller.tell(&[x, against], || {
        x.origin.expect_same_network(&against.origin)?;
        let found = precision_recall(&x.rows, &against.rows, this.neighbours)?;
        let score =
            |metric, value| Score::new(metric, value, x.origin.clone(), Some(against.origin.n as u64));
        Ok(vec![
            ("precision", score("precision", found.precision)),
            ("recall", score("recall", found.recall)),
        ])
    })
}
