//! Buffers of the device, used again rather than given back.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tensor::{Error, Result, Storage};

use crate::errors::caught;

/// Bytes of a buffer: whole groups of four numbers, and at least one.
pub(crate) fn padded(bytes: usize) -> u64 {
    bytes.next_multiple_of(16).max(16) as u64
}

/// A buffer that kernels bind. Clones are the same buffer.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub buffer: wgpu::Buffer,
    /// Tells blocks apart, for as long as the process lives.
    pub id: u64,
}

impl Block {
    /// New memory with any content.
    ///
    /// # Errors
    /// If it is more than the device binds, or has: `what` is named.
    pub fn new(device: &wgpu::Device, bytes: u64, what: &str) -> Result<Block> {
        Self::create(device, bytes, what, false)
    }

    /// New memory with this content.
    pub fn filled(device: &wgpu::Device, content: &[u8], what: &str) -> Result<Block> {
        let block = Self::create(device, padded(content.len()), what, true)?;
        let refused = |error: &dyn std::fmt::Display| {
            Error::new(format!("{what} cannot be copied to the GPU: {error}"))
        };
        let mut view = block.buffer.get_mapped_range_mut(..).map_err(|error| refused(&error))?;
        view.slice(..content.len()).copy_from_slice(content);
        drop(view);
        block.buffer.unmap();
        Ok(block)
    }

    fn create(device: &wgpu::Device, bytes: u64, what: &str, mapped_at_creation: bool) -> Result<Block> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let most = device.limits().max_buffer_size;
        if bytes > most {
            return Err(refused(what, bytes, &format!("a buffer has at most {}", mebibytes(most))));
        }
        use wgpu::BufferUsages as Usage;
        let descriptor = wgpu::BufferDescriptor {
            label: Some(what),
            size: bytes,
            usage: Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST,
            mapped_at_creation,
        };
        let kinds =
            [wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal];
        let buffer = caught(device, &kinds, || device.create_buffer(&descriptor))
            .map_err(|error| refused(what, bytes, &error))?;
        Ok(Block { buffer, id: NEXT.fetch_add(1, Ordering::Relaxed) })
    }
}

fn refused(what: &str, bytes: u64, why: &str) -> Error {
    let size = mebibytes(bytes);
    Error::too_large(format!(
        "the GPU has no {size} for {what} ({why}); take a smaller batch or network, a `micro_batch`, or `--device cpu`"
    ))
}

/// A size in the words of messages.
pub fn mebibytes(bytes: u64) -> String {
    match bytes {
        0..1048576 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}

/// Blocks that are free to be used again, by size.
///
/// A block may be taken again while commands that use it are still on their way: whatever is recorded later runs later.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<HashMap<u64, Vec<Block>>>>);

/// How many blocks of one size wait to be used again.
const KEPT: usize = 8;

impl Shelf {
    /// The memory of a tensor, with any content.
    pub fn take(&self, device: &wgpu::Device, bytes: u64, what: &str) -> Result<Buffer> {
        let free = self.lock().get_mut(&bytes).and_then(Vec::pop);
        let block = free.map_or_else(|| Block::new(device, bytes, what), Ok)?;
        Ok(self.hold(block))
    }

    /// The memory of a tensor, which comes to the shelf when nobody holds the tensor any more.
    pub fn hold(&self, block: Block) -> Buffer {
        Buffer { block, shelf: self.clone() }
    }

    /// Gives the memory that waits here back to the device. Commands that use it have to be on their way.
    pub fn clear(&self) {
        // Bind groups that are remembered would keep what is merely dropped.
        self.lock().drain().flat_map(|(_, free)| free).for_each(|block| block.buffer.destroy());
    }

    fn give(&self, block: Block) {
        let mut shelf = self.lock();
        let free = shelf.entry(block.buffer.size()).or_default();
        if free.len() < KEPT {
            free.push(block);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Vec<Block>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory of a tensor.
pub(crate) struct Buffer {
    pub block: Block,
    shelf: Shelf,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.shelf.give(self.block.clone());
    }
}

impl Storage for Buffer {
    fn as_any(&self) -> &dyn Any {
        self
    }
}
