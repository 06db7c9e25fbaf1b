//! Knows how much memory a test takes at most: an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static TAKEN: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// The most bytes that were taken at a time on this thread while `run` ran, and what it gave.
pub fn peak<T>(run: impl FnOnce() -> T) -> (usize, T) {
    TAKEN.set((0, 0));
    let made = run();
    (TAKEN.get().1, made)
}

// SAFETY: all is left to the system's allocator; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (now, most) = TAKEN.get();
        let now = now.wrapping_add(layout.size());
        TAKEN.set((now, if now > isize::MAX as usize { most } else { most.max(now) }));
        // SAFETY: the caller's promises are those that the system wants.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let (now, most) = TAKEN.get();
        TAKEN.set((now.wrapping_sub(layout.size()), most));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
