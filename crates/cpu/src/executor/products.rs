//! Matrix products.

use tensor::{Shape, Step, Value};

use super::Run;
use crate::Pool;
use crate::kernels::gemm::{Finish, Gemm, View, gemm};

impl Run<'_> {
    pub(super) fn linear(&self, pool: &mut Pool, inputs: [Value; 2], bias: Value, step: &Step) {
        self.matmul(pool, &inputs, [false; 2], step);
        add_bias(self.result(&step.outputs[0]), &self.floats(pool.level(), bias));
    }

    pub(super) fn matmul(&self, pool: &mut Pool, inputs: &[Value], transpose: [bool; 2], step: &Step) {
        let [left, right] = [0, 1].map(|side| Side::new(self.shape(inputs[side]), transpose[side]));
        let finish = if step.accumulate { Finish::Accumulate } else { Finish::Scale(1.0) };
        let (mut batch, mut m) = (left.batch, left.rows);
        if right.batch == 1 && !transpose[0] {
            // Rows of one long product: their bits do not depend on how many there are.
            (batch, m) = (1, batch * m);
        }
        let shape = Gemm { batch, m, n: right.columns, k: left.columns };
        let numbers = [0, 1].map(|at| self.floats(pool.level(), inputs[at]));
        let [a, b] = [left.view(&numbers[0], transpose[0]), right.view(&numbers[1], transpose[1])];
        gemm(pool, shape, a, b, finish, self.result(&step.outputs[0]));
    }
}

/// Adds the bias to every row.
fn add_bias(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
    }
}

/// One side of a product, as it is multiplied.
#[derive(Clone, Copy)]
struct Side {
    batch: usize,
    rows: usize,
    columns: usize,
}

impl Side {
    fn new(shape: &Shape, transposed: bool) -> Side {
        let (leading, matrix) = shape.split_at(shape.rank() - 2);
        let (rows, columns) = if transposed { (matrix[1], matrix[0]) } else { (matrix[0], matrix[1]) };
        Side { batch: leading.iter().product(), rows, columns }
    }

    fn view(self, numbers: &[f32], transposed: bool) -> View<'_> {
        let batch = if self.batch == 1 { 0 } else { self.rows * self.columns };
        match transposed {
            true => View::rows(numbers, self.rows, batch).transposed(),
            false => View::rows(numbers, self.columns, batch),
        }
    }
}
