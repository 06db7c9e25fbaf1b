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
    #[serde(default)]
    std: f64,
}

impl Node for Points {
    type Value = Denoiser;

    const DOC: &'static str = "The ideal denoiser of a few points in the plane: images of 1x1 pixel and two channels.\n\
        With a `std` it is that of a mixture of normal distributions around the points.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("at", "the points, as `[(x, y), …]`"),
        ("std", "the standard deviation of the data around each, 0 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if self.at.is_empty() {
            return Err(Mistake::new("at", "there are no points, and nothing can be near to none of them"));
        }
        if !(self.std >= 0.0 && self.std.is_finite()) {
            let what = format!("`std` must be a finite number from 0 on, not {}", self.std);
            return Err(Mistake::new("std", what));
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
    let ideal = IdealDenoiser::new(names.get(this.node())?, [1, 1, 2].into(), points);
    Ok(Denoiser(Arc::new(ideal.around(this.std))))
}
