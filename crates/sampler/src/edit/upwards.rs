//! The time steps of sampling in the other direction, from images to latents.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use pipeline::{Constant, Node, Read, This, Wire};
use ports::{Explain, Fact, Others, Times};
use serde::Deserialize;

/// Settings of the way up.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Upwards {
    times: Wire<Times>,
}

impl Node for Upwards {
    type Value = Times;

    const DOC: &'static str = "The same time steps from the lowest noise level up to the highest: a `Trajectory` on them \
        encodes images into latents (section 4 of the paper, and its appendix D.1).\n\
        It is N - 1 steps, as the way begins at the lowest level and not at 0, where the slope is 0/0. Any solver of the \
        ODE follows; solvers that add noise do not.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[("times", "the time steps of the way down")];
}

/// Turns time steps round.
pub fn upwards(this: This<Upwards>, times: Read<Times>) -> Result<Times> {
    let times = times.get(this.times)?;
    if !times.restarts.is_empty() {
        return Err("time steps with a `Restart` have no way back; name those without".into());
    }
    Ok(reversed(times))
}

/// All but the 0 at the end, in reverse.
fn reversed(times: &Times) -> Times {
    let t = times.t[..times.t.len() - 1].iter().rev().copied().collect();
    Times { t, path: times.path, restarts: BTreeMap::new() }
}

impl Explain for Upwards {
    fn explain(&self, others: &Others) -> Vec<Fact> {
        let times = others.find(self.times.node(), |fact| match fact {
            Fact::Times(times) => Some(reversed(&times)),
            _ => None,
        });
        times.map(Fact::Times).into_iter().collect()
    }
}
