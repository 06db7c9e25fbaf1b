//! The linear multistep method (Adams and Bashforth with steps of any length).

use bevy_ecs::prelude::*;
use pipeline::{Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Compute, Denoised, Images};
use serde::Deserialize;

use crate::History;
use crate::multistep::{Advance, Answers, DENOISED, X, check_order};

/// Settings of the solver.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lms {
    x: Wire<Images>,
    denoised: Wire<Denoised>,
    #[serde(default = "order")]
    order: usize,
}

fn order() -> usize {
    4
}

impl Node for Lms {
    type Value = (Images, History);

    const DOC: &'static str = "The linear multistep method: a polynomial through the last slopes, integrated over the step.\n\
        One evaluation a step. It begins with lower orders, and the last step is Euler's.";

    const FIELDS: &'static [(&'static str, &'static str)] =
        &[X, DENOISED, ("order", "how many slopes the polynomial goes through, 1 to 4; 4 unless given")];

    fn check(&self) -> Result<(), Mistake> {
        check_order(self.order, 4)
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        Ok(Shapes::of::<Images>(inputs.same("denoised", self.denoised, self.x)?))
    }
}

/// Takes the step.
pub fn lms(
    this: This<Lms>,
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
    let update = diffusion::lms(&advance.levels(), advance.to());
    advance.take(Answers::Slopes, update, None, &mut compute)
}
