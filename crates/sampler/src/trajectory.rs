//! The loop of Algorithm 2 (line 3): one step a tick.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Past, Read, Shapes, This, Unfinished, Wire};
use ports::{Compute, Explain, Fact, Images, Others, Seeds, Step, Times};
use serde::Deserialize;
use tensor::Bindings;

use crate::place::{moved, place};

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

    const DOC: &'static str = "Images on their way along the time steps, one step a tick \
        (Algorithm 2, line 3).\n\
        A batch begins at `start`, and goes on from where the solver took it on the tick before.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        (
            "start",
            "the images at the first time step, `Latents` or what another trajectory has come to; where they come in \
             batches of seeds, each is walked in turn",
        ),
        (
            "next",
            "the last node of a step: a `Heun`, or the `Euler` of a first-order sampler, or another solver",
        ),
        ("times", "the time steps: those of a way down, or `Upwards`"),
    ];

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.of(self.start)))
    }

    fn check_shapes(&self, inputs: &Inputs) -> Result<(), Mistake> {
        inputs.same("next", self.next, self.start).map(drop)
    }
}

impl Explain for Trajectory {
    fn explain(&self, others: &Others) -> Vec<Fact> {
        let times = |fact| match fact {
            Fact::Times(times) => Some(times),
            _ => None,
        };
        others.find(self.times.node(), times).map(Fact::Times).into_iter().collect()
    }
}

/// Takes the images to the start of the next step.
pub fn trajectory(
    this: This<Trajectory>,
    images: Read<Images>,
    seeds: Read<Seeds>,
    times: Read<Times>,
    steps: Read<Step>,
    mut compute: Compute,
    mut commands: Commands,
) -> Result<(Images, Step)> {
    let times = times.get(this.times)?;
    let seeds = seeds.of(this.start.node());
    let starts = seeds.is_some_and(|seeds| seeds.fresh);
    let (index, x) = match (steps.of(this.node()), images.past(this.next)) {
        // All seeds have arrived; others are still at work.
        (Some(old), Some(_)) if !starts && old.is_last() => (old.index, images.of(this.node())),
        (Some(old), Some(x)) if !starts => (old.index + 1, Some(arrived(x, old.to)?)),
        _ => (0, None),
    };
    let step = step(times, index, x)?;
    if step.is_last() && seeds.is_none_or(|seeds| seeds.last) {
        commands.entity(this.node()).remove::<Unfinished>();
    }
    let x = match x {
        Some(x) => moved(x, x.pixels.clone(), step),
        None => enter(images.get(this.start)?, step, &mut compute)?,
    };
    Ok((x, step))
}

/// The step of that number, with what these images have cost so far.
fn step(times: &Times, index: usize, x: Option<&Images>) -> Result<Step> {
    let Some(&[from, to]) = times.t.get(index..index + 2) else {
        let count = times.t.len();
        return Err(format!("there are {count} time steps, too few for step {}", index + 1).into());
    };
    let (evaluations, climbs) = x.and_then(|x| x.step).map_or((0, 0), |step| (step.evaluations, step.climbs));
    let (steps, restart) = (times.t.len() - 1, times.restarts.get(&index).copied());
    Ok(Step { index, steps, from, to, restart, at: from, path: times.path, evaluations, climbs })
}

/// Images that the solver took where they ought to be.
fn arrived(x: &Images, at: f64) -> Result<&Images> {
    let step = place(x)?;
    if step.at == at {
        return Ok(x);
    }
    let what = format!("the images have come to t = {}, not to the end of the step at {at}", step.at);
    Err(format!("{what}; after an `Euler` with an `alpha`, `next` has to be a `Heun`").into())
}

/// Takes images to the scale of the first step; those that another trajectory has brought have one already.
fn enter(start: &Images, step: Step, compute: &mut Compute) -> Result<Images> {
    let scale = step.path.scale(step.at) / start.scale();
    if scale == 1.0 {
        return Ok(moved(start, start.pixels.clone(), step));
    }
    let shape = start.pixels.shape();
    let bindings = Bindings::new().tensor("x", &start.pixels).scalar("scale", scale);
    let mut outputs = compute.run(&shape.to_string(), &bindings, |graph| {
        let (x, scale) = (graph.input("x", shape.clone()), graph.scalar("scale"));
        let x = graph.mul(x, scale);
        graph.output("x", x);
    })?;
    Ok(moved(start, outputs.take("x")?, step))
}
