//! Softmax over rows, and its gradient.

use super::math;
use super::pointer::Parts;
use crate::{Kernel, Pool, Simd};

/// Rows that a task takes.
const ROWS: usize = 16;

/// `out[r, ..] = softmax(x[r, ..])` for rows of `len` numbers; the largest is taken off first.
pub fn softmax(pool: &mut Pool, len: usize, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "rows in and out");
    let (level, out) = (pool.level(), Parts::new(out));
    pool.run(x.len().div_ceil(len.max(1) * ROWS), |task, _| {
        let start = task * ROWS * len;
        // SAFETY: one task per stretch of rows.
        let out = unsafe { out.range(start, (ROWS * len).min(x.len() - start)) };
        out.copy_from_slice(&x[start..][..out.len()]);
        level.run(Forward { len, rows: out });
    });
}

/// `dx = y · (dy - Σ dy · y)` for `y = softmax(x)`.
pub fn softmax_gradient(pool: &mut Pool, len: usize, dy: &[f32], y: &[f32], dx: &mut [f32]) {
    assert_eq!([dy.len(), y.len()], [dx.len(); 2], "rows in and out");
    let (level, dx) = (pool.level(), Parts::new(dx));
    pool.run(y.len().div_ceil(len.max(1) * ROWS), |task, _| {
        let start = task * ROWS * len;
        // SAFETY: one task per stretch of rows.
        let dx = unsafe { dx.range(start, (ROWS * len).min(y.len() - start)) };
        dx.copy_from_slice(&dy[start..][..dx.len()]);
        level.run(Gradient { len, y: &y[start..][..dx.len()], rows: dx });
    });
}

/// Softmax in place.
struct Forward<'a> {
    len: usize,
    rows: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        forward(s, self.len, self.rows);
    }
}

/// From `dy` to `dx` in place.
struct Gradient<'a> {
    len: usize,
    y: &'a [f32],
    rows: &'a mut [f32],
}

impl Kernel for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        gradient(s, self.len, self.y, self.rows, 1.0);
    }
}

#[inline(always)]
pub(super) fn forward<S: Simd>(s: S, len: usize, rows: &mut [f32]) {
    for row in rows.chunks_exact_mut(len.max(1)) {
        let largest = largest(s, row);
        let mut sum = s.splat(0.0);
        for i in (0..len).step_by(S::LANES) {
            let e = math::exp(s, s.sub(s.read(row, i), s.splat(largest)));
            s.write(row, i, e);
            sum = s.add(sum, s.read(row, i)); // read back: zeros after the end
        }
        let factor = s.splat(1.0 / math::total(s, sum));
        for i in (0..len).step_by(S::LANES) {
            s.write(row, i, s.mul(s.read(row, i), factor));
        }
    }
}

/// Multiplied by a constant as well.
#[inline(always)]
pub(super) fn gradient<S: Simd>(s: S, len: usize, y: &[f32], rows: &mut [f32], scale: f32) {
    for (row, y) in rows.chunks_exact_mut(len.max(1)).zip(y.chunks_exact(len.max(1))) {
        let mut sum = s.splat(0.0);
        for i in (0..len).step_by(S::LANES) {
            sum = s.fma(s.read(row, i), s.read(y, i), sum);
        }
        let sum = s.splat(math::total(s, sum));
        for i in (0..len).step_by(S::LANES) {
            let weight = s.mul(s.read(y, i), s.splat(scale));
            s.write(row, i, s.mul(weight, s.sub(s.read(row, i), sum)));
        }
    }
}

/// The largest number of a row.
#[inline(always)]
fn largest<S: Simd>(s: S, row: &[f32]) -> f32 {
    let mut most = s.splat(f32::NEG_INFINITY);
    let whole = row.len() / S::LANES * S::LANES;
    for i in (0..whole).step_by(S::LANES) {
        most = s.max(most, s.read(row, i));
    }
    let mut lanes = [f32::NEG_INFINITY; 16];
    s.write(&mut lanes, 0, most);
    lanes.iter().chain(&row[whole..]).copied().fold(f32::NEG_INFINITY, f32::max)
}
