//! What the programs of a GPU share.

use tensor::Result;

use crate::memory::{Block, Shelf, padded};
use crate::pipelines::Pipelines;
use crate::queue::Queue;
use crate::stamps::Stamps;

/// What runs share, one at a time.
pub(crate) struct State {
    pub queue: Queue,
    pub pipelines: Pipelines,
    /// Memory of whichever program runs, the largest slot first.
    pub slots: Vec<Block>,
    pub stamps: Option<Stamps>,
}

impl State {
    /// Makes the shared memory large enough for slots of these sizes.
    ///
    /// # Errors
    /// If there is not so much. Slots may be missing then, which whoever runs next makes again.
    pub fn grow(&mut self, device: &wgpu::Device, shelf: &Shelf, sizes: &[usize]) -> Result<()> {
        let too_small = |(slot, bytes): (&Block, &usize)| slot.buffer.size() < padded(*bytes);
        if self.slots.iter().zip(sizes).any(too_small) {
            // Commands that use what goes have to be over: until then it stays.
            self.queue.submit()?;
            self.queue.wait(None)?;
        }
        for (at, bytes) in sizes.iter().enumerate() {
            let bytes = padded(*bytes);
            let old = self.slots.get(at);
            if old.is_some_and(|slot| slot.buffer.size() >= bytes) {
                continue;
            }
            // What is there goes first: the two need not fit together.
            if let Some(old) = old {
                old.buffer.destroy();
            }
            match self.slot(device, shelf, bytes, &format!("the largest {} of its tensors", at + 1)) {
                Ok(slot) if at < self.slots.len() => self.slots[at] = slot,
                Ok(slot) => self.slots.push(slot),
                Err(error) => {
                    self.slots.drain(at..).for_each(|slot| slot.buffer.destroy());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn slot(&mut self, device: &wgpu::Device, shelf: &Shelf, bytes: u64, what: &str) -> Result<Block> {
        match Block::new(device, bytes, what) {
            Err(error) if error.is_too_large() => {
                self.make_room(shelf)?;
                Block::new(device, bytes, what)
            }
            made => made,
        }
    }

    /// Gives back memory that waits to be used again.
    pub fn make_room(&mut self, shelf: &Shelf) -> Result<()> {
        self.queue.submit()?;
        shelf.clear();
        self.queue.wait(None)
    }

    pub fn read_stamps(&mut self, device: &wgpu::Device) -> Result<()> {
        if !self.stamps.as_ref().is_some_and(Stamps::has_pending) {
            return Ok(());
        }
        let Some(mut stamps) = self.stamps.take() else { return Ok(()) };
        stamps.resolve(self.queue.copies());
        self.queue.submit()?;
        let read = stamps.read(device);
        self.stamps = Some(stamps);
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;
    use crate::errors::Reports;

    #[test]
    fn slots_that_there_was_no_memory_for_are_made_again() {
        if std::env::var_os("MOLLIFY_NO_GPU").is_some() {
            return;
        }
        let adapter = crate::find(None).unwrap();
        let (device, queue) = adapter.open().unwrap();
        let (reports, shelf) = (Reports::default(), Shelf::default());
        reports.listen(&device);
        let mut state = State {
            queue: Queue::new(&device, queue, reports),
            pipelines: Pipelines::new(&device, Mode::Trusted, &adapter.wgpu),
            slots: Vec::new(),
            stamps: None,
        };
        state.grow(&device, &shelf, &[64, 64, 64]).unwrap();
        let error = state.grow(&device, &shelf, &[64, usize::MAX / 2, 64]).unwrap_err();
        assert!(error.is_too_large(), "{error}");
        // Smaller than what went to make room for more.
        state.grow(&device, &shelf, &[64, 32, 16]).unwrap();
        assert_eq!(state.slots.iter().map(|slot| slot.buffer.size()).collect::<Vec<_>>(), [64, 32, 16]);
        for slot in &state.slots {
            state.queue.copies().clear_buffer(&slot.buffer, 0, None);
        }
        assert_eq!(state.queue.submit(), Ok(()));
    }
}
