//! The gradients of matrix products, convolutions and normalisation.

use super::Backward;
use crate::{Graph, Normalize, Op, Value};

impl Backward<'_> {
    pub(super) fn matmul(
        &mut self,
        [left, right]: [Value; 2],
        [left_turned, right_turned]: [bool; 2],
        dy: Value,
    ) {
        let shared = self.graph.shape(right).rank() < self.graph.shape(left).rank();
        self.give_with(left, |graph| match (left_turned, shared) {
            (false, _) => matmul(graph, [dy, right], [false, !right_turned]),
            (true, false) => matmul(graph, [right, dy], [right_turned, true]),
            (true, true) => {
                let turned = matmul(graph, [dy, right], [false, !right_turned]);
                turn(graph, turned)
            }
        });
        self.give_with(right, |graph| {
            // One matrix for all leading axes: they are more rows of one product.
            let (left, left_turned, dy) = match shared {
                true => {
                    let left = if left_turned { turn(graph, left) } else { left };
                    (rows(graph, left), false, rows(graph, dy))
                }
                false => (left, left_turned, dy),
            };
            match right_turned {
                false => matmul(graph, [left, dy], [!left_turned, false]),
                true => matmul(graph, [dy, left], [true, left_turned]),
            }
        });
    }

    pub(super) fn conv(&mut self, x: Value, weight: Value, dy: Value) {
        self.give_with(x, |graph| graph.push(Op::ConvInputGradient, &[dy, weight], None));
        self.give_with(weight, |graph| {
            let taps = graph.shape(weight)[0];
            graph.push(Op::ConvWeightGradient { taps }, &[x, dy], None)
        });
    }

    /// The statistics get no gradient of their own: [`Op::NormalizeGradient`] goes through them.
    pub(super) fn normalize(&mut self, normalize: Normalize, inputs: &[Value], dy: Value) {
        let [x, _, scale, shift, ..] = inputs[..] else { return };
        if ![x, scale, shift].into_iter().any(|input| self.needs(input)) {
            return;
        }
        let sums = self.graph.push(Op::NormalizeSums(normalize.clone()), &[&[dy], inputs].concat(), None);
        self.give_with(x, |graph| {
            graph.push(Op::NormalizeGradient(normalize), &[&[dy, sums], inputs].concat(), None)
        });
        self.give_with(shift, |graph| sum_for(graph, sums, 0, shift));
        self.give_with(scale, |graph| sum_for(graph, sums, 1, scale));
    }
}

fn matmul(graph: &mut Graph, sides: [Value; 2], [transpose_left, transpose_right]: [bool; 2]) -> Value {
    graph.push(Op::MatMul { transpose_left, transpose_right }, &sides, None)
}

/// The matrices transposed.
fn turn(graph: &mut Graph, matrices: Value) -> Value {
    let rank = graph.shape(matrices).rank();
    let mut permutation: Vec<usize> = (0..rank).collect();
    permutation.swap(rank - 2, rank - 1);
    graph.transpose(matrices, &permutation)
}

/// `[…, m, n]` as `[… m, n]`.
fn rows(graph: &mut Graph, matrices: Value) -> Value {
    let shape = graph.shape(matrices);
    let columns = shape.channels();
    let rows = shape[..shape.rank() - 1].iter().product();
    graph.reshape(matrices, [rows, columns])
}

/// Line `which` of `sums [n, 2, c]`, for a parameter `[n, c]` or `[c]`.
fn sum_for(graph: &mut Graph, sums: Value, which: usize, parameter: Value) -> Value {
    let shape = graph.shape(parameter).clone();
    let line = graph.slice(sums, 1, which..which + 1);
    let line = if shape.rank() == 1 { graph.sum(line, &[0]) } else { line };
    graph.reshape(line, shape)
}
