//! Convolutions 3x3 and 1x1 with "same" zero padding, and the gradients of their inputs.
//!
//! 3x3 convolutions of images and layers of some size are done by Winograd's algorithm, those to few channels as 1x1
//! convolutions to the taps of these, and all others product by product.

mod direct;
mod folded;
mod product;

use super::cut::Cut;
use super::load::Load;
use super::norm::Written;
use super::numbers::NumbersMut;
use super::pack::{Direct, Weights, run_with};
use super::store::Store;
use super::winograd;
use crate::Pool;

/// The shape of a convolution; `h` and `w` are the output's.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub cin: usize,
    pub cout: usize,
    /// 9 for 3x3, 1 for 1x1.
    pub taps: usize,
}

impl Conv {
    pub(super) fn check(&self, weights: &[f32]) {
        assert!(matches!(self.taps, 1 | 9), "{} taps", self.taps);
        assert_eq!(weights.len(), self.taps * self.cin * self.cout, "the weights of {self:?}");
    }

    pub(super) fn pixels(&self) -> usize {
        self.n * self.h * self.w
    }
}

/// `out[n, h, w, cout] = store(load(x) * weights)`, weights `[tap][cin][cout]`.
pub fn conv<'a>(
    pool: &mut Pool,
    shape: Conv,
    load: &Load,
    weights: &[f32],
    store: &Store,
    out: impl Into<NumbersMut<'a>>,
) {
    shape.check(weights);
    let weights =
        Weights { values: weights, taps: shape.taps, cin: shape.cin, cout: shape.cout, turned: false };
    run(pool, shape, load, weights, store, out.into());
}

/// `dx[n, h, w, cin] = store(load(dy) * turned weights)`: the gradient of the loaded input; `load` reads `dy`.
pub fn conv_input_gradient<'a>(
    pool: &mut Pool,
    shape: Conv,
    load: &Load,
    weights: &[f32],
    store: &Store,
    dx: impl Into<NumbersMut<'a>>,
) {
    shape.check(weights);
    let weights =
        Weights { values: weights, taps: shape.taps, cin: shape.cin, cout: shape.cout, turned: true };
    run(pool, shape, load, weights, store, dx.into());
}

fn run(pool: &mut Pool, shape: Conv, load: &Load, weights: Weights, store: &Store, out: NumbersMut) {
    let (cin, cout) = weights.channels();
    load.check(shape.n, shape.h, shape.w);
    assert_eq!(load.channels(), cin, "channels of the input of {shape:?}");
    assert_eq!(out.len(), shape.pixels() * cout, "the output of {shape:?}");
    store.check(shape.n, cout, out.len());
    if winograd::suits(shape, &weights) {
        return winograd::run(pool, shape, load, weights, store, out);
    }
    if folded::suits(&weights) {
        return folded::run(pool, shape, load, weights, store, out);
    }
    let (mut workers, shared) = pool.split();
    let level = workers.level;
    let cut = Cut::new(shape, cin, weights.panels(level.lanes()), 1, workers.threads());
    let (packing, out) = (Direct { weights, level }, out.share());
    let written = Written { shape, channels: cout, out, statistics: store.statistics };
    run_with(&packing, (&mut workers, shared), (cut.tasks(), cut.has_parts()), |index, packed, scratch| {
        direct::Task { shape, load, weights, packed, store, out, cut, index }.run(level, scratch);
        written.after_task(level, cut, index, scratch);
    });
    written.after_all(&mut workers, cut);
}
