//! Formulas over tensors, element by element.

use tensor::{Map, Step};

use super::Run;
use super::operands::{Evaluator, Target};
use crate::kernels::numbers::{Numbers, NumbersMut};
use crate::tape::{BLOCK, Block, Tape};
use crate::{Level, Pool};

/// Numbers that a task computes at once.
const TASK: usize = 64 * BLOCK;

impl Run<'_> {
    pub(super) fn map(&self, pool: &mut Pool, tape: &Tape, map: &Map, step: &Step) {
        let shape = &map.shape;
        let (operands, level) = (self.operands(map), pool.level());
        let results: Vec<Target> = step.outputs.iter().map(|made| self.target(made)).collect();
        pool.run(shape.len().div_ceil(TASK), |task, scratch| {
            let mut evaluator = Evaluator::new(level, tape, &operands, scratch);
            let end = ((task + 1) * TASK).min(shape.len());
            for start in (task * TASK..end).step_by(BLOCK) {
                let len = BLOCK.min(end - start);
                evaluator.block(start, len, |formula, block| {
                    // SAFETY: tasks and blocks write to different elements; an operand that lies here has been read.
                    let to = unsafe { results[formula].numbers_mut(start, len) };
                    write(level, to, block, step.accumulate);
                });
            }
        });
    }
}

fn write(level: Level, to: NumbersMut, block: Block, accumulate: bool) {
    match (block, to) {
        (Block::Number(number), NumbersMut::F32(to)) if accumulate => {
            to.iter_mut().for_each(|to| *to += number);
        }
        (Block::Numbers(numbers), NumbersMut::F32(to)) if accumulate => {
            to.iter_mut().zip(numbers).for_each(|(to, number)| *to += number);
        }
        (Block::Number(number), mut to) => to.fill(number),
        (Block::Numbers(numbers), to) => Numbers::F32(numbers).copy_to(level, to),
    }
}
