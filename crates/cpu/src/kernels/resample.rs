//! Doubling or halving images with a separable filter.

use super::numbers::{Numbers, NumbersMut};
use crate::{Kernel, Pool, Scratch, Simd};

/// Up: zeros between the pixels, then the filter. Down: the filter, then every second pixel. The adjoint of one is the
/// other with its taps from last to first.
#[derive(Clone, Copy, Debug)]
pub struct Resample<'a> {
    pub up: bool,
    /// Divided by their sum.
    pub taps: &'a [f32],
    /// Rows and columns of zeros around the image when going down; cut off the result when going up.
    pub padding: usize,
    pub gain: f32,
}

impl Resample<'_> {
    /// The size of an axis of `size` afterwards.
    pub fn resized(&self, size: usize) -> usize {
        match self.up {
            true => (2 * (size - 1) + self.taps.len()).saturating_sub(2 * self.padding),
            false => (size + 2 * self.padding).saturating_sub(self.taps.len()) / 2 + 1,
        }
    }

    /// The row or column that a tap sees for `to`, if it is inside `size` and no zero.
    #[inline(always)]
    fn source(&self, to: usize, tap: usize, size: usize) -> Option<usize> {
        let from = if self.up {
            let spread = (to + tap + self.padding + 1).checked_sub(self.taps.len())?;
            if spread % 2 == 1 {
                return None;
            }
            spread / 2
        } else {
            (2 * to + tap).checked_sub(self.padding)?
        };
        (from < size).then_some(from)
    }
}

/// `out[n, h', w', c]` from `x[n, h, w, c]`.
pub fn resample<'a>(
    pool: &mut Pool,
    [n, h, w, c]: [usize; 4],
    resample: Resample,
    x: impl Into<Numbers<'a>>,
    out: impl Into<NumbersMut<'a>>,
) {
    let (x, out) = (x.into(), out.into());
    let (rows, columns) = (resample.resized(h), resample.resized(w));
    assert_eq!([x.len(), out.len()], [n * h * w * c, n * rows * columns * c], "images in and out");
    let (level, out) = (pool.level(), out.share());
    pool.run(n * rows, |task, scratch| {
        let x = x.range(task / rows * h * w * c, h * w * c);
        // SAFETY: one task per row of the result.
        let out = unsafe { out.range(task * columns * c, columns * c) };
        level.run(Row { resample, x, size: [h, w, c], y: task % rows, out, scratch });
    });
}

struct Row<'a, 'b> {
    resample: Resample<'a>,
    x: Numbers<'a>,
    size: [usize; 3],
    y: usize,
    out: NumbersMut<'a>,
    scratch: &'b mut Scratch,
}

impl Kernel for Row<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Row { resample, x, size: [h, w, c], y, mut out, scratch } = self;
        let [column, room] = scratch.take([w * c, out.len()]);
        column.fill(0.0);
        for (tap, weight) in resample.taps.iter().enumerate() {
            if let Some(from) = resample.source(y, tap, h) {
                add(s, weight * resample.gain, x.range(from * w * c, w * c), column);
            }
        }
        let wide = out.wide(room);
        wide.fill(0.0);
        for (to, out) in wide.chunks_exact_mut(c).enumerate() {
            for (tap, weight) in resample.taps.iter().enumerate() {
                if let Some(from) = resample.source(to, tap, w) {
                    add(s, *weight, Numbers::F32(&column[from * c..][..c]), out);
                }
            }
        }
        out.round(s, room);
    }
}

#[inline(always)]
fn add<S: Simd>(s: S, weight: f32, x: Numbers, out: &mut [f32]) {
    for i in (0..out.len()).step_by(S::LANES) {
        s.write(out, i, s.fma(x.read(s, i), s.splat(weight), s.read(out, i)));
    }
}
