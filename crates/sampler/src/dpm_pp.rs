//! DPM-Solver++ (Lu et al. 2022), the multistep one of second or third order.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoised, Images};
use serde::Deserialize;

use crate::History;
use crate::multistep::{Advance, Answers, DENOISED, X, check_order};

/// Settings of the solver.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DpmPP {
    x: Wire<Images>,
    denoised: Wire<Denoised>,
    #[serde(default = "order")]
    order: usize,
}

fn order() -> usize {
    2
}

impl Node for DpmPP {
    type Value = (Images, History);

    const DOC: &'static str = "DPM-Solver++, 2M or 3M: exponential integration of the denoiser's last answers (Lu et al. 2022).\n\
        One evaluation a step. It begins with lower orders, and the last step is Euler's. The third order integrates the \
        parabola exactly; with its last term halved, as elsewhere, it would be of second order.";

    const FIELDS: &'static [(&'static str, &'static str)] =
        &[X, DENOISED, ("order", "how many answers count: 2 for 2M, which it is unless given, 3 for 3M")];

    fn check(&self) -> Result<(), Mistake> {
        check_order(self.order, 3)
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.same("denoised", self.denoised, self.x)?))
    }
}

/// Takes the step.
pub fn dpm_pp(
    this: This<DpmPP>,
    images: Read<Images>,
    denoised: Read<Denoised>,
    histories: Query<&History>,
    mut compute: Compute,
) -> Result<(Images, History)> {
    let (x, denoised) = (images.get(this.x)?, denoised.get(this.denoised)?);
    let advance = Advance::new(x, denoised, histories.get(this.node()).ok(), this.order)?;
    if let Some(arrived) = advance.trivial() {
        return Ok(arrived);
    }
    let update = diffusion::dpm_pp(&advance.levels(), advance.to());
    advance.take(Answers::Denoised, update, None, &mut compute)
}
