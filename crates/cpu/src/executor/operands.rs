//! The inputs of formulas: numbers, tensors in step with the result, and tensors that broadcast to it.

use tensor::{Map, Place, Shape, Value};

use super::Run;
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
pub(super) struct Target(pub *mut f32);

// SAFETY: tasks read what nobody writes, and write to different elements.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// # Safety
    /// Element `i` must be there.
    pub unsafe fn at(self, i: usize) -> *mut f32 {
        // SAFETY: promised.
        unsafe { self.0.add(i) }
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
pub(super) struct Evaluator<'a> {
    level: Level,
    tape: &'a Tape,
    operands: &'a [Operand],
    /// A block for each operand, for those that broadcast.
    filled: &'a mut [f32],
    room: &'a mut [f32],
}

impl<'a> Evaluator<'a> {
    pub fn new(level: Level, tape: &'a Tape, operands: &'a [Operand], scratch: &'a mut Scratch) -> Self {
        let [filled, room] = scratch.take([operands.len() * BLOCK, tape.room()]);
        Evaluator { level, tape, operands, filled, room }
    }

    /// Computes elements `start..start + len` of every formula.
    pub fn block(&mut self, start: usize, len: usize, take: impl FnMut(usize, Block)) {
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
}
