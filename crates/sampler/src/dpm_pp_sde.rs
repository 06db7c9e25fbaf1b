//! SDE-DPM-Solver++ (Lu et al. 2022): DPM++ 2M SDE and 3M SDE.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoised, Images, Seeds};
use serde::Deserialize;

use crate::History;
use crate::brownian::{SEEDS, brownian_noise};
use crate::multistep::{Advance, Answers, DENOISED, X, check_noise, check_order};
use crate::place::only_downwards;

/// Settings of the solver.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DpmPPSde {
    x: Wire<Images>,
    denoised: Wire<Denoised>,
    seeds: Wire<Seeds>,
    #[serde(default = "order")]
    order: usize,
    #[serde(default = "one")]
    eta: f64,
    #[serde(default = "one")]
    noise: f64,
}

fn order() -> usize {
    2
}

fn one() -> f64 {
    1.0
}

impl Node for DpmPPSde {
    type Value = (Images, History);

    const DOC: &'static str = "DPM++ 2M SDE or 3M SDE: DPM-Solver++ for the SDE, which replaces noise as it goes \
        (Lu et al. 2022).\n\
        One evaluation a step; the last step is Euler's. The noise of a seed is a Brownian path over noise levels, so that \
        with other numbers of steps it is the same, and images come closer to one another as steps become more.";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        X,
        DENOISED,
        SEEDS,
        ("order", "how many answers count: 2 for 2M SDE, which it is unless given, 3 for 3M SDE"),
        (
            "eta",
            "how fast noise is replaced: 1 unless given, as in the reverse diffusion; 0 never, as in `DpmPP`",
        ),
        ("noise", "the standard deviation of fresh noise, 1 unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        check_order(self.order, 3)?;
        check_noise([("eta", self.eta), ("noise", self.noise)])
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.same("denoised", self.denoised, self.x)?))
    }
}

/// Takes the step.
pub fn dpm_pp_sde(
    this: This<DpmPPSde>,
    images: Read<Images>,
    denoised: Read<Denoised>,
    seeds: Read<Seeds>,
    histories: Query<&History>,
    mut compute: Compute,
) -> Result<(Images, History)> {
    let (x, denoised) = (images.get(this.x)?, denoised.get(this.denoised)?);
    let advance = Advance::new(x, denoised, histories.get(this.node()).ok(), this.order)?;
    if let Some(arrived) = advance.trivial() {
        return Ok(arrived);
    }
    let over = [advance.step.sigma(), advance.to()];
    only_downwards(over)?;
    let mut update = diffusion::dpm_pp_sde(&advance.levels(), advance.to(), this.eta);
    update.noise *= this.noise;
    let noise = match update.noise > 0.0 {
        true => Some(brownian_noise(&seeds.get(this.seeds)?.ids, x, over, this.eta, &mut compute)?),
        false => None,
    };
    advance.take(Answers::Denoised, update, noise.as_ref(), &mut compute)
}
