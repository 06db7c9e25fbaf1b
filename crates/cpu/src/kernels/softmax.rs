//! Softmax over rows, and its gradient.

use super::column::ColumnMut;
use super::math;
use super::pointer::Parts;
use crate::{Kernel, Pool, Simd};

/// Rows that a task takes.
const ROWS: usize = 16;

/// Numbers of a column whose largest are looked for at a time, so that no maximum waits for the one before.
const CHAINS: usize = 4;

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
        let len = self.len;
        for row in self.rows.chunks_exact_mut(len.max(1)) {
            let largest = s.splat(largest(s, row));
            let mut sum = s.splat(0.0);
            for i in (0..len).step_by(S::LANES) {
                let mut e = math::exp(s, s.sub(s.read(row, i), largest));
                s.write(row, i, e);
                if len - i < S::LANES {
                    e = s.read(row, i); // zeros after the end
                }
                sum = s.add(sum, e);
            }
            let factor = s.splat(1.0 / math::total(s, sum));
            for i in (0..len).step_by(S::LANES) {
                s.write(row, i, s.mul(s.read(row, i), factor));
            }
        }
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
        let len = self.len;
        for (row, y) in self.rows.chunks_exact_mut(len.max(1)).zip(self.y.chunks_exact(len.max(1))) {
            let mut sum = s.splat(0.0);
            for i in (0..len).step_by(S::LANES) {
                sum = s.fma(s.read(row, i), s.read(y, i), sum);
            }
            let sum = s.splat(math::total(s, sum));
            for i in (0..len).step_by(S::LANES) {
                s.write(row, i, s.mul(s.read(y, i), s.sub(s.read(row, i), sum)));
            }
        }
    }
}

/// e^((x - the largest x) · scale) down a column of `len` vectors, in place; its sums.
#[inline(always)]
pub(super) fn exponentials<S: Simd>(s: S, column: &mut ColumnMut, len: usize, scale: f32) -> S::F {
    let (shift, mut sum) = (shift(s, column, len, scale), s.splat(0.0));
    for i in 0..len {
        let e = math::exp_of_negative(s, s.fma(column.read(s, i), s.splat(-scale), shift));
        column.write(s, i, e);
        sum = s.add(sum, e);
    }
    sum
}

/// From x and the gradients of `softmax(x · scale)` to these and the gradients of x, down columns of `len` vectors.
#[inline(always)]
pub(super) fn slopes<S: Simd>(s: S, [x, slopes]: [&mut ColumnMut; 2], len: usize, scale: f32) {
    let shift = shift(s, x, len, scale);
    let (mut sum, mut product) = (s.splat(0.0), s.splat(0.0));
    for i in 0..len {
        let e = math::exp_of_negative(s, s.fma(x.read(s, i), s.splat(-scale), shift));
        x.write(s, i, e);
        sum = s.add(sum, e);
        product = s.fma(e, slopes.read(s, i), product);
    }
    let share = s.recip(sum);
    let (mean, scale) = (s.mul(product, share), s.splat(scale));
    for i in 0..len {
        let weight = s.mul(x.read(s, i), share);
        x.write(s, i, weight);
        slopes.write(s, i, s.mul(s.mul(weight, scale), s.sub(slopes.read(s, i), mean)));
    }
}

/// The largest numbers of a column of `len` vectors, times `scale`.
#[inline(always)]
fn shift<S: Simd>(s: S, column: &ColumnMut, len: usize, scale: f32) -> S::F {
    let mut most = [s.splat(f32::NEG_INFINITY); CHAINS];
    for first in (0..len).step_by(CHAINS) {
        for (i, most) in most.iter_mut().enumerate() {
            *most = s.max(*most, column.read(s, (first + i).min(len - 1)));
        }
    }
    let [a, b, c, d] = most;
    s.mul(s.max(s.max(a, b), s.max(c, d)), s.splat(scale))
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
