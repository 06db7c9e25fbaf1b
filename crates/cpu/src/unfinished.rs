//! Gradients that wait to be finished.
//!
//! The gradients of filters for small images are summed over samples in another form (see
//! `kernels/conv_weight/transformed.rs`). Their sums stay beside the memory that they are to be added to, from run to run,
//! so that the parts of a batch add to the same sums, and are finished when somebody reads that memory.

use tensor::Result;

use crate::kernels::conv_weight::transformed::{Finish, Sums, finish};
use crate::memory::Memory;
use crate::{Level, Pool};

/// The unfinished gradients that belong to some memory.
#[derive(Default)]
pub(crate) struct Unfinished(Vec<Gradient>);

struct Gradient {
    /// Where its weights begin in the memory.
    at: usize,
    channels: [usize; 2],
    sums: Memory,
    /// How many samples have been added.
    samples: usize,
}

impl Unfinished {
    /// Makes room for the sums of `[9, cin, cout]` weights at `at`.
    ///
    /// # Errors
    /// If the system has no such memory.
    pub fn reserve(&mut self, level: Level, at: usize, channels: [usize; 2]) -> Result<()> {
        if self.find(at, channels).is_none() {
            let sums = Memory::zeros(Sums::len(level, channels[0], channels[1]))?;
            self.0.push(Gradient { at, channels, sums, samples: 0 });
        }
        Ok(())
    }

    /// The sums of weights that room was reserved for, to be added to.
    pub fn sums(&mut self, at: usize, channels: [usize; 2]) -> Option<Sums<'_>> {
        let gradient = self.find(at, channels).map(|index| &mut self.0[index])?;
        Some(Sums { numbers: gradient.sums.numbers_mut(), samples: &mut gradient.samples })
    }

    /// Adds to `memory`, which they belong to, whatever has been summed.
    pub fn finish(&mut self, pool: &mut Pool, memory: &Memory) {
        let mut all = Vec::new();
        for gradient in self.0.iter_mut().filter(|gradient| gradient.samples > 0) {
            let [cin, cout] = gradient.channels;
            // SAFETY: the weights lie within the memory, and the device lets nobody else use it meanwhile.
            let dw =
                unsafe { std::slice::from_raw_parts_mut(memory.pointer().add(gradient.at), 9 * cin * cout) };
            let samples = std::mem::take(&mut gradient.samples);
            all.push(Finish { cin, cout, samples, sums: gradient.sums.numbers_mut(), dw });
        }
        finish(pool, all);
    }

    fn find(&self, at: usize, channels: [usize; 2]) -> Option<usize> {
        self.0.iter().position(|gradient| (gradient.at, gradient.channels) == (at, channels))
    }
}
