//! Memory of the device: aligned, and used again rather than given back.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::any::Any;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tensor::{Error, Result, Storage};

use crate::Pool;
use crate::unfinished::Unfinished;

/// A cache line, and the widest vector.
const ALIGNMENT: usize = 64;

/// As much as [`ALIGNMENT`].
#[repr(align(64))]
struct Line;

/// 32-bit numbers, aligned to 64 bytes.
pub(crate) struct Memory {
    start: NonNull<f32>,
    len: usize,
}

// SAFETY: `Memory` owns what it points at; the device that hands out pointers serialises their use.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Memory of no length.
    pub fn empty() -> Memory {
        Memory { start: NonNull::<Line>::dangling().cast(), len: 0 }
    }

    /// Zeros.
    ///
    /// # Errors
    /// If the system has no such memory.
    pub fn zeros(len: usize) -> Result<Memory> {
        if len == 0 {
            return Ok(Memory::empty());
        }
        let refused = || {
            let what = format!("the system has no {} MiB of memory for this", len / (1 << 18));
            Error::too_large(format!("{what}; take a smaller batch, `micro_batch` or network"))
        };
        let layout = Self::layout(len).ok_or_else(refused)?;
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc_zeroed(layout) };
        Ok(Memory { start: NonNull::new(start.cast()).ok_or_else(refused)?, len })
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn pointer(&self) -> *mut f32 {
        self.start.as_ptr()
    }

    pub fn numbers_mut(&mut self) -> &mut [f32] {
        // SAFETY: that many numbers, which were zeros at first, and nobody else has them.
        unsafe { std::slice::from_raw_parts_mut(self.pointer(), self.len) }
    }

    fn layout(len: usize) -> Option<Layout> {
        Layout::from_size_align(len.checked_mul(4)?, ALIGNMENT).ok()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.len).filter(|layout| layout.size() > 0) {
            // SAFETY: allocated in `zeros` with this layout.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) }
        }
    }
}

/// Memory that is free to be used again, by length.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<HashMap<usize, Vec<Memory>>>>);

/// How many pieces of one length wait to be used again.
const KEPT: usize = 8;

impl Shelf {
    /// Memory of this length with any content.
    pub fn take(&self, len: usize) -> Result<Buffer> {
        let free = self.lock().get_mut(&len).and_then(Vec::pop);
        let memory = free.map_or_else(|| Memory::zeros(len), Ok)?;
        Ok(Buffer { memory: Some(memory), unfinished: Mutex::default(), shelf: self.clone() })
    }

    fn give(&self, memory: Memory) {
        let mut shelf = self.lock();
        let free = shelf.entry(memory.len()).or_default();
        if free.len() < KEPT {
            free.push(memory);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Vec<Memory>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory of a tensor; it goes back to the shelf when nobody holds the tensor any more.
pub(crate) struct Buffer {
    memory: Option<Memory>,
    unfinished: Mutex<Unfinished>,
    shelf: Shelf,
}

impl Buffer {
    pub fn memory(&self) -> &Memory {
        self.memory.as_ref().expect("memory is there until the buffer is dropped")
    }

    /// What is still to be added to the memory.
    pub fn unfinished(&self) -> MutexGuard<'_, Unfinished> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what is still to be added, before the memory is read.
    pub fn finish(&self, pool: &mut Pool) {
        self.unfinished().finish(pool, self.memory());
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.shelf.give(memory);
        }
    }
}

impl Storage for Buffer {
    fn as_any(&self) -> &dyn Any {
        self
    }
}
