//! Formulas over tensors, element by element.

use tensor::{Map, Step};

use super::Run;
use super::operands::{Evaluator, Target};
use crate::Pool;
use crate::tape::{BLOCK, Block, Tape};

/// Numbers that a task computes at once.
const TASK: usize = 64 * BLOCK;

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
}

fn write(to: &mut [f32], block: Block, accumulate: bool) {
    match (block, accumulate) {
        (Block::Number(number), false) => to.fill(number),
        (Block::Number(number), true) => to.iter_mut().for_each(|to| *to += number),
        (Block::Numbers(numbers), false) => to.copy_from_slice(numbers),
        (Block::Numbers(numbers), true) => to.iter_mut().zip(numbers).for_each(|(to, number)| *to += number),
    }
}
