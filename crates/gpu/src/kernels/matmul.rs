//! Matrix products that are steps of a program.

use tensor::{Shape, Step, Value};

use super::product::{Matrix, Product};
use crate::call::View;
use crate::schedule::Lowering;

impl Lowering<'_> {
    /// `x [.., k] x weight [k, n] + bias [n]`.
    pub(crate) fn linear(&mut self, x: Value, weight: Value, bias: Value, step: &Step) {
        let bias = Some(self.view(bias));
        self.multiply("linear", [x, weight], [false; 2], bias, step);
    }

    pub(crate) fn matmul(&mut self, inputs: &[Value], transposes: [bool; 2], step: &Step) {
        self.multiply("product", [inputs[0], inputs[1]], transposes, None, step);
    }

    fn multiply(
        &mut self,
        label: &str,
        sides: [Value; 2],
        transposes: [bool; 2],
        bias: Option<View>,
        step: &Step,
    ) {
        let out = &step.outputs[0];
        let [left, right] = [0, 1].map(|at| Side::new(self.shape(sides[at]), transposes[at]));
        let views = sides.map(|side| self.view(side));
        let to = self.result(out);
        // Rows of one long product: there may be many matrices of few.
        let long = right.batch == 1 && !transposes[0];
        let (batch, m) = if long { (1, left.batch * left.rows) } else { (left.batch, left.rows) };
        let (k, n) = (left.columns, right.columns);
        // A matrix a sample, or a row a sample; the rows of a sum over samples are no samples.
        let samples_are_rows = self.shape(sides[0]).rank() == 2 && !transposes[0];
        let product = Product {
            left: left.matrix(views[0], transposes[0]),
            right: right.matrix(views[1], transposes[1]),
            to: Matrix::packed(to, false, [m, n]),
            m,
            k,
            n,
            batch: [batch, 1],
            sample_rows: if samples_are_rows { 1 } else { left.rows },
            scale: 1.0,
            accumulate: step.accumulate,
            bias,
            residual: None,
        };
        self.product(label, product);
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

    fn matrix(self, view: View, transposed: bool) -> Matrix {
        let stored = if transposed { [self.columns, self.rows] } else { [self.rows, self.columns] };
        let matrix = Matrix::packed(view, transposed, stored);
        if self.batch == 1 { Matrix { outer: 0, ..matrix } } else { matrix }
    }
}
