//! The ideal denoiser of a few points in the plane: small enough to check by hand.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use pipeline::{Constant, Inputs, Mistake, Node, Shape, Shapes, This};
use ports::{Compute, Denoiser, Labels};
use serde::Deserialize;
use tensor::Array;

use crate::IdealDenoiser;

/// Settings of the points.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Points {
    at: Vec<(f64, f64)>,
}

impl Node for Points {
    type Value = Denoiser;

    const DOC: &'static str =
        "The ideal denoiser of a few points in the plane: images of 1x1 pixel and two channels.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[("at", "the points, as `[(x, y), …]`")];

    fn check(&self) -> Result<(), Mistake> {
        if self.at.is_empty() {
            return Err(Mistake::new("at", "there are no points, and nothing can be near to none of them"));
        }
        let finite = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
        match self.at.iter().position(|point| !finite(point)) {
            Some(at) => {
                Err(Mistake::new(format!("at.{at}"), format!("the point {:?} is not finite", self.at[at])))
            }
            None => Ok(()),
        }
    }

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Denoiser>(Shape::from([1, 1, 2])).and::<Labels>(Shape::from([0])))
    }
}

/// Puts the points where the device can read them.
pub fn points(this: This<Points>, names: Query<&Name>, compute: Compute) -> Result<Denoiser> {
    let numbers: Vec<f64> = this.at.iter().flat_map(|(x, y)| [*x, *y]).collect();
    let points = compute.upload(&Array::new([this.at.len(), 2], numbers))?;
    Ok(Denoiser(Arc::new(IdealDenoiser::new(names.get(this.node())?, [1, 1, 2].into(), points))))
}
