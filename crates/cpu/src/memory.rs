//! Memory of the device: aligned, and used again rather than given back.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::any::Any;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use tensor::Storage;

/// A cache line, and the widest vector.
const ALIGNMENT: usize = 64;

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
    /// Zeros.
    pub fn zeros(len: usize) -> Memory {
        let layout = Self::layout(len);
        // SAFETY: the layout is never empty.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start.cast()).unwrap_or_else(|| handle_alloc_error(layout));
        Memory { start, len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn pointer(&self) -> *mut f32 {
        self.start.as_ptr()
    }

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len.max(1) * 4, ALIGNMENT).expect("a tensor fits into memory")
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeros` with this layout.
        unsafe { dealloc(self.start.as_ptr().cast(), Self::layout(self.len)) }
    }
}

/// Memory that is free to be used again, by length.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<HashMap<usize, Vec<Memory>>>>);

/// How many pieces of one length wait to be used again.
const KEPT: usize = 8;

impl Shelf {
    /// Memory of this length with any content.
    pub fn take(&self, len: usize) -> Buffer {
        let free = self.lock().get_mut(&len).and_then(Vec::pop);
        Buffer { memory: Some(free.unwrap_or_else(|| Memory::zeros(len))), shelf: self.clone() }
    }

    fn give(&self, memory: Memory) {
        let mut shelf = self.lock();
        let free = shelf.entry(memory.len()).or_default();
        if free.len() < KEPT {
            free.push(memory);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Vec<Memory>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory of a tensor; it goes back to the shelf when nobody holds the tensor any more.
pub(crate) struct Buffer {
    memory: Option<Memory>,
    shelf: Shelf,
}

impl Buffer {
    pub fn memory(&self) -> &Memory {
        self.memory.as_ref().expect("memory is there until the buffer is dropped")
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
