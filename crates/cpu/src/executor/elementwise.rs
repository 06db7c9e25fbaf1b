//! Formulas over tensors that broadcast, and folds of their values.

use std::ops::Range;

use tensor::{Expr, Fold, Map, Place, Shape, Step, Value};

use super::Run;
use crate::kernels::pointer::Parts;
use crate::tape::{BLOCK, Block, Tape};
use crate::{Level, Pool, Scratch};

/// Numbers that a task computes at once.
const TASK: usize = 64 * BLOCK;

/// Inputs of a formula: four times what `tensor::compile` fuses, for Adam and whoever writes long formulas.
const LARGEST: usize = 32;

impl Run<'_> {
    pub(super) fn map(&self, pool: &mut Pool, tape: &Tape, map: &Map, step: &Step) {
        let shape = &map.shape;
        let (operands, level) = (self.operands(map), pool.level());
        let results: Vec<Target> =
            step.outputs.iter().map(|made| Target(self.result_pointer(made))).collect();
        pool.run(shape.len().div_ceil(TASK), |task, scratch| {
            let mut evaluator = Evaluator::new(level, tape, &operands, scratch);
            let end = ((task + 1) * TASK).min(shape.len());
            for start in (task * TASK..end).step_by(BLOCK) {
                let len = BLOCK.min(end - start);
                evaluator.block(start, len, |formula, block| {
                    // SAFETY: tasks and blocks write to different elements; an operand that lies here has been read.
                    let to = unsafe { std::slice::from_raw_parts_mut(results[formula].at(start), len) };
                    write(to, block, step.accumulate);
                });
            }
        });
    }

    /// Folds the formula's values. A sum over samples that is added to what is there is added sample by sample.
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
        let mut groups = neighbours(axes);
        let Some(last) = groups.pop() else { unreachable!("a fold has axes") };
        if groups.is_empty() {
            return fold(pool, tape, &operands, &Folding::new(&map.shape, last), by, step.accumulate, result);
        }
        // Axes with others between them are folded one group after another.
        let folding = Folding::new(&map.shape, last.clone());
        let mut folded = vec![0.0; folding.outer * folding.inner];
        fold(pool, tape, &operands, &folding, by, false, &mut folded);
        let mut shape = last.fold(map.shape.clone(), |shape, axis| shape.with(axis, 1));
        while let Some(group) = groups.pop() {
            let folding = Folding::new(&shape, group.clone());
            let mut next = vec![0.0; folding.outer * folding.inner];
            let operands = [Operand::Aligned(Target(folded.as_mut_ptr()))];
            let accumulate = step.accumulate && groups.is_empty();
            let to = if groups.is_empty() { &mut *result } else { &mut next[..] };
            fold(pool, &Tape::new(&[Expr::Input(0)]), &operands, &folding, by, accumulate, to);
            shape = group.fold(shape, |shape, axis| shape.with(axis, 1));
            folded = next;
        }
    }

    fn operands(&self, map: &Map) -> Vec<Operand> {
        map.inputs.iter().map(|input| self.operand(*input, &map.shape)).collect()
    }

    fn operand(&self, input: Value, shape: &Shape) -> Operand {
        if let Place::Scalar { input } = self.program.place(input) {
            return Operand::Number(self.scalars[&input]);
        }
        let own = self.shape(input);
        let start = Target(self.pointer(input));
        if own.len() == shape.len() {
            return Operand::Aligned(start);
        }
        if own.len() == 1 {
            // SAFETY: there is one number, and nobody writes to it during this step.
            return Operand::Number(unsafe { *start.0 });
        }
        Operand::Broadcast(start, Walk::new(own, shape))
    }
}

/// A pointer that tasks share.
#[derive(Clone, Copy)]
struct Target(*mut f32);

// SAFETY: tasks read what nobody writes, and write to different elements.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// # Safety
    /// Element `i` must be there.
    unsafe fn at(self, i: usize) -> *mut f32 {
        // SAFETY: promised.
        unsafe { self.0.add(i) }
    }
}

/// An input of a formula.
enum Operand {
    Number(f32),
    /// Element for element as the result.
    Aligned(Target),
    Broadcast(Target, Walk),
}

/// The axes of a result, neighbours joined where the operand allows it: sizes and the operand's strides.
struct Walk {
    axes: Vec<(usize, usize)>,
}

impl Walk {
    fn new(own: &Shape, shape: &Shape) -> Self {
        let mut axes: Vec<(usize, usize)> = Vec::new();
        for (size, stride) in shape.iter().copied().zip(own.strides_as(shape)).filter(|(size, _)| *size != 1)
        {
            match axes.last_mut() {
                Some((outer, step)) if *step == size * stride => (*outer, *step) = (*outer * size, stride),
                _ => axes.push((size, stride)),
            }
        }
        Walk { axes }
    }

