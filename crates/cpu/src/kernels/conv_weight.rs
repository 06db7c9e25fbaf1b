//! The gradients of a convolution's weights.
//!
//! Where there are few weights a task takes a whole sample, and its gradient is left aside to be added up, sample after
//! sample; where there are many, samples are loaded for all threads to see, and a task takes a few weights through all
//! samples. 3x3 filters on images of some size are summed by Winograd's algorithm, others product by product.

mod direct;
mod winograd;

use std::ops::Range;

use super::column::{Column, Place};
use super::conv::Conv;
use super::load::{BLOCK, Load, Tile};
use super::numbers::Numbers;
use super::pack::Panels;
use super::pointer::Parts;
use super::winograd::transforms::{ELEMENTS, OUTPUTS};
use crate::{Kernel, Level, Pool, Simd};

/// Floats of samples that are loaded before their weights are computed.
const WAVE: usize = 1 << 18;

/// `dw[tap][cin][cout] += Σ load(x) · dy`, with `dy[n, h, w, cout]` the gradient of the convolution's output, and if asked
/// `sums[n, cout]`, of `dy` over pixels.
pub fn conv_weight_gradient<'a>(
    pool: &mut Pool,
    shape: Conv,
    load: &Load,
    dy: impl Into<Numbers<'a>>,
    dw: &mut [f32],
    sums: Option<&mut [f32]>,
) {
    let dy = dy.into();
    shape.check(dw);
    load.check(shape.n, shape.h, shape.w);
    assert_eq!(load.channels(), shape.cin, "channels of the input of {shape:?}");
    assert_eq!(dy.len(), shape.pixels() * shape.cout, "the gradient of {shape:?}");
    if let Some(sums) = &sums {
        assert_eq!(sums.len(), shape.n * shape.cout, "the sums over pixels of {shape:?}");
    }
    let layout = Layout::new(shape, pool.level());
    let (samples, dw) = (Samples { load, dy, sums: sums.map(Parts::new) }, Parts::new(dw));
    if layout.has_few_weights() {
        by_sample(pool, layout, samples, dw);
    } else {
        by_weight(pool, layout, samples, dw);
    }
}

/// What is read of samples, and what is made of each of them alone.
#[derive(Clone, Copy)]
struct Samples<'a> {
    load: &'a Load<'a>,
    dy: Numbers<'a>,
    /// `[n, cout]`
    sums: Option<Parts<'a, f32>>,
}

/// A task for each sample of a wave, then the sum over samples.
fn by_sample(pool: &mut Pool, layout: Layout, of: Samples, dw: Parts<f32>) {
    let (mut workers, shared) = pool.split();
    let (level, shape) = (workers.level, layout.shape);
    let wave = (WAVE / layout.weights()).clamp(workers.threads(), shape.n.max(workers.threads()));
    let [partials] = shared.take([wave * layout.weights()]);
    for first in (0..shape.n).step_by(wave) {
        let samples = wave.min(shape.n - first);
        let parts = Parts::new(&mut *partials);
        workers.run(samples, |task, scratch| {
            let [loaded, room, sums] = scratch.take([layout.loaded(), layout.room(of.load), layout.sums()]);
            // SAFETY: one task per sample.
            unsafe { layout.load(level, of, first + task, [&mut *loaded, room]) };
            // SAFETY: one task per sample.
            let to = Parts::new(unsafe { parts.range(task * layout.weights(), layout.weights()) });
            let (panels, blocks) = (0..layout.panels.count(), 0..layout.tile.blocks());
            level.run(Weights { layout, loaded, to, panels, blocks, add: false, sums });
        });
        let chunk = 4096;
        workers.run(layout.weights().div_ceil(chunk), |task, _| {
            let start = task * chunk;
            let len = chunk.min(layout.weights() - start);
            // SAFETY: one task per stretch.
            let to = unsafe { dw.range(start, len) };
            for partial in partials.chunks_exact(layout.weights()).take(samples) {
                level.run(Add { to: &mut *to, sums: &partial[start..start + len] });
            }
        });
    }
}

/// Samples loaded for all to see, then a task for each panel and block of channels.
fn by_weight(pool: &mut Pool, layout: Layout, of: Samples, dw: Parts<f32>) {
    let (mut workers, shared) = pool.split();
    let (level, shape) = (workers.level, layout.shape);
    let wave = (WAVE / layout.loaded()).clamp(workers.threads(), shape.n.max(workers.threads()));
    let [loaded] = shared.take([wave * layout.loaded()]);
    for first in (0..shape.n).step_by(wave) {
        let samples = wave.min(shape.n - first);
        let parts = Parts::new(&mut *loaded);
        workers.run(samples, |task, scratch| {
            let [room] = scratch.take([layout.room(of.load)]);
            // SAFETY: one task per sample.
            let loaded = unsafe { parts.range(task * layout.loaded(), layout.loaded()) };
            unsafe { layout.load(level, of, first + task, [loaded, room]) };
        });
        let (blocks, loaded) = (layout.tile.blocks(), &loaded[..samples * layout.loaded()]);
        workers.run(layout.panels.count() * blocks, |task, scratch| {
            let (panel, block) = (task / blocks, task % blocks);
            let [sums] = scratch.take([layout.sums()]);
            let (panels, blocks) = (panel..panel + 1, block..block + 1);
            level.run(Weights { layout, loaded, to: dw, panels, blocks, add: true, sums });
        });
    }
}

