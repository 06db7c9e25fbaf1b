//! The loop of Algorithm 2 (line 3): one step a tick.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Past, Read, Shapes, This, Unfinished, Wire};
use ports::{Images, Seeds, Sigma, Step, Times};
use serde::Deserialize;

/// Settings of the trajectory.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Unfinished)]
pub struct Trajectory {
    start: Wire<Images>,
    pub(crate) next: Past<Images>,
    times: Wire<Times>,
}

impl Node for Trajectory {
    type Value = (Images, Step);

    const DOC: &'static str = "Images on their way down the time steps, one step a tick \
        (Algorithm 2, line 3).\n\
        A batch begins at `start`, and goes on from where the solver took it on the tick before.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        (
            "start",
            "the images at the first time step; where they come in batches of seeds, each is walked in turn",
        ),
        ("next", "the last node of a step: a `Heun`, or the `Euler` of a first-order sampler"),
        ("times", "the noise levels"),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.of(self.start)))
    }

    fn check_shapes(&self, inputs: &Inputs) -> Result<(), Mistake> {
        inputs.same("next", self.next, self.start).map(drop)
    }
}

/// Takes the images to the start of the next step.
pub fn trajectory(
    this: This<Trajectory>,
    images: Read<Images>,
    seeds: Read<Seeds>,
    times: Read<Times>,
    steps: Read<Step>,
    mut commands: Commands,
) -> Result<(Images, Step)> {
    let times = &times.get(this.times)?.0;
    let seeds = seeds.of(this.start.node());
    let starts = seeds.is_some_and(|seeds| seeds.fresh);
    let (index, x) = match (steps.of(this.node()), images.past(this.next)) {
        // All seeds have arrived; others are still at work.
        (Some(old), Some(_)) if !starts && old.is_last() => (old.index, images.of(this.node())),
        (Some(old), Some(x)) if !starts => (old.index + 1, Some(x)),
        _ => (0, None),
    };
    let x = x.map_or_else(|| images.get(this.start), Ok)?;
    let evaluations = x.step.map_or(0, |step| step.evaluations);
    let Some(&[from, to]) = times.get(index..index + 2) else {
        return Err(format!("there are {} time steps, too few for step {}", times.len(), index + 1).into());
    };
    let step = Step { index, steps: times.len() - 1, from, to, evaluations };
    if step.is_last() && seeds.is_none_or(|seeds| seeds.last) {
        commands.entity(this.node()).remove::<Unfinished>();
    }
    Ok((Images { sigma: Sigma::Same(step.from), step: Some(step), ..x.clone() }, step))
}

/// Where on their trajectory images are: the step, and their noise level.
pub(crate) fn place(images: &Images) -> Result<(Step, f64)> {
    match (images.step, &images.sigma) {
        (Some(step), Sigma::Same(level)) => Ok((step, *level)),
        _ => Err("these images are on no trajectory; wire what a `Trajectory` makes of them".into()),
    }
}