    /// Fills `to` with the elements for the result's elements from `start`.
    fn fill(&self, from: Target, start: usize, to: &mut [f32]) {
        let (size, step) = *self.axes.last().expect("a broadcast operand has axes");
        let (mut row, mut column) = (start / size, start % size);
        let mut rest = to;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_mut(rest.len().min(size - column));
            let at = self.row(row) + column * step;
            // SAFETY: the walk stays within the operand; its last stride is 0 or 1, as tensors are contiguous.
            unsafe {
                match step {
                    0 => now.fill(*from.at(at)),
                    _ => now.copy_from_slice(std::slice::from_raw_parts(from.at(at), now.len())),
                }
            }
            (rest, row, column) = (later, row + 1, 0);
        }
    }

    /// Where a row starts in the operand.
    fn row(&self, mut row: usize) -> usize {
        let mut at = 0;
        for (size, stride) in self.axes[..self.axes.len() - 1].iter().rev() {
            at += row % size * stride;
            row /= size;
        }
        at
    }
}

/// Computes blocks of formulas.
struct Evaluator<'a> {
    level: Level,
    tape: &'a Tape,
    operands: &'a [Operand],
    /// A block for each operand, for those that broadcast.
    filled: &'a mut [f32],
    room: &'a mut [f32],
}

impl<'a> Evaluator<'a> {
    fn new(level: Level, tape: &'a Tape, operands: &'a [Operand], scratch: &'a mut Scratch) -> Self {
        let [filled, room] = scratch.take([operands.len() * BLOCK, tape.room()]);
        Evaluator { level, tape, operands, filled, room }
    }

    /// Computes elements `start..start + len` of every formula.
    fn block(&mut self, start: usize, len: usize, take: impl FnMut(usize, Block)) {
        let mut inputs = [Block::Number(0.0); LARGEST];
        let blocks = self.operands.iter().zip(self.filled.chunks_exact_mut(BLOCK));
        for (input, (operand, filled)) in inputs.iter_mut().zip(blocks) {
            *input = match operand {
                Operand::Number(number) => Block::Number(*number),
                // SAFETY: the operand has the result's length.
                Operand::Aligned(from) => {
                    Block::Numbers(unsafe { std::slice::from_raw_parts(from.at(start), len) })
                }
                Operand::Broadcast(from, walk) => {
                    walk.fill(*from, start, &mut filled[..len]);
                    Block::Numbers(&filled[..len])
                }
            };
        }
        self.tape.run(self.level, &inputs[..self.operands.len()], len, self.room, take);
    }

    /// Visits what part `outer` of the tensor is folded of, in runs that stay within a row of `inner` columns: the
    /// first column of the run, and its numbers.
    fn visit(&mut self, folding: &Folding, outer: usize, mut visit: impl FnMut(usize, &[f32])) {
        let (start, len, mut column) = (folding.start(outer), folding.len(), 0);
        for at in (0..len).step_by(BLOCK) {
            let mut same = [0.0; BLOCK];
            let block_len = BLOCK.min(len - at);
            self.block(start + at, block_len, |_, block| {
                let mut numbers = match block {
                    Block::Numbers(numbers) => numbers,
                    Block::Number(number) => {
                        same.fill(number);
                        &same[..block_len]
                    }
                };
                // A single column is one run: all its numbers fold into one.
                while !numbers.is_empty() {
                    let run = if folding.inner == 1 { numbers.len() } else { folding.inner - column };
                    let (now, later) = numbers.split_at(run.min(numbers.len()));
                    visit(column, now);
                    column = (column + now.len()) % folding.inner;
                    numbers = later;
                }
            });
        }
    }
}

fn write(to: &mut [f32], block: Block, accumulate: bool) {
    match (block, accumulate) {
        (Block::Number(number), false) => to.fill(number),
        (Block::Number(number), true) => to.iter_mut().for_each(|to| *to += number),
        (Block::Numbers(numbers), false) => to.copy_from_slice(numbers),
        (Block::Numbers(numbers), true) => to.iter_mut().zip(numbers).for_each(|(to, number)| *to += number),
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
    evaluator.visit(folding, outer, |column, numbers| match &mut sums[..] {
        [sum] => *sum += total(numbers),
        sums => sums[column..].iter_mut().zip(numbers).for_each(|(sum, number)| *sum += f64::from(*number)),
    });
    result.iter_mut().zip(sums).for_each(|(result, sum)| *result = (sum * factor) as f32);
}

/// The sum of a run of numbers, in eight strands.
fn total(numbers: &[f32]) -> f64 {
    let mut strands = [0.0f64; 8];
    for chunk in numbers.chunks(8) {
        strands.iter_mut().zip(chunk).for_each(|(strand, number)| *strand += f64::from(*number));
    }
    strands.iter().sum()
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
