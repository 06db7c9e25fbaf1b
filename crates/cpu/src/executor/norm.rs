//! Group norm, its gradients, and softmax.

use tensor::{Made, Normalize, NormalizeGradient, Shape, Step, Value};

use super::Run;
use crate::Pool;
use crate::kernels::load::{Affine, Load, Resize, Source};
use crate::kernels::norm::{self, Backward, Norm, PerChannel, SourceGradient};
use crate::kernels::softmax;

impl Run<'_> {
    pub(super) fn group_stats(&self, pool: &mut Pool, x: Value, groups: usize, eps: f64, out: &Made) {
        let size = size(self.shape(x), groups);
        norm::group_stats(pool, size, &[self.source(x)], eps as f32, self.result(out));
    }

    pub(super) fn normalize(&self, pool: &mut Pool, normalize: &Normalize, inputs: &[Value], out: &Made) {
        let size = size(self.shape(inputs[0]), normalize.groups);
        let (sources, affine) = self.norm_operands(normalize, inputs);
        let load = self.normalizing(normalize, inputs, &sources, &affine);
        norm::load_images(pool, [size.n, size.h, size.w], &load, self.result(out));
    }

    pub(super) fn normalize_sums(
        &self,
        pool: &mut Pool,
        normalize: &Normalize,
        inputs: &[Value],
        out: &Made,
    ) {
        let (dy, forward) = (inputs[0], &inputs[1..]);
        let (sources, affine) = self.norm_operands(normalize, forward);
        let load = self.normalizing(normalize, forward, &sources, &affine);
        norm::norm_sums(pool, self.backward(normalize, forward, dy, load), self.result(out));
    }

    pub(super) fn normalize_gradient(
        &self,
        pool: &mut Pool,
        normalize: &Normalize,
        inputs: &[Value],
        out: &Made,
    ) {
        let (dy, sums, forward) = (inputs[0], inputs[1], &inputs[2..]);
        let (sources, affine) = self.norm_operands(normalize, forward);
        let load = self.normalizing(normalize, forward, &sources, &affine);
        let mut dx = [SourceGradient { dx: self.result(out), residual: None, scale: 1.0 }];
        norm::norm_gradient(pool, self.backward(normalize, forward, dy, load), self.numbers(sums), &mut dx);
    }

    /// The gradient and its sums in one.
    pub(super) fn normalize_backward(&self, pool: &mut Pool, gradient: &NormalizeGradient, step: &Step) {
        let NormalizeGradient { normalize, dy, forward, store } = gradient;
        let [dx, sums] = [0, 1].map(|at| self.result(&step.outputs[at]));
        let (sources, affine) = self.norm_operands(normalize, forward);
        let load = self.normalizing(normalize, forward, &sources, &affine);
        let residual = store.residual.map(|residual| self.numbers(residual));
        let mut dx = [SourceGradient { dx, residual, scale: store.scale as f32 }];
        norm::norm_backward(pool, self.backward(normalize, forward, *dy, load), sums, &mut dx);
    }

    pub(super) fn softmax(&self, pool: &mut Pool, x: Value, out: &Made) {
        softmax::softmax(pool, self.shape(x).channels(), self.numbers(x), self.result(out));
    }

    pub(super) fn softmax_gradient(&self, pool: &mut Pool, inputs: &[Value], out: &Made) {
        let [dy, y] = [0, 1].map(|at| self.numbers(inputs[at]));
        softmax::softmax_gradient(pool, self.shape(inputs[1]).channels(), dy, y, self.result(out));
    }

    pub(super) fn source(&self, x: Value) -> Source<'_> {
        Source { x: self.numbers(x), channels: self.shape(x).channels() }
    }

    /// What a normalisation reads, `x̂ · scale + shift` in the form `x · a + b`.
    fn norm_operands(&self, normalize: &Normalize, inputs: &[Value]) -> ([Source<'_>; 1], [Vec<f32>; 2]) {
        let affine = self.affine(inputs[0], normalize.groups, [inputs[1], inputs[2], inputs[3]]);
        ([self.source(inputs[0])], affine)
    }

    /// The factors and terms `[n, c]` of a normalisation by `[stats, scale, shift]`.
    pub(super) fn affine(&self, x: Value, groups: usize, by: [Value; 3]) -> [Vec<f32>; 2] {
        let (shape, [stats, scale, shift]) = (self.shape(x), by);
        let len = shape[0] * shape.channels();
        let (mut a, mut b) = (vec![0.0; len], vec![0.0; len]);
        let (gain, bias) = (self.per_channel(scale), self.per_channel(shift));
        norm::norm_affine(size(shape, groups), self.numbers(stats), gain, bias, &mut a, &mut b);
        [a, b]
    }

    fn per_channel(&self, value: Value) -> PerChannel<'_> {
        match self.shape(value).rank() {
            1 => PerChannel::Shared(self.numbers(value)),
            _ => PerChannel::Own(self.numbers(value)),
        }
    }

    fn normalizing<'b>(
        &'b self,
        normalize: &Normalize,
        inputs: &[Value],
        sources: &'b [Source<'b>],
        [scale, shift]: &'b [Vec<f32>; 2],
    ) -> Load<'b> {
        Load {
            sources,
            affine: Some(Affine { scale, shift }),
            silu: normalize.silu,
            dropout: normalize.dropout.map(|dropout| self.dropout(&dropout, inputs[4])),
            scale: 1.0,
            resize: Resize::Same,
        }
    }

    fn backward<'b>(
        &'b self,
        normalize: &Normalize,
        forward: &[Value],
        dy: Value,
        load: Load<'b>,
    ) -> Backward<'b> {
        let norm = size(self.shape(forward[0]), normalize.groups);
        Backward { norm, load, stats: self.numbers(forward[1]), dy: self.numbers(dy) }
    }
}

/// Whatever is between the samples and the channels counts as pixels.
fn size(shape: &Shape, groups: usize) -> Norm {
    let pixels: usize = shape[1..shape.rank() - 1].iter().product();
    let h = if shape.rank() == 4 { shape[1] } else { 1 };
    Norm { n: shape[0], h, w: pixels / h, groups }
}
