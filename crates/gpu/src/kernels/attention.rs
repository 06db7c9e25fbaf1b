//! Attention and its gradient, and softmax.

use tensor::{Made, Value};

use crate::schedule::Lowering;

impl Lowering<'_> {
    pub(crate) fn softmax(&mut self, x: Value, out: &Made) {
        let _ = (x, out);
        todo!()
    }

    pub(crate) fn softmax_gradient(&mut self, inputs: &[Value], out: &Made) {
        let _ = (inputs, out);
        todo!()
    }

    pub(crate) fn attention(&mut self, qkv: Value, heads: usize, out: &Made) {
        let _ = (qkv, heads, out);
        todo!()
    }

    pub(crate) fn attention_gradient(&mut self, inputs: &[Value], heads: usize, out: &Made) {
        let _ = (inputs, heads, out);
        todo!()
    }
}
