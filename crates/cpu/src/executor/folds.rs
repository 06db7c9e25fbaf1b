//! Folds of formulas' values over axes.

use std::ops::Range;

use tensor::{Expr, Fold, Map, Shape, Step};

use super::Run;
use super::operands::{Evaluator, Operand, Target};
use crate::kernels::pointer::Parts;
use crate::tape::{BLOCK, Block, Tape};
use crate::{Kernel, Pool, Simd};

/// Numbers that a thread sums at once.
const PART: usize = 1 << 15;

impl Run<'_> {
    /// Folds the formula's values. A sum over samples is made sample by sample, whether or not it is added to what is there:
    /// so it has the same bits whatever parts a batch comes in.
    pub(super) fn reduce(
        &self,
        pool: &mut Pool,
        tape: &Tape,
        map: &Map,
        (by, axes): (Fold, &[usize]),
        step: &Step,
    ) {
        let result = self.result(&step.outputs[0]);
        let operands = self.operands(map);
        let over_samples = by == Fold::Sum && axes == [0] && map.shape.rank() > 1;
        if over_samples && !step.accumulate {
            result.fill(0.0);
        }
        let adds = over_samples || step.accumulate;
        let mut groups = neighbours(axes);
        let Some(last) = groups.pop() else { unreachable!("a fold has axes") };
        if groups.is_empty() {
            return fold(pool, tape, &operands, &Folding::new(&map.shape, last), by, adds, result);
        }
        // Axes with others between them are folded one group after another.
        let folding = Folding::new(&map.shape, last.clone());
        let mut folded = vec![0.0; folding.outer * folding.inner];
        fold(pool, tape, &operands, &folding, by, false, &mut folded);
        let mut shape = last.fold(map.shape.clone(), |shape, axis| shape.with(axis, 1));
        while let Some(group) = groups.pop() {
            let folding = Folding::new(&shape, group.clone());
            let mut next = vec![0.0; folding.outer * folding.inner];
            let operands = [Operand::Aligned(Target::F32(folded.as_mut_ptr()))];
            let accumulate = step.accumulate && groups.is_empty();
            let to = if groups.is_empty() { &mut *result } else { &mut next[..] };
            fold(pool, &Tape::new(&[Expr::Input(0)]), &operands, &folding, by, accumulate, to);
            shape = group.fold(shape, |shape, axis| shape.with(axis, 1));
            folded = next;
        }
    }
}

impl Evaluator<'_> {
    /// Visits what part `outer` of the tensor is folded of, in runs that stay within a row of `inner` columns: the
    /// first column of the run, and its numbers.
    fn visit(&mut self, folding: &Folding, outer: usize, mut visit: impl FnMut(usize, &[f32])) {
        let start = folding.start(outer);
        self.visit_range(start..start + folding.len(), folding.inner, &mut visit);
    }

    /// Visits the numbers of a range, which begins a row.
    fn visit_range(&mut self, range: Range<usize>, inner: usize, visit: &mut impl FnMut(usize, &[f32])) {
        let mut column = 0;
        for at in range.clone().step_by(BLOCK) {
            let mut same = [0.0; BLOCK];
            let block_len = BLOCK.min(range.end - at);
            self.block(at, block_len, |_, block| {
                let mut numbers = match block {
                    Block::Numbers(numbers) => numbers,
                    Block::Number(number) => {
                        same.fill(number);
                        &same[..block_len]
                    }
                };
                // A single column is one run: all its numbers fold into one.
                while !numbers.is_empty() {
                    let run = if inner == 1 { numbers.len() } else { inner - column };
                    let (now, later) = numbers.split_at(run.min(numbers.len()));
                    visit(column, now);
                    column = (column + now.len()) % inner;
                    numbers = later;
                }
            });
        }
    }
}

/// Runs of neighbouring axes.
fn neighbours(axes: &[usize]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut axes = axes.to_vec();
    axes.sort_unstable();
    for axis in axes {
        match groups.last_mut() {
            Some(group) if group.end == axis => group.end += 1,
            _ => groups.push(axis..axis + 1),
        }
    }
    groups
}

