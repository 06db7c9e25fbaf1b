//! Numbers that a device is still computing when a node wants them told.

use std::collections::VecDeque;

use bevy_ecs::prelude::*;
use pipeline::{Closing, Metric, Tick};
use tensor::Tensor;

use crate::Machine;

/// Metrics that are read from the device a tick after they were asked for, so that nobody waits for it.
#[derive(Resource, Default)]
pub struct Gauges(VecDeque<Gauge>);

struct Gauge {
    name: &'static str,
    tick: u64,
    value: Tensor,
    /// Whether 0 is not worth telling.
    quiet: bool,
}

impl Gauges {
    /// Tells a tensor of one element as a metric, soon.
    pub fn watch(&mut self, name: &'static str, tick: Tick, value: Tensor) {
        self.0.push_back(Gauge { name, tick: tick.0, value, quiet: false });
    }

    /// Tells a count of what should not happen, soon; nothing where it is 0.
    pub fn warn(&mut self, name: &'static str, tick: Tick, value: Tensor) {
        self.0.push_back(Gauge { name, tick: tick.0, value, quiet: true });
    }
}

/// Tells what the ticks before this one left; on the last tick, everything.
pub fn read_gauges(
    mut gauges: ResMut<Gauges>,
    machine: Res<Machine>,
    tick: Res<Tick>,
    closing: Res<Closing>,
    mut metrics: MessageWriter<Metric>,
) -> Result {
    while gauges.0.front().is_some_and(|gauge| closing.0 || gauge.tick < tick.0) {
        let Some(gauge) = gauges.0.pop_front() else { break };
        let value = machine.0.download(&gauge.value)?.f64s()[0];
        if value != 0.0 || !gauge.quiet {
            metrics.write(Metric { name: gauge.name, value });
        }
    }
    Ok(())
}
