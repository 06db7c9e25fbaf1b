//! Ancestral sampling: an Euler step to below the next noise level, and fresh noise up to it.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoised, Images, Seeds};
use serde::Deserialize;

use crate::History;
use crate::brownian::{SEEDS, brownian_noise};
use crate::multistep::{Advance, Answers, DENOISED, X, check_noise};
use crate::place::only_downwards;

/// Settings of ancestral sampling.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ancestral {
    x: Wire<Images>,
    denoised: Wire<Denoised>,
    seeds: Wire<Seeds>,
    #[serde(default = "one")]
    eta: f64,
    #[serde(default = "one")]
    noise: f64,
}

fn one() -> f64 {
    1.0
}

impl Node for Ancestral {
    type Value = (Images, History);

    const DOC: &'static str = "Ancestral Euler: a step to below the next noise level, then fresh noise up to it \
        (DDPM; Song et al. 2021).\n\
        One evaluation a step. The noise of a seed is a Brownian path over noise levels, the same whatever the number of \
        steps.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        X,
        DENOISED,
        SEEDS,
        ("eta", "how much of the noise is replaced: 1 unless given, as in DDPM; 0 for none, as in `Euler`"),
        ("noise", "the standard deviation of fresh noise, 1 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        check_noise([("eta", self.eta), ("noise", self.noise)])
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.same("denoised", self.denoised, self.x)?))
    }
}

/// Takes the step.
pub fn ancestral(
    this: This<Ancestral>,
    images: Read<Images>,
    denoised: Read<Denoised>,
    seeds: Read<Seeds>,
    mut compute: Compute,
) -> Result<(Images, History)> {
    let (x, denoised) = (images.get(this.x)?, denoised.get(this.denoised)?);
    let advance = Advance::new(x, denoised, None, 1)?;
    if let Some(arrived) = advance.trivial() {
        return Ok(arrived);
    }
    let over = [advance.step.sigma(), advance.to()];
    only_downwards(over)?;
    let mut update = diffusion::ancestral(over[0], over[1], this.eta);
    update.noise *= this.noise;
    let noise = match update.noise > 0.0 {
        true => Some(brownian_noise(&seeds.get(this.seeds)?.ids, x, over, 1.0, &mut compute)?),
        false => None,
    };
    advance.take(Answers::Denoised, update, noise.as_ref(), &mut compute)
}
