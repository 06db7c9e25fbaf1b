//! The gradients of a convolution's weights.
//!
//! - 3x3 filters that are not too many are summed over a batch by Winograd's algorithm (`transformed.rs`).
//! - Weights of one tap, or of few channels, are sums of products of pixels (`outer.rs`).
//! - Others are summed sample by sample, on images of some size by Winograd's algorithm (`winograd.rs`), else product by
//!   product (`direct.rs`). Where they are few beside the samples a task takes a sample, and what it makes is left aside to
//!   be added up in their order; else samples are loaded for all threads to see, and a task takes a few weights through all.

mod direct;
mod outer;
pub mod transformed;
mod winograd;

use std::ops::Range;

use super::column::{Column, Place};
use super::conv::Conv;
use super::load::{BLOCK, Load, Tile};
use super::numbers::Numbers;
use super::pack::Panels;
use super::pointer::Parts;
use super::winograd::transforms::{ELEMENTS, OUTPUTS};
use crate::{Kernel, Level, Pool, Scratch, Simd};
use transformed::To;

/// Floats of samples that are loaded before their weights are computed.
const WAVE: usize = 1 << 18;

/// `dw[tap][cin][cout] += Σ load(x) · dy`, with `dy[n, h, w, cout]` the gradient of the convolution's output, and if asked
/// `pixel_sums[n, cout]`, of `dy` over pixels.
pub fn conv_weight_gradient<'a>(
    pool: &mut Pool,
    shape: Conv,
    load: &'a Load<'a>,
    dy: impl Into<Numbers<'a>>,
    dw: &mut [f32],
    pixel_sums: Option<&'a mut [f32]>,
) {
    shape.check(dw);
    let of = Samples::new(shape, load, dy, pixel_sums);
    if transformed::suits(shape) {
        return transformed::run(pool, shape, of, To::Weights(dw));
    }
    if outer::suits(shape) {
        return outer::run(pool, shape, of, dw);
    }
    let layout = Layout::new(shape, pool.level());
    if !layout.has_few_weights() {
        return by_weight(pool, layout, of, Parts::new(dw));
    }
    let level = pool.level();
    by_sample(pool, shape.n, dw, |sample, to, scratch| {
        let [loaded, room, sums] = scratch.take([layout.loaded(), layout.room(load), layout.sums()]);
        // SAFETY: one task per sample.
        unsafe { layout.load(level, of, sample, [&mut *loaded, room]) };
        let (panels, blocks) = (0..layout.panels.count(), 0..layout.tile.blocks());
        level.run(Weights { layout, loaded, to: Parts::new(to), panels, blocks, add: false, sums });
    });
}

/// What is read of samples, and what is made of each of them alone.
#[derive(Clone, Copy)]
struct Samples<'a> {
    load: &'a Load<'a>,
    dy: Numbers<'a>,
    /// `[n, cout]`
    pixel_sums: Option<Parts<'a, f32>>,
}

impl<'a> Samples<'a> {
    /// Panics unless everything is of this shape.
    fn new(
        shape: Conv,
        load: &'a Load<'a>,
        dy: impl Into<Numbers<'a>>,
        pixel_sums: Option<&'a mut [f32]>,
    ) -> Self {
        let dy = dy.into();
        load.check(shape.n, shape.h, shape.w);
        assert_eq!(load.channels(), shape.cin, "channels of the input of {shape:?}");
        assert_eq!(dy.len(), shape.pixels() * shape.cout, "the gradient of {shape:?}");
        if let Some(sums) = &pixel_sums {
            assert_eq!(sums.len(), shape.n * shape.cout, "the sums over pixels of {shape:?}");
        }
        Samples { load, dy, pixel_sums: pixel_sums.map(Parts::new) }
    }

    /// The gradient of a sample.
    fn gradient(&self, shape: Conv, sample: usize) -> Numbers<'a> {
        let len = shape.h * shape.w * shape.cout;
        self.dy.range(sample * len, len)
    }

    /// Sums the gradient of a sample over its pixels, if that is asked for.
    ///
    /// # Safety
    /// Nobody else may write to the sums of the sample.
    unsafe fn sum_pixels(&self, level: Level, shape: Conv, sample: usize) {
        if let Some(sums) = self.pixel_sums {
            // SAFETY: promised.
            let sums = unsafe { sums.range(sample * shape.cout, shape.cout) };
            level.run(SumPixels { dy: self.gradient(shape, sample), width: shape.w, sums });
        }
    }
}

/// A task for each sample of a wave, which writes the weights of that sample, then the sum over samples.
fn by_sample(
    pool: &mut Pool,
    n: usize,
    dw: &mut [f32],
    task: impl Fn(usize, &mut [f32], &mut Scratch) + Sync,
) {
    let (mut workers, shared) = pool.split();
    let (level, weights, dw) = (workers.level, dw.len(), Parts::new(dw));
    let wave = (WAVE / weights).clamp(workers.threads(), n.max(workers.threads()));
    let [partials] = shared.take([wave * weights]);
    for first in (0..n).step_by(wave) {
        let samples = wave.min(n - first);
        let parts = Parts::new(&mut *partials);
        workers.run(samples, |index, scratch| {
            // SAFETY: one task per sample.
            task(first + index, unsafe { parts.range(index * weights, weights) }, scratch);
        });
        let chunk = 4096;
        workers.run(weights.div_ceil(chunk), |task, _| {
            let start = task * chunk;
            let len = chunk.min(weights - start);
            // SAFETY: one task per stretch.
            let to = unsafe { dw.range(start, len) };
            for partial in partials.chunks_exact(weights).take(samples) {
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
            unsafe {
                let loaded = parts.range(task * layout.loaded(), layout.loaded());
                layout.load(level, of, first + task, [loaded, room]);
            }
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
        let winograd = winograd::suits(shape);
        // Products with a border of zeros are left out where each is computed.
        let [border, step] = if winograd { [1, OUTPUTS] } else { [0, 1] };
        let tile = Tile { border, rows: shape.h, w: shape.w, step, skipped: 0, channels: shape.cin };
        let panels = Panels { channels: shape.cout, lanes: level.lanes() };
        Layout { shape, tile, panels, winograd }
    }

    fn pixels(&self) -> usize {
        self.shape.h * self.shape.w
    }

    fn weights(&self) -> usize {
        9 * self.shape.cin * self.shape.cout
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
        let (load, dy) = (of.load, of.gradient(self.shape, sample));
        match self.winograd {
            true => self.load_transformed(level, load, dy, sample, [to, room]),
            false => self.load_directly(level, load, dy, sample, [to, room]),
        }
        // SAFETY: promised.
        unsafe { of.sum_pixels(level, self.shape, sample) };
    }
}

/// Which of `count` things one of some shares has.
fn share(count: usize, index: usize, shares: usize) -> Range<usize> {
    index * count / shares..(index + 1) * count / shares
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
