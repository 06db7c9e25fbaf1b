//! Noise levels from a list.

use bevy_ecs::prelude::*;
use pipeline::{Mistake, Node, Read, Shape, Shapes, This, Wire};
use ports::{Compute, Images, Sigmas, check_sigmas};
use serde::Deserialize;
use tensor::Array;

/// Settings of listed noise levels.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    like: Wire<Images>,
    sigmas: Vec<f64>,
}

impl Node for Levels {
    type Value = Sigmas;

    const DOC: &'static str = "The noise levels of a list, one after the other, and again from its start: to look at, not to train with.";

    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("like", "the images"), ("sigmas", "the noise levels: `[0.2, 1.0, 5.0]`")];

    fn check(&self) -> Result<(), Mistake> {
        check_sigmas("sigmas", &self.sigmas)
    }

    fn shapes(&self, _: &pipeline::Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Sigmas>(Shape::from([])))
    }
}

/// A level for each image.
pub fn levels(this: This<Levels>, images: Read<Images>, compute: Compute) -> Result<Sigmas> {
    let n = images.get(this.like)?.batch();
    let levels: Vec<f64> = this.sigmas.iter().copied().cycle().take(n).collect();
    Ok(Sigmas(compute.upload(&Array::new([n], levels))?))
}
