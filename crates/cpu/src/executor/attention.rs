//! Attention.

use tensor::{Made, Value};

use super::Run;
use crate::Pool;
use crate::kernels::attention::{self, Attention};

impl Run<'_> {
    pub(super) fn attention(&self, pool: &mut Pool, qkv: Value, heads: usize, out: &Made) {
        attention::attention(pool, self.heads(qkv, heads), self.numbers(qkv), self.stored(out));
    }

    pub(super) fn attention_gradient(&self, pool: &mut Pool, inputs: &[Value], heads: usize, out: &Made) {
        let [dy, qkv] = [0, 1].map(|at| self.numbers(inputs[at]));
        attention::attention_gradient(pool, self.heads(inputs[1], heads), qkv, dy, self.stored(out));
    }

    fn heads(&self, qkv: Value, heads: usize) -> Attention {
        let shape = self.shape(qkv);
        Attention { n: shape[0], pixels: shape[1], c: shape[2] / 3, heads }
    }
}
