//! iPNDM (Zhang and Chen 2023): the weights of equal steps for steps of any length.

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoised, Images};
use serde::Deserialize;

use crate::History;
use crate::multistep::{Advance, Answers, DENOISED, X, check_order};

/// Settings of the solver.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ipndm {
    x: Wire<Images>,
    denoised: Wire<Denoised>,
    #[serde(default = "order")]
    order: usize,
}

fn order() -> usize {
    4
}

impl Node for Ipndm {
    type Value = (Images, History);

    const DOC: &'static str = "iPNDM: the last slopes with the weights of Adams and Bashforth for equal steps (Zhang and Chen 2023).\n\
        One evaluation a step. It begins with lower orders, and the last step is Euler's. Where steps change in length, as \
        most spacings have it, it is of second order at most, whatever `order` is.";

    const FIELDS: &'static [(&'static str, &'static str)] =
        &[X, DENOISED, ("order", "how many slopes are weighed, 1 to 4; 4 unless given")];

    fn check(&self) -> Result<(), Mistake> {
        check_order(self.order, 4)
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.same("denoised", self.denoised, self.x)?))
    }
}

/// Takes the step.
pub fn ipndm(
    this: This<Ipndm>,
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
    let update = diffusion::ipndm(advance.levels().len(), advance.step.sigma(), advance.to());
    advance.take(Answers::Slopes, update, None, &mut compute)
}
