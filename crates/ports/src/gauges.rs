//! Numbers that a device is still computing when a node wants them told.

use std::collections::VecDeque;

use bevy_ecs::prelude::*;
use pipeline::{Closing, Metric, Tick};
use tensor::{Fetch, Tensor};

use crate::Machine;

/// Metrics that are read from the device a tick after they were asked for, so that nobody waits for it.
#[derive(Resource, Default)]
pub struct Gauges {
    pending: VecDeque<Gauge>,
    catching_up: bool,
}

struct Gauge {
    name: &'static str,
    tick: u64,
    value: Reading,
    /// Whether 0 is not worth telling.
    quiet: bool,
}

/// A number on its way to the host.
enum Reading {
    Asked(Tensor),
    Fetched(Fetch),
}

impl Gauges {
    /// Tells a tensor of one element as a metric, soon.
    pub fn watch(&mut self, name: &'static str, tick: Tick, value: Tensor) {
        self.pending.push_back(Gauge { name, tick: tick.0, value: Reading::Asked(value), quiet: false });
    }

    /// Tells a count of what should not happen, soon; nothing where it is 0.
    pub fn warn(&mut self, name: &'static str, tick: Tick, value: Tensor) {
        self.pending.push_back(Gauge { name, tick: tick.0, value: Reading::Asked(value), quiet: true });
    }

    /// Tells everything at the end of this tick: what is saved now must not know more than the metrics say.
    pub fn catch_up(&mut self) {
        self.catching_up = true;
    }

    /// The first tick of which something is still to be told.
    pub fn oldest(&self) -> Option<u64> {
        self.pending.front().map(|gauge| gauge.tick)
    }
}

/// Lets the device begin with this tick, and tells what the ticks before it left; on the last tick, and where somebody
/// wants it, everything.
pub fn read_gauges(
    mut gauges: ResMut<Gauges>,
    machine: Res<Machine>,
    tick: Res<Tick>,
    closing: Res<Closing>,
    mut metrics: MessageWriter<Metric>,
) -> Result {
    let all = std::mem::take(&mut gauges.catching_up) || closing.0;
    for gauge in &mut gauges.pending {
        if let Reading::Asked(value) = &gauge.value {
            gauge.value = Reading::Fetched(machine.0.fetch(value)?);
        }
    }
    machine.0.submit()?;
    while gauges.pending.front().is_some_and(|gauge| all || gauge.tick < tick.0) {
        let Some(Gauge { name, tick, value: Reading::Fetched(value), quiet }) = gauges.pending.pop_front()
        else {
            break;
        };
        let value = value.wait()?.f64s()[0];
        if value != 0.0 || !quiet {
            metrics.write(Metric { name, tick, value });
        }
    }
    Ok(())
}
