//! The same vector of channels of many pixels, checked once and then read and written without.

use std::marker::PhantomData;

use super::numbers::{Numbers, NumbersMut, SharedNumbers};
use crate::Simd;

/// Where a vector of channels lies in each of `pixels` pixels.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub first: usize,
    /// Numbers from one pixel to the next.
    pub step: usize,
    /// Channels, at most a vector.
    pub len: usize,
    pub pixels: usize,
}

impl Place {
    fn check<S: Simd>(&self, numbers: usize) {
        let last = self.pixels.saturating_sub(1).checked_mul(self.step);
        let end = last.and_then(|last| last.checked_add(self.first)?.checked_add(self.len));
        assert!(self.len <= S::LANES && end.is_some_and(|end| self.pixels == 0 || end <= numbers));
    }
}

#[derive(Clone, Copy)]
enum Start<F, H> {
    F32(F),
    Bf16(H),
}

/// A vector of channels to read.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    place: Place,
    start: Start<*const f32, *const u16>,
    numbers: PhantomData<&'a ()>,
}

impl<'a> Column<'a> {
    /// Panics unless all its pixels are among the numbers.
    #[inline(always)]
    pub fn new<S: Simd>(_: S, numbers: impl Into<Numbers<'a>>, place: Place) -> Self {
        let numbers = numbers.into();
        place.check::<S>(numbers.len());
        let start = match numbers {
            Numbers::F32(numbers) => Start::F32(numbers.as_ptr().wrapping_add(place.first)),
            Numbers::Bf16(numbers) => Start::Bf16(numbers.as_ptr().wrapping_add(place.first)),
        };
        Column { place, start, numbers: PhantomData }
    }

    /// Its channels of a pixel; zeros follow.
    #[inline(always)]
    pub fn read<S: Simd>(&self, s: S, pixel: usize) -> S::F {
        let Place { step, len, pixels, .. } = self.place;
        assert!(pixel < pixels);
        // SAFETY: checked when the column was made.
        unsafe {
            match self.start {
                Start::F32(start) if len == S::LANES => s.load(start.add(pixel * step)),
                Start::F32(start) => s.load_part(start.add(pixel * step), len),
                Start::Bf16(start) if len == S::LANES => s.load_bf16(start.add(pixel * step)),
                Start::Bf16(start) => s.load_bf16_part(start.add(pixel * step), len),
            }
        }
    }
}

impl Column<'_> {
    /// The sum over its pixels, in strands.
    #[inline(always)]
    pub fn sum<S: Simd>(&self, s: S) -> S::F {
        self.fold::<S, false>(s, s.splat(0.0))
    }

    /// The sum of the squares of what its pixels are off `mean`.
    #[inline(always)]
    pub fn squares<S: Simd>(&self, s: S, mean: S::F) -> S::F {
        self.fold::<S, true>(s, mean)
    }

    #[inline(always)]
    fn fold<S: Simd, const SQUARE: bool>(&self, s: S, mean: S::F) -> S::F {
        const STRANDS: usize = 4;
        let mut strands = [s.splat(0.0); STRANDS];
        for first in (0..self.place.pixels).step_by(STRANDS) {
            for (k, strand) in strands.iter_mut().enumerate() {
                if first + k < self.place.pixels {
                    let x = self.read(s, first + k);
                    *strand = match SQUARE {
                        true => s.fma(s.sub(x, mean), s.sub(x, mean), *strand),
                        false => s.add(*strand, x),
                    };
                }
            }
        }
        let [a, b, c, d] = strands;
        s.add(s.add(a, b), s.add(c, d))
    }
}

/// A vector of channels to read and write.
pub(super) struct ColumnMut<'a> {
    place: Place,
    start: Start<*mut f32, *mut u16>,
    numbers: PhantomData<&'a mut ()>,
}

impl<'a> SharedNumbers<'a> {
    /// Panics unless all its pixels are among the numbers.
    ///
    /// # Safety
    /// While the column lives, nothing else may touch its channels of its pixels.
    #[inline(always)]
    pub(super) unsafe fn column<S: Simd>(self, _: S, place: Place) -> ColumnMut<'a> {
        let (start, len) = match self {
            SharedNumbers::F32(parts) => (Start::F32(parts.start().wrapping_add(place.first)), parts.len()),
            SharedNumbers::Bf16(parts) => (Start::Bf16(parts.start().wrapping_add(place.first)), parts.len()),
        };
        place.check::<S>(len);
        ColumnMut { place, start, numbers: PhantomData }
    }
}

impl<'a> ColumnMut<'a> {
    /// Panics unless all its pixels are among the numbers.
    #[inline(always)]
    pub fn new<S: Simd>(s: S, numbers: impl Into<NumbersMut<'a>>, place: Place) -> Self {
        // SAFETY: nobody else has the numbers.
        unsafe { numbers.into().share().column(s, place) }
    }

    #[inline(always)]
    pub fn read<S: Simd>(&self, s: S, pixel: usize) -> S::F {
        let start = match self.start {
            Start::F32(start) => Start::F32(start.cast_const()),
            Start::Bf16(start) => Start::Bf16(start.cast_const()),
        };
        Column { place: self.place, start, numbers: PhantomData }.read(s, pixel)
    }

    #[inline(always)]
    pub fn write<S: Simd>(&mut self, s: S, pixel: usize, x: S::F) {
        let Place { step, len, pixels, .. } = self.place;
        assert!(pixel < pixels);
        // SAFETY: checked when the column was made.
        unsafe {
            match self.start {
                Start::F32(start) if len == S::LANES => s.store(start.add(pixel * step), x),
                Start::F32(start) => s.store_part(start.add(pixel * step), x, len),
                Start::Bf16(start) if len == S::LANES => {
                    s.store_shorts(start.add(pixel * step), s.to_bf16(x));
                }
                Start::Bf16(start) => s.store_shorts_part(start.add(pixel * step), s.to_bf16(x), len),
            }
        }
    }
}
