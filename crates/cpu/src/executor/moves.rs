//! Concatenation, slices, padding and transposition: copies of runs of numbers.

use tensor::{Made, Shape, Value};

use super::Run;
use crate::kernels::numbers::{Numbers, NumbersMut};
use crate::{Level, Pool};

/// Numbers that a task copies at once.
const TASK: usize = 1 << 16;

impl Run<'_> {
    pub(super) fn concat(&self, pool: &mut Pool, inputs: &[Value], axis: usize, out: &Made) {
        let row = inner(self.shape(out.value), axis);
        let level = pool.level();
        let sources: Vec<(Numbers, usize)> =
            inputs.iter().map(|input| (self.numbers(*input), inner(self.shape(*input), axis))).collect();
        for_each_part(pool, self.stored(out), row, |first, mut rows| {
            for at in 0..rows.len() / row {
                let mut start = at * row;
                for (numbers, part) in &sources {
                    numbers.range((first + at) * part, *part).copy_to(level, rows.range(start, *part));
                    start += part;
                }
            }
        });
    }

    pub(super) fn slice(&self, pool: &mut Pool, input: Value, axis: usize, start: usize, out: &Made) {
        let (row, part) = (inner(self.shape(input), axis), inner(self.shape(out.value), axis));
        let skip = start * inner(self.shape(input), axis + 1);
        let (numbers, level) = (self.numbers(input), pool.level());
        for_each_part(pool, self.stored(out), part, |first, mut rows| {
            for at in 0..rows.len() / part {
                let from = numbers.range((first + at) * row + skip, part);
                from.copy_to(level, rows.range(at * part, part));
            }
        });
    }

    pub(super) fn pad(&self, level: Level, input: Value, amounts: &[(usize, usize)], out: &Made) {
        let mut result = self.stored(out);
        result.fill(0.0);
        let strides = strides(self.shape(out.value));
        let first: usize = amounts.iter().zip(&strides).map(|((before, _), stride)| before * stride).sum();
        let shape = self.shape(input);
        let numbers = self.numbers(input);
        for_each_row(shape, &strides, |row, at| {
            let len = shape.channels();
            numbers.range(row * len, len).copy_to(level, result.range(first + at, len));
        });
    }

    pub(super) fn transpose(&self, input: Value, permutation: &[usize], out: &Made) {
        let (mut result, numbers) = (self.stored(out), self.numbers(input));
        let from = strides(self.shape(input));
        let strides: Vec<usize> = permutation.iter().map(|axis| from[*axis]).collect();
        let shape = self.shape(out.value);
        let step = strides.last().copied().unwrap_or(1);
        for_each_row(shape, &strides, |row, at| {
            let mut to = result.range(row * shape.channels(), shape.channels());
            (0..to.len()).for_each(|i| to.set(i, numbers.get(at + i * step)));
        });
    }
}

/// Lets tasks fill a result of rows: the first row's number, and some whole rows.
fn for_each_part(pool: &mut Pool, result: NumbersMut, row: usize, fill: impl Fn(usize, NumbersMut) + Sync) {
    let rows = result.len() / row.max(1);
    let together = (TASK / row.max(1)).clamp(1, rows.max(1));
    let parts = result.share();
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
