//! Convolutions, their input and weight gradients, as implicit matrix products.

use tensor::{Conv, Made, Step, WeightGradient};

use crate::schedule::Lowering;

impl Lowering<'_> {
    pub(crate) fn conv(&mut self, conv: &Conv, out: &Made) {
        let _ = (conv, out);
        todo!()
    }

    pub(crate) fn conv_weight_gradient(&mut self, gradient: &WeightGradient, step: &Step) {
        let _ = (gradient, step);
        todo!()
    }
}
