//! Concatenation, slices, padding and transposition: copies of runs of numbers.

use tensor::{Made, Shape, Value};

use super::Run;
use crate::Pool;
use crate::kernels::pointer::Parts;

/// Numbers that a task copies at once.
const TASK: usize = 1 << 16;

impl Run<'_> {
    pub(super) fn concat(&self, pool: &mut Pool, inputs: &[Value], axis: usize, out: &Made) {
        let row = inner(self.shape(out.value), axis);
        let sources: Vec<(&[f32], usize)> =
            inputs.iter().map(|input| (self.numbers(*input), inner(self.shape(*input), axis))).collect();
        for_each_part(pool, self.result(out), row, |first, rows| {
            for (at, to) in rows.chunks_exact_mut(row).enumerate() {
                let mut to = to;
                for (numbers, part) in &sources {
                    let (now, later) = to.split_at_mut(*part);
                    now.copy_from_slice(&numbers[(first + at) * part..][..*part]);
                    to = later;
                }
            }
        });
    }

    pub(super) fn slice(&self, pool: &mut Pool, input: Value, axis: usize, start: usize, out: &Made) {
        let (row, part) = (inner(self.shape(input), axis), inner(self.shape(out.value), axis));
        let skip = start * inner(self.shape(input), axis + 1);
        let numbers = self.numbers(input);
        for_each_part(pool, self.result(out), part, |first, rows| {
            for (at, to) in rows.chunks_exact_mut(part).enumerate() {
                to.copy_from_slice(&numbers[(first + at) * row + skip..][..part]);
            }
        });
    }

    pub(super) fn pad(&self, input: Value, amounts: &[(usize, usize)], out: &Made) {
        let result = self.result(out);
        result.fill(0.0);
        let strides = strides(self.shape(out.value));
        let first: usize = amounts.iter().zip(&strides).map(|((before, _), stride)| before * stride).sum();
        let shape = self.shape(input);
        let numbers = self.numbers(input);
        for_each_row(shape, &strides, |row, at| {
            let len = shape.channels();
            result[first + at..][..len].copy_from_slice(&numbers[row * len..][..len]);
        });
    }

    pub(super) fn transpose(&self, input: Value, permutation: &[usize], out: &Made) {
        let (result, numbers) = (self.result(out), self.numbers(input));
        let from = strides(self.shape(input));
        let strides: Vec<usize> = permutation.iter().map(|axis| from[*axis]).collect();
        let shape = self.shape(out.value);
        let step = strides.last().copied().unwrap_or(1);
        for_each_row(shape, &strides, |row, at| {
            let to = &mut result[row * shape.channels()..][..shape.channels()];
            to.iter_mut().enumerate().for_each(|(i, to)| *to = numbers[at + i * step]);
        });
    }
}

/// Lets tasks fill a result of rows: the first row's number, and some whole rows.
fn for_each_part(pool: &mut Pool, result: &mut [f32], row: usize, fill: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = result.len() / row.max(1);
    let together = (TASK / row.max(1)).clamp(1, rows.max(1));
    let parts = Parts::new(result);
    pool.run(rows.div_ceil(together), |task, _| {
        let first = task * together;
        // SAFETY: tasks have different rows.
        fill(first, unsafe { parts.range(first * row, together.min(rows - first) * row) });
    });
}

/// The elements from one index of the axis before `axis` to the next.
fn inner(shape: &Shape, axis: usize) -> usize {
    shape[axis..].iter().product()
}

fn strides(shape: &Shape) -> Vec<usize> {
    (0..shape.rank()).map(|axis| inner(shape, axis + 1)).collect()
}

/// Visits the rows (the runs along the last axis) of a shape: their number, and where they start in a tensor of these
/// strides.
fn for_each_row(shape: &Shape, strides: &[usize], mut visit: impl FnMut(usize, usize)) {
    let outer = &shape[..shape.rank().saturating_sub(1)];
    for row in 0..outer.iter().product() {
        let (mut rest, mut at) = (row, 0);
        for (size, stride) in outer.iter().zip(strides).rev() {
            at += rest % size * stride;
            rest /= size;
        }
        visit(row, at);
    }
}
