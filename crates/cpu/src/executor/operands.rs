//! The inputs of formulas: numbers, tensors in step with the result, and tensors that broadcast to it.

use tensor::{Made, Map, Place, Shape, Value};

use super::Run;
use crate::kernels::numbers::{Numbers, NumbersMut};
use crate::tape::{BLOCK, Block, Tape};
use crate::{Level, Scratch};

/// Inputs of a formula: four times what `tensor::compile` fuses, for Adam and whoever writes long formulas.
const LARGEST: usize = 32;

impl Run<'_> {
    pub(super) fn operands(&self, map: &Map) -> Vec<Operand> {
        map.inputs.iter().map(|input| self.operand(*input, &map.shape)).collect()
    }

    fn operand(&self, input: Value, shape: &Shape) -> Operand {
        if let Place::Scalar { input } = self.program.place(input) {
            return Operand::Number(self.scalars[&input]);
        }
        let own = self.shape(input);
        let start = match self.is_half(input) {
            true => Target::Bf16(self.pointer(input).cast()),
            false => Target::F32(self.pointer(input)),
        };
        if own.len() == shape.len() {
            return Operand::Aligned(start);
        }
        if own.len() == 1 {
            // SAFETY: there is one number, and nobody writes to it during this step.
            return Operand::Number(unsafe { start.numbers(0, 1) }.get(0));
        }
        Operand::Broadcast(start, Walk::new(own, shape))
    }

    /// Where a formula's results go.
    pub(super) fn target(&self, made: &Made) -> Target {
        match made.into.is_none() && self.is_half(made.value) {
            true => Target::Bf16(self.pointer(made.value).cast()),
            false => Target::F32(self.result_pointer(made)),
        }
    }
}

/// A pointer that tasks share.
#[derive(Clone, Copy)]
pub(super) enum Target {
    F32(*mut f32),
    Bf16(*mut u16),
}

// SAFETY: tasks read what nobody writes, and write to different elements.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// # Safety
    /// The elements must be there, and nobody may write to them.
    pub unsafe fn numbers<'a>(self, start: usize, len: usize) -> Numbers<'a> {
        // SAFETY: promised.
        unsafe {
            match self {
                Target::F32(to) => Numbers::F32(std::slice::from_raw_parts(to.add(start), len)),
                Target::Bf16(to) => Numbers::Bf16(std::slice::from_raw_parts(to.add(start), len)),
            }
        }
    }

    /// # Safety
    /// The elements must be there, and nobody else may touch them.
    pub unsafe fn numbers_mut<'a>(self, start: usize, len: usize) -> NumbersMut<'a> {
        // SAFETY: promised.
        unsafe {
            match self {
                Target::F32(to) => NumbersMut::F32(std::slice::from_raw_parts_mut(to.add(start), len)),
                Target::Bf16(to) => NumbersMut::Bf16(std::slice::from_raw_parts_mut(to.add(start), len)),
            }
        }
    }
}

/// An input of a formula.
pub(super) enum Operand {
    Number(f32),
    /// Element for element as the result.
    Aligned(Target),
    Broadcast(Target, Walk),
}

/// The axes of a result, neighbours joined where the operand allows it: sizes and the operand's strides.
pub(super) struct Walk {
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
    fn fill(&self, level: Level, from: Target, start: usize, to: &mut [f32]) {
        let (size, step) = *self.axes.last().expect("a broadcast operand has axes");
        let (mut row, mut column) = (start / size, start % size);
        let mut rest = to;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_mut(rest.len().min(size - column));
            let at = self.row(row) + column * step;
            // SAFETY: the walk stays within the operand; its last stride is 0 or 1, as tensors are contiguous.
            unsafe {
                match step {
                    0 => now.fill(from.numbers(at, 1).get(0)),
                    _ => from.numbers(at, now.len()).copy_to(level, NumbersMut::F32(now)),
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
pub(super) struct Evaluator<'a> {
    level: Level,
    tape: &'a Tape,
    operands: &'a [Operand],
    /// A block for each operand, for those that broadcast or have 16 bits.
    filled: &'a mut [f32],
    room: &'a mut [f32],
}

impl<'a> Evaluator<'a> {
    pub fn new(level: Level, tape: &'a Tape, operands: &'a [Operand], scratch: &'a mut Scratch) -> Self {
        let [filled, room] = scratch.take([operands.len() * BLOCK, tape.room()]);
        Evaluator { level, tape, operands, filled, room }
    }

    pub fn level(&self) -> Level {
        self.level
    }

    /// Computes elements `start..start + len` of every formula.
    pub fn block(&mut self, start: usize, len: usize, take: impl FnMut(usize, Block)) {
        let mut inputs = [Block::Number(0.0); LARGEST];
        let blocks = self.operands.iter().zip(self.filled.chunks_exact_mut(BLOCK));
        for (input, (operand, filled)) in inputs.iter_mut().zip(blocks) {
            *input = match operand {
                Operand::Number(number) => Block::Number(*number),
                // SAFETY: the operand has the result's length.
                Operand::Aligned(from) => match unsafe { from.numbers(start, len) } {
                    Numbers::F32(numbers) => Block::Numbers(numbers),
                    halves => {
                        halves.copy_to(self.level, NumbersMut::F32(&mut filled[..len]));
                        Block::Numbers(&filled[..len])
                    }
                },
                Operand::Broadcast(from, walk) => {
                    walk.fill(self.level, *from, start, &mut filled[..len]);
                    Block::Numbers(&filled[..len])
                }
            };
        }
        self.tape.run(self.level, &inputs[..self.operands.len()], len, self.room, take);
    }
}