/// Where a sample's pixels and its gradient lie once they are loaded.
#[derive(Clone, Copy)]
struct Layout {
    shape: Conv,
    tile: Tile,
    panels: Panels,
    winograd: bool,
}

impl Layout {
    fn new(shape: Conv, level: Level) -> Layout {
        let border = usize::from(shape.taps == 9);
        let winograd = winograd::suits(shape);
        let step = if winograd { OUTPUTS } else { 1 };
        let tile = Tile { border, rows: shape.h, w: shape.w, step, channels: shape.cin };
        let panels = Panels { channels: shape.cout, lanes: level.lanes() };
        Layout { shape, tile, panels, winograd }
    }

    fn pixels(&self) -> usize {
        self.shape.h * self.shape.w
    }

    fn weights(&self) -> usize {
        self.shape.taps * self.shape.cin * self.shape.cout
    }

    /// Whether the weights are so few that a copy for each sample costs less than sharing the samples: where these are
    /// transformed they are large.
    fn has_few_weights(&self) -> bool {
        self.weights() <= if self.winograd { 4 * self.winograd_len() } else { self.direct_len() / 2 }
    }

    /// Floats of a loaded sample.
    fn loaded(&self) -> usize {
        if self.winograd { self.winograd_len() } else { self.direct_len() }
    }

    /// Floats that loading a sample takes.
    fn room(&self, load: &Load) -> usize {
        load.row_len(self.shape.w) + if self.winograd { self.tile.len() } else { 0 }
    }

    /// Floats that the sums of a panel and block take before they are weights.
    fn sums(&self) -> usize {
        if self.winograd { ELEMENTS * BLOCK * 2 * self.panels.lanes } else { 0 }
    }

    /// Loads one sample and its gradient, and sums this over pixels.
    ///
    /// # Safety
    /// Nobody else may write to the sums of the sample.
    unsafe fn load(&self, level: Level, of: Samples, sample: usize, [to, room]: [&mut [f32]; 2]) {
        let (load, cout) = (of.load, self.shape.cout);
        let dy = of.dy.range(sample * self.pixels() * cout, self.pixels() * cout);
        match self.winograd {
            true => self.load_transformed(level, load, dy, sample, [to, room]),
            false => self.load_directly(level, load, dy, sample, [to, room]),
        }
        if let Some(sums) = of.sums {
            // SAFETY: promised.
            let sums = unsafe { sums.range(sample * cout, cout) };
            level.run(SumPixels { dy, width: self.shape.w, sums });
        }
    }
}

/// The weights of some panels and blocks, of loaded samples one after the other.
struct Weights<'a> {
    layout: Layout,
    loaded: &'a [f32],
    to: Parts<'a, f32>,
    panels: Range<usize>,
    blocks: Range<usize>,
    /// Whether to add to what is there.
    add: bool,
    /// Of [`Layout::sums`].
    sums: &'a mut [f32],
}

impl Kernel for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for panel in self.panels.clone() {
            for block in self.blocks.clone() {
                match (S::ROWS, self.layout.panels.vectors(panel)) {
                    (8, 2) => self.block::<S, 8, 2>(s, panel, block),
                    (8, _) => self.block::<S, 8, 1>(s, panel, block),
                    (_, 2) => self.block::<S, 4, 2>(s, panel, block),
                    _ => self.block::<S, 4, 1>(s, panel, block),
                }
            }
        }
    }
}

impl Weights<'_> {
    #[inline(always)]
    fn block<S: Simd, const Q: usize, const N: usize>(&mut self, s: S, panel: usize, block: usize) {
        match self.layout.winograd {
            true => self.sum_transformed::<S, Q, N>(s, panel, block),
            false => self.sum_directly::<S, Q, N>(s, panel, block),
        }
    }

    /// Where the weights of a tap and an input channel go, for the output channels of a panel.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)] // each is written by one task only
    fn row(&self, tap: usize, channel: usize, panel: usize) -> &mut [f32] {
        let Layout { shape, panels, .. } = self.layout;
        let at = (tap * shape.cin + channel) * shape.cout + panels.start(panel);
        // SAFETY: this task's panel and block; nobody else has them, and one row is used at a time.
        unsafe { self.to.range(at, panels.real(panel)) }
    }
}

/// Sums a sample's gradient over its pixels, row by row, while it is in the cache.
struct SumPixels<'a> {
    dy: Numbers<'a>,
    width: usize,
    /// `[cout]`
    sums: &'a mut [f32],
}

impl Kernel for SumPixels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let SumPixels { dy, width, sums } = self;
        let channels = sums.len();
        for i in (0..channels).step_by(S::LANES) {
            let mut sum = s.splat(0.0);
            for row in (0..dy.len()).step_by(width * channels) {
                let len = (channels - i).min(S::LANES);
                let row = Column::new(s, dy, Place { first: row + i, step: channels, len, pixels: width });
                sum = s.add(sum, row.sum(s));
            }
            s.write(sums, i, sum);
        }
    }
}

/// `to += sums`.
struct Add<'a> {
    to: &'a mut [f32],
    sums: &'a [f32],
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for i in (0..self.to.len()).step_by(S::LANES) {
            s.write(self.to, i, s.add(s.read(self.to, i), s.read(self.sums, i)));
        }
    }
}
