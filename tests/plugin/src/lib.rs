//! A plugin for mollify: points on a spiral as a data set, and how far it turns as a value of its own.

use std::f32::consts::TAU;

use bevy_ecs::prelude::*;
use mollify::prelude::*;
use mollify::tensor::Array;
use mollify::{Numbers, Values, port};
use serde::Deserialize;

/// How often a spiral goes round its centre.
#[derive(Component, Clone, Copy, Debug)]
pub struct Turns(pub f32);

port!(Turns);

/// The turns themselves, so that several spirals can share them.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Winding {
    turns: f32,
}

impl Node for Winding {
    type Value = Turns;
    const DOC: &'static str = "How often spirals go round.";
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("turns", "whole rounds from the centre to the end")];
}

fn winding(this: This<Winding>) -> Result<Turns> {
    Ok(Turns(this.turns))
}

/// Points on a spiral, as images of one pixel and two channels.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spiral {
    turns: Wire<Turns>,
    points: usize,
}

impl Node for Spiral {
    type Value = Images;
    const DOC: &'static str = "Points on a spiral, as images of one pixel and two channels.";
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("turns", "how often it goes round"), ("points", "how many points it has")];

    fn check(&self) -> Result<(), Mistake> {
        match self.points {
            0 => Err(Mistake::new("points", "a spiral needs a point, found 0")),
            _ => Ok(()),
        }
    }

    fn shapes(&self, _: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(Shape::from([1, 1, 2])))
    }
}

fn spiral(this: This<Spiral>, turns: Read<Turns>, compute: Compute) -> Result<Images> {
    let Turns(turns) = *turns.get(this.turns)?;
    let points = (0..this.points).flat_map(|i| {
        let along = (i + 1) as f32 / this.points as f32;
        let (sin, cos) = (TAU * turns * along).sin_cos();
        [along * cos, along * sin]
    });
    let pixels = Array::new([this.points, 1, 1, 2], points.collect::<Vec<f32>>());
    Ok(Images::clean(compute.upload(&pixels)?, 0))
}

/// Teaches an engine spirals.
pub fn plugin(engine: &mut Engine) {
    engine.port::<Turns>().node::<Winding, _>(winding).node::<Spiral, _>(spiral);
    let mut values = engine.world.get_resource_or_init::<Values>();
    values.add::<Turns>(|turns, _| Ok(Numbers::list(vec![f64::from(turns.0)])));
}
