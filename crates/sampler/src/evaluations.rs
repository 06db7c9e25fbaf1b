//! The price of a sample, as it was paid.

use bevy_ecs::prelude::*;
use pipeline::{Metric, Tick};
use ports::{Images, Step};

use crate::Trajectory;

/// Tells how often the denoiser was asked about each image of a batch that has arrived, as the metric `nfe`.
pub fn tell_evaluations(
    trajectories: Query<(&Trajectory, Ref<Step>)>,
    images: Query<&Images>,
    tick: Res<Tick>,
    mut metrics: MessageWriter<Metric>,
) {
    for (trajectory, step) in trajectories {
        let arrived = images.get(trajectory.next.node()).ok().and_then(|images| images.step);
        // A trajectory of an earlier act still has its last step.
        if let Some(arrived) = arrived.filter(|_| step.is_last() && step.is_changed()) {
            metrics.write(Metric { name: "nfe", tick: tick.0, value: arrived.evaluations as f64 });
        }
    }
}
