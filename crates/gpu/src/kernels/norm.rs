//! Group norm and its gradient, softmax.

use tensor::{Made, Normalize, NormalizeGradient, Step, Value};

use crate::schedule::Lowering;

impl Lowering<'_> {
    pub(crate) fn group_stats(&mut self, x: Value, groups: usize, eps: f64, out: &Made) {
        let _ = (x, groups, eps, out);
        todo!()
    }

    pub(crate) fn normalize(&mut self, normalize: &Normalize, inputs: &[Value], out: &Made) {
        let _ = (normalize, inputs, out);
        todo!()
    }

    pub(crate) fn normalize_sums(&mut self, normalize: &Normalize, inputs: &[Value], out: &Made) {
        let _ = (normalize, inputs, out);
        todo!()
    }

    pub(crate) fn normalize_gradient(&mut self, normalize: &Normalize, inputs: &[Value], out: &Made) {
        let _ = (normalize, inputs, out);
        todo!()
    }

    pub(crate) fn normalize_backward(&mut self, gradient: &NormalizeGradient, step: &Step) {
        let _ = (gradient, step);
        todo!()
    }
}
