//! Matrix products, for the operation itself and for what is made of it.

use super::tile::{Side, Sizes, Sources, by_fours, sources, tiled};
use crate::call::View;
use crate::schedule::Lowering;
use crate::shader::Access;

static MATMUL: Sources = sources!("matmul");

/// Matrices of a product, as they lie in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    pub view: View,
    /// Rows as stored are columns of what is multiplied.
    pub transposed: bool,
    /// From one row, as stored, to the next.
    pub row: usize,
    /// From one matrix to the next, along either axis of the batch.
    pub outer: usize,
    pub inner: usize,
}

impl Matrix {
    /// Matrices without gaps, as stored; the batch is the outer axis.
    pub fn packed(view: View, transposed: bool, [rows, columns]: [usize; 2]) -> Self {
        Matrix { view, transposed, row: columns, outer: rows * columns, inner: 0 }
    }

    pub fn turned(self) -> Self {
        Matrix { transposed: !self.transposed, ..self }
    }

    fn side(self, along_k: bool, [rows, columns]: [usize; 2]) -> Side {
        let along = if self.transposed { rows } else { columns };
        Side::new(self.view, along_k, &[along, self.row, self.outer, self.inner])
    }
}

/// `to = (left · right + bias + residual) · scale` for each matrix of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    /// `[m, k]`.
    pub left: Matrix,
    /// `[k, n]`.
    pub right: Matrix,
    /// `[m, n]`.
    pub to: Matrix,
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub batch: [usize; 2],
    /// How many of the m rows belong to one sample: tiles are chosen by it.
    pub sample_rows: usize,
    pub scale: f64,
    /// Starts from what is there and adds k in its order, so that a sum in parts has the bits of the whole.
    pub accumulate: bool,
    /// `[n]`.
    pub bias: Option<View>,
    /// Lies as `to` does.
    pub residual: Option<View>,
}

impl Product {
    /// The same numbers by another product that writes its rows as they are stored.
    fn stored_by_rows(self) -> Self {
        if !self.to.transposed {
            return self;
        }
        debug_assert!(self.bias.is_none(), "a bias goes along rows");
        Product {
            left: self.right.turned(),
            right: self.left.turned(),
            to: self.to.turned(),
            m: self.n,
            n: self.m,
            sample_rows: self.n,
            ..self
        }
    }
}

impl Lowering<'_> {
    pub(crate) fn product(&mut self, label: &str, product: Product) {
        let product = product.stored_by_rows();
        let Product { left, right, to, m, k, n, batch, .. } = product;
        let sides = [left.side(!left.transposed, [m, k]), right.side(right.transposed, [k, n])];
        let sizes = Sizes { batch: batch[0] * batch[1], m, k, n, sample_m: product.sample_rows, taps: 1 };
        let cooperative = self.offer.cooperative && !product.accumulate;
        let (call, _) = tiled(&MATMUL, sizes, sides, cooperative);
        let call = call.constant("ACCUMULATE", product.accumulate.into()).constant("SUM_RIGHT", 0);
        let call = call.number("inner", k).number("batch_inner", batch[1]);
        let call = call.number("left_row", left.row).number("left_outer", left.outer);
        let call = call.number("left_inner", left.inner).number("right_row", right.row);
        let call = call.number("right_outer", right.outer).number("right_inner", right.inner);
        let call = call.number("to_row", to.row).number("to_outer", to.outer).number("to_inner", to.inner);
        let call = call.real("scale", product.scale);
        let wide = to.side(false, [m, n]).wide;
        let by_fours = |view: Option<View>| view.is_some_and(|view| by_fours(view, &[n]));
        let call = call.read_maybe("bias", product.bias, by_fours(product.bias));
        let call = call.read_maybe("residual", product.residual, wide && by_fours(product.residual));
        self.push(call.operand("to", to.view, Access::Write, wide).labelled(label));
    }
}
