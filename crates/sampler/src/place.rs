//! Where images on a trajectory are.

use bevy_ecs::prelude::*;
use ports::{Images, Sigma, Step};
use tensor::Tensor;

/// The step that images are on.
pub(crate) fn place(images: &Images) -> Result<Step> {
    match (images.step, &images.sigma) {
        (Some(step), Sigma::Same(_)) => Ok(step),
        _ => Err("these images are on no trajectory; wire what a `Trajectory` makes of them".into()),
    }
}

/// The step that images are at the start of.
pub(crate) fn start(images: &Images) -> Result<Step> {
    let step = place(images)?;
    if step.restart.is_some_and(|restart| restart != step.at) {
        return Err("a restart is due here, and nothing has added its noise; wire a `Churn` before \
                    the denoiser is asked"
            .into());
    }
    Ok(step)
}

/// Refuses a way up for what adds noise as it goes.
pub(crate) fn only_downwards([from, to]: [f64; 2]) -> Result<()> {
    if to <= from {
        return Ok(());
    }
    Err("noise is added on the way down only; go up by a solver of the ODE, such as `Heun`".into())
}

/// The same images at another time.
pub(crate) fn moved(images: &Images, pixels: Tensor, step: Step) -> Images {
    Images { pixels, sigma: Sigma::Same(step.sigma()), step: Some(step), ..images.clone() }
}
