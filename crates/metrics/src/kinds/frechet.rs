//! The Fréchet distance of two sets of images, or of a set and the statistics of another.

use bevy_ecs::prelude::*;
use pipeline::{File, Mistake, Node, Read, This, Wire};
use ports::Table;
use serde::Deserialize;

use super::Teller;
use super::features::FeatureSet;
use crate::{Moments, Score, Statistics, frechet_distance};

/// Settings of the distance.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrechetDistance {
    x: Wire<FeatureSet>,
    #[serde(default)]
    against: Option<Wire<FeatureSet>>,
    #[serde(default)]
    statistics: Option<File>,
}

impl Node for FrechetDistance {
    type Value = Table;

    const DOC: &'static str = "The Fréchet distance between the features of two sets of images, once both are complete: FID with \
        the features of Inception.\n\
        Tells `frechet_distance`, and a line with everything that it depends on. It falls with the number of images, so \
        only those of as many can be compared; that of two sets of real images is the floor.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("x", "the features of the images"),
        ("against", "the features of the images to compare with"),
        ("statistics", "or an `.npz` file with their mean `mu` and covariance `sigma`"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        match (&self.against, &self.statistics) {
            (Some(_), None) | (None, Some(_)) => Ok(()),
            (None, None) => Err(Mistake::new("x", "it is not said what to compare with")
                .help("add `against: \"…\"`, or `statistics: \"….npz\"`")),
            (Some(_), Some(_)) => {
                Err(Mistake::new("statistics", "`against` and `statistics` both say what to compare with")
                    .help("leave out one of them"))
            }
        }
    }
}

/// Compares the sets when they are complete.
pub fn frechet(this: This<FrechetDistance>, sets: Read<FeatureSet>, mut teller: Teller) -> Result<Table> {
    let x = sets.get(this.x)?;
    let against = sets.maybe(this.against)?;
    let both: Vec<&FeatureSet> = [x].into_iter().chain(against).collect();
    teller.tell(&both, || {
        let other = match (against, &this.statistics) {
            (Some(against), _) => statistics(against)?,
            (None, Some(file)) => Statistics::read(&file.0)?,
            (None, None) => return Err("there is nothing to compare with".into()),
        };
        let value = frechet_distance(&statistics(x)?, &other)?;
        let metric = distance_name(&x.origin.network);
        Ok(vec![("frechet_distance", Score::new(metric, value, x.origin.clone(), other.count))])
    })
}

fn statistics(set: &FeatureSet) -> Result<Statistics, String> {
    let mut moments = Moments::default();
    moments.add(&set.rows)?;
    Ok(moments.statistics()?.of_network(&set.origin.digest))
}

/// FID is what it is called with Inception-v3 and nothing else.
fn distance_name(network: &str) -> String {
    if network.starts_with("Inception2048@299") { "FID".into() } else { format!("FD-{network}") }
}
