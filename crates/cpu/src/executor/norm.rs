//! Group norm, its gradients, and softmax.

use tensor::{Made, Normalize, NormalizeGradient, Shape, Step, Value};

use super::Run;
use crate::kernels::load::{Affine, Load, Resize, Source};
use crate::kernels::norm::{self, Backward, Norm, PerChannel, SourceGradient};
use crate::kernels::softmax;
use crate::{Level, Pool};

impl Run<'_> {
    pub(super) fn group_stats(&self, pool: &mut Pool, x: Value, groups: usize, eps: f64, out: &Made) {
        let size = size(self.shape(x), groups);
        norm::group_stats(pool, size, &[self.source(x)], eps as f32, self.result(out));
    }

    pub(super) fn normalize(&self, pool: &mut Pool, normalize: &Normalize, inputs: &[Value], out: &Made) {
        let size = size(self.shape(inputs[0]), normalize.groups);
        let (sources, affine) = self.norm_operands(pool.level(), normalize, inputs);
        let load = self.normalizing(normalize, inputs, &sources, &affine);
        norm::load_images(pool, [size.n, size.h, size.w], &load, self.stored(out));
    }

    pub(super) fn normalize_sums(
        &self,
        pool: &mut Pool,
        normalize: &Normalize,
        inputs: &[Value],
        out: &Made,
    ) {
        let (dy, forward) = (inputs[0], &inputs[1..]);
        let (sources, affine) = self.norm_operands(pool.level(), normalize, forward);
        let load = self.normalizing(normalize, forward, &sources, &affine);
        let stats = self.floats(pool.level(), forward[1]);
        norm::norm_sums(pool, self.backward(normalize, forward, &stats, dy, load), self.result(out));
    }

    pub(super) fn normalize_gradient(
        &self,
        pool: &mut Pool,
        normalize: &Normalize,
        inputs: &[Value],
        out: &Made,
    ) {
        let (dy, sums, forward) = (inputs[0], inputs[1], &inputs[2..]);
        let (sources, affine) = self.norm_operands(pool.level(), normalize, forward);
        let load = self.normalizing(normalize, forward, &sources, &affine);
        let dx = vec![SourceGradient { dx: self.stored(out), residual: None, scale: 1.0 }];
        let [stats, sums] = [forward[1], sums].map(|value| self.floats(pool.level(), value));
        norm::norm_gradient(pool, self.backward(normalize, forward, &stats, dy, load), &sums, dx);
    }

    /// The gradient and its sums in one.
    pub(super) fn normalize_backward(&self, pool: &mut Pool, gradient: &NormalizeGradient, step: &Step) {
        let NormalizeGradient { normalize, dy, forward, store } = gradient;
        let (dx, sums) = (self.stored(&step.outputs[0]), self.result(&step.outputs[1]));
        let (sources, affine) = self.norm_operands(pool.level(), normalize, forward);
        let load = self.normalizing(normalize, forward, &sources, &affine);
        let residual = store.residual.map(|residual| self.numbers(residual));
        let dx = vec![SourceGradient { dx, residual, scale: store.scale as f32 }];
        let stats = self.floats(pool.level(), forward[1]);
        norm::norm_backward(pool, self.backward(normalize, forward, &stats, *dy, load), sums, dx);
    }

    pub(super) fn softmax(&self, pool: &mut Pool, x: Value, out: &Made) {
        let numbers = self.floats(pool.level(), x);
        softmax::softmax(pool, self.shape(x).channels(), &numbers, self.result(out));
    }

    pub(super) fn softmax_gradient(&self, pool: &mut Pool, inputs: &[Value], out: &Made) {
        let [dy, y] = [0, 1].map(|at| self.floats(pool.level(), inputs[at]));
        softmax::softmax_gradient(pool, self.shape(inputs[1]).channels(), &dy, &y, self.result(out));
    }

    pub(super) fn source(&self, x: Value) -> Source<'_> {
        Source { x: self.numbers(x), channels: self.shape(x).channels() }
    }

    /// What a normalisation reads, `x̂ · scale + shift` in the form `x · a + b`.
    fn norm_operands(
        &self,
        level: Level,
        normalize: &Normalize,
        inputs: &[Value],
    ) -> ([Source<'_>; 1], [Vec<f32>; 2]) {
        let affine = self.affine(level, inputs[0], normalize.groups, [inputs[1], inputs[2], inputs[3]]);
        ([self.source(inputs[0])], affine)
    }

    /// The factors and terms `[n, c]` of a normalisation by `[stats, scale, shift]`.
    pub(super) fn affine(&self, level: Level, x: Value, groups: usize, by: [Value; 3]) -> [Vec<f32>; 2] {
        let (shape, [_, scale, shift]) = (self.shape(x), by);
        let len = shape[0] * shape.channels();
        let (mut a, mut b) = (vec![0.0; len], vec![0.0; len]);
        let [stats, gain, bias] = by.map(|value| self.floats(level, value));
        let [gain, bias] = [(scale, &gain), (shift, &bias)].map(|(value, numbers)| {
            if self.shape(value).rank() == 1 { PerChannel::Shared(numbers) } else { PerChannel::Own(numbers) }
        });
        norm::norm_affine(size(shape, groups), &stats, gain, bias, &mut a, &mut b);
        [a, b]
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
        stats: &'b [f32],
        dy: Value,
        load: Load<'b>,
    ) -> Backward<'b> {
        let norm = size(self.shape(forward[0]), normalize.groups);
        Backward { norm, load, stats, dy: self.numbers(dy) }
    }
}

/// Whatever is between the samples and the channels counts as pixels.
fn size(shape: &Shape, groups: usize) -> Norm {
    let pixels: usize = shape[1..shape.rank() - 1].iter().product();
    let h = if shape.rank() == 4 { shape[1] } else { 1 };
    Norm { n: shape[0], h, w: pixels / h, groups }
}
