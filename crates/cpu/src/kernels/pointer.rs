//! A pointer that tasks share to write disjoint parts of one slice.

use std::marker::PhantomData;

/// Hands out parts of a slice to tasks.
pub struct Parts<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: `range` hands out parts under the promise that no two tasks overlap.
unsafe impl<T: Send> Sync for Parts<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Parts<'_, T> {}

impl<T> Clone for Parts<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    #[inline(always)]
    pub fn new(slice: &'a mut [T]) -> Self {
        Parts { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// The first of all elements.
    #[inline(always)]
    pub fn start(self) -> *mut T {
        self.start
    }

    #[inline(always)]
    pub fn len(self) -> usize {
        self.len
    }

    /// # Safety
    /// While the part lives, nothing else may touch it.
    #[inline(always)]
    pub unsafe fn range(self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start <= self.len && len <= self.len - start, "part {start}+{len} is outside {}", self.len);
        // SAFETY: inside the slice; the caller promises that nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
