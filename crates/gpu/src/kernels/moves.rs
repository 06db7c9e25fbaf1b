//! Concatenation, slices, padding, transposition.

use tensor::{Made, Value};

use crate::schedule::Lowering;

impl Lowering<'_> {
    pub(crate) fn concat(&mut self, inputs: &[Value], axis: usize, out: &Made) {
        let _ = (inputs, axis, out);
        todo!()
    }

    pub(crate) fn slice(&mut self, x: Value, axis: usize, start: usize, out: &Made) {
        let _ = (x, axis, start, out);
        todo!()
    }

    pub(crate) fn pad(&mut self, x: Value, amounts: &[(usize, usize)], out: &Made) {
        let _ = (x, amounts, out);
        todo!()
    }

    pub(crate) fn transpose(&mut self, x: Value, permutation: &[usize], out: &Made) {
        let _ = (x, permutation, out);
        todo!()
    }
}
