//! Opens the device that a run computes on.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use ports::Machine;

use crate::args::{DeviceChoice, Hardware};

/// Opens a device. `Auto` takes the CPU, the only one so far.
pub(crate) fn open(hardware: Hardware) -> Machine {
    match hardware.device {
        DeviceChoice::Auto | DeviceChoice::Cpu => {
            let threads = hardware.threads.or_else(|| available_parallelism().ok()).map_or(1, NonZero::get);
            Machine(Arc::new(cpu::Cpu::new(threads)))
        }
    }
}