/// Folds the values of the only formula into `[outer, inner]`.
fn fold(
    pool: &mut Pool,
    tape: &Tape,
    operands: &[Operand],
    folding: &Folding,
    by: Fold,
    accumulate: bool,
    result: &mut [f32],
) {
    if let (Fold::Sum, false, [result]) = (by, accumulate, &mut *result) {
        *result = sum_in_parts(pool, tape, operands, folding.middle);
        return;
    }
    let (level, result) = (pool.level(), Parts::new(result));
    pool.run(folding.outer, |outer, scratch| {
        let mut evaluator = Evaluator::new(level, tape, operands, scratch);
        // SAFETY: each task has its own part of the result.
        let result = unsafe { result.range(outer * folding.inner, folding.inner) };
        if accumulate {
            return add_rows(&mut evaluator, folding, result);
        }
        match by {
            Fold::Sum => sum(&mut evaluator, folding, outer, 1.0, result),
            Fold::Mean => sum(&mut evaluator, folding, outer, 1.0 / folding.middle as f64, result),
            Fold::Max => max(&mut evaluator, folding, outer, result),
            Fold::LogSumExp => log_sum_exp(&mut evaluator, folding, outer, result),
        }
    });
}

/// A tensor as `[outer, middle, inner]`, of which the middle is folded.
struct Folding {
    outer: usize,
    middle: usize,
    inner: usize,
}

impl Folding {
    fn new(shape: &Shape, axes: Range<usize>) -> Self {
        let product = |sizes: &[usize]| sizes.iter().product();
        let (outer, middle) = (product(&shape[..axes.start]), product(&shape[axes.clone()]));
        Folding { outer, middle, inner: product(&shape[axes.end..]) }
    }

    fn start(&self, outer: usize) -> usize {
        outer * self.middle * self.inner
    }

    fn len(&self) -> usize {
        self.middle * self.inner
    }
}

/// Adds rows to the result one after another, each rounded.
fn add_rows(evaluator: &mut Evaluator, folding: &Folding, result: &mut [f32]) {
    evaluator.visit(folding, 0, |column, numbers| match &mut result[..] {
        [result] => numbers.iter().for_each(|number| *result += number),
        result => result[column..].iter_mut().zip(numbers).for_each(|(result, number)| *result += number),
    });
}

/// Sums in f64: these are few operations beside what the values cost.
fn sum(evaluator: &mut Evaluator, folding: &Folding, outer: usize, factor: f64, result: &mut [f32]) {
    let mut sums = vec![0.0f64; folding.inner];
    let level = evaluator.level();
    evaluator.visit(folding, outer, |column, numbers| match &mut sums[..] {
        [sum] => *sum += level.run(Total { numbers }),
        sums => sums[column..].iter_mut().zip(numbers).for_each(|(sum, number)| *sum += f64::from(*number)),
    });
    result.iter_mut().zip(sums).for_each(|(result, sum)| *result = (sum * factor) as f32);
}

/// The sum of a whole tensor, in parts that do not depend on who sums them.
fn sum_in_parts(pool: &mut Pool, tape: &Tape, operands: &[Operand], len: usize) -> f32 {
    let mut sums = vec![0.0f64; len.div_ceil(PART)];
    let (level, parts) = (pool.level(), Parts::new(&mut sums));
    pool.run(len.div_ceil(PART), |part, scratch| {
        let range = part * PART..((part + 1) * PART).min(len);
        // SAFETY: one task per part.
        let sum = unsafe { &mut parts.range(part, 1)[0] };
        let mut evaluator = Evaluator::new(level, tape, operands, scratch);
        evaluator.visit_range(range, 1, &mut |_, numbers| *sum += level.run(Total { numbers }));
    });
    sums.iter().sum::<f64>() as f32
}

/// The sum of a run of numbers in f64, in strands that are a few vectors.
struct Total<'a> {
    numbers: &'a [f32],
}

impl Kernel for Total<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        let mut strands = [0.0f64; 32];
        for chunk in self.numbers.chunks(strands.len()) {
            for (strand, number) in strands.iter_mut().zip(chunk) {
                *strand += f64::from(*number);
            }
        }
        strands.iter().sum()
    }
}

fn max(evaluator: &mut Evaluator, folding: &Folding, outer: usize, result: &mut [f32]) {
    result.fill(f32::NEG_INFINITY);
    evaluator.visit(folding, outer, |column, numbers| match &mut result[..] {
        [result] => *result = numbers.iter().copied().fold(*result, f32::max),
        result => result[column..].iter_mut().zip(numbers).for_each(|(result, x)| *result = result.max(*x)),
    });
}

/// max + ln Σ exp(x - max), in two walks over the values.
fn log_sum_exp(evaluator: &mut Evaluator, folding: &Folding, outer: usize, result: &mut [f32]) {
    max(evaluator, folding, outer, result);
    let mut sums = vec![0.0f64; folding.inner];
    evaluator.visit(folding, outer, |column, numbers| {
        for (at, number) in numbers.iter().enumerate() {
            let at = if folding.inner == 1 { 0 } else { column + at };
            sums[at] += f64::from(number - result[at]).exp();
        }
    });
    result.iter_mut().zip(sums).for_each(|(result, sum)| *result += sum.ln() as f32);
}
