//! Matrix products.

use tensor::{Step, Value};

use crate::schedule::Lowering;

impl Lowering<'_> {
    pub(crate) fn matmul(&mut self, inputs: &[Value], transposes: [bool; 2], step: &Step) {
        let _ = (inputs, transposes, step);
        todo!()
    }
}
