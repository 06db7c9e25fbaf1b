//! Mixed precision: which values of a graph stand 16 bits.

use super::{Graph, Value};
use crate::Shape;
use crate::op::Op;

impl Graph {
    /// Mixed precision: the activations that `build` adds, and their gradients, may be stored in 16 bits where a device
    /// can do that. Everything is computed as before, and statistics, sums and gradients of parameters are stored as
    /// before.
    pub fn halves<T>(&mut self, build: impl FnOnce(&mut Graph) -> T) -> T {
        let before = std::mem::replace(&mut self.halves, true);
        let built = build(self);
        self.halves = before;
        built
    }

    /// Lets what is added from now on be stored in 16 bits, or not.
    pub(crate) fn set_halves(&mut self, halves: bool) {
        self.halves = halves;
    }

    pub(super) fn is_half(&self, op: &Op, inputs: &[Value], shape: &Shape) -> bool {
        let reads_half = inputs.iter().any(|input| self.operation(*input).half);
        match op {
            // Shares the memory of what it reshapes.
            Op::Reshape => reads_half,
            Op::Concat { .. } | Op::Slice { .. } | Op::Pad { .. } | Op::Transpose { .. } => {
                self.halves && reads_half
            }
            _ => self.halves && shape.rank() >= 3 && op.makes_activations(),
        }
    }
}
