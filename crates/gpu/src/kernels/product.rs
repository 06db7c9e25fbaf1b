//! Matrix products, for the operation itself and for what is made of it.

use super::tile::{Sources, Tile, by_fours, is_half, sources};
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

    fn turned(self) -> Self {
        Matrix { transposed: !self.transposed, ..self }
    }

    fn is_by_fours(&self, [rows, columns]: [usize; 2]) -> bool {
        let along = if self.transposed { rows } else { columns };
        by_fours(self.view, &[along, self.row, self.outer, self.inner])
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

    fn tile(&self, cooperative: bool) -> Tile {
        let by_fours = self.left.is_by_fours([self.m, self.k]) && self.right.is_by_fours([self.k, self.n]);
        let half = is_half(self.left.view) && is_half(self.right.view);
        let large = self.k >= 16 && self.n > 32 && self.sample_rows >= 16;
        Tile::new(self.sample_rows, self.n)
            .cooperative(cooperative && by_fours && half && large && !self.accumulate)
    }
}

impl Lowering<'_> {
    pub(crate) fn product(&mut self, label: &str, product: Product) {
        let product = product.stored_by_rows();
        let Product { left, right, to, m, k, n, batch, .. } = product;
        let [wide_left, wide_right] = [left.is_by_fours([m, k]), right.is_by_fours([k, n])];
        let wide = to.is_by_fours([m, n]);
        let flag = usize::from;
        let call = product.tile(self.offer.cooperative).call(&MATMUL, [batch[0] * batch[1], m, n], k, 1);
        let call = call.constant("LEFT_ALONG_K", flag(!left.transposed));
        let call = call.constant("RIGHT_ALONG_K", flag(right.transposed));
        let call = call.constant("LEFT_WIDE", flag(wide_left)).constant("RIGHT_WIDE", flag(wide_right));
        let call = call.constant("ACCUMULATE", flag(product.accumulate)).constant("SUM_RIGHT", 0);
        let call =
            call.number("rows", m).number("inner", k).number("columns", n).number("batch_inner", batch[1]);
        let call = call.number("left_row", left.row).number("left_outer", left.outer);
        let call = call.number("left_inner", left.inner);
        let call = call.number("right_row", right.row).number("right_outer", right.outer);
        let call = call.number("right_inner", right.inner);
        let call = call.number("to_row", to.row).number("to_outer", to.outer).number("to_inner", to.inner);
        let call = call.real("scale", product.scale);
        let call = call.operand("left", left.view, Access::Read, wide_left);
        let call = call.operand("right", right.view, Access::Read, wide_right);
        let by_fours = |view: Option<View>| view.is_some_and(|view| by_fours(view, &[n]));
        let call = call.read_maybe("bias", product.bias, by_fours(product.bias));
        let wide_residual = wide && by_fours(product.residual);
        let call = call.read_maybe("residual", product.residual, wide_residual);
        self.push(call.operand("to", to.view, Access::Write, wide).labelled(label));
    }
}
