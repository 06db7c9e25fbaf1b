//! The gradients of a convolution's weights and bias.
//!
//! Each sample's gradient is summed over its pixels in registers and then added to the total, sample after sample.
//! Where there are few weights a task takes a whole sample and leaves its gradient aside to be added up; where there
//! are many, samples are loaded for all threads to see, and a task takes a few weights through all samples.

use super::conv::Conv;
use super::load::{BLOCK, Load, LoadTile, Tile};
use super::pack::Panels;
use super::pointer::Parts;
use super::tile::products;
use crate::{Kernel, Level, Pool, Simd};

/// Floats of samples that are loaded before their weights are computed.
const WAVE: usize = 1 << 20;

/// The gradient of a convolution's output.
#[derive(Clone, Copy)]
pub struct Gradient<'a> {
    /// `[n, h, w, cout]`
    pub dy: &'a [f32],
    /// A constant factor, 1 for none.
    pub scale: f32,
}

/// `dw[tap][cin][cout] += Σ load(x) · dy` and `db[cout] += Σ dy`.
pub fn conv_weight_gradient(
    pool: &mut Pool,
    shape: Conv,
    load: &Load,
    gradient: Gradient,
    dw: &mut [f32],
    db: Option<&mut [f32]>,
) {
    shape.check(dw);
    load.check(shape.n, shape.h, shape.w);
    assert_eq!(load.channels(), shape.cin, "channels of the input of {shape:?}");
    assert_eq!(gradient.dy.len(), shape.pixels() * shape.cout, "the gradient of {shape:?}");
    assert!(
        db.as_ref().is_none_or(|db| db.len() == shape.cout),
        "a bias for each of {} channels",
        shape.cout
    );
    let layout = Layout::new(shape, pool.level());
    let total = Total { dw: Parts::new(dw), db: db.map(Parts::new) };
    if layout.weights() <= layout.loaded() / 2 {
        by_sample(pool, layout, load, gradient, total);
    } else {
        by_weight(pool, layout, load, gradient, total);
    }
}

/// Where the gradients go.
#[derive(Clone, Copy)]
struct Total<'a> {
    dw: Parts<'a, f32>,
    db: Option<Parts<'a, f32>>,
}

/// A task for each sample of a wave, then the sum over samples.
fn by_sample(pool: &mut Pool, layout: Layout, load: &Load, gradient: Gradient, total: Total) {
    let (mut workers, shared) = pool.split();
    let (level, shape) = (workers.level, layout.shape);
    let wave = (WAVE / layout.weights()).clamp(workers.threads(), shape.n.max(workers.threads()));
    let [partials] = shared.take([wave * layout.weights()]);
    for first in (0..shape.n).step_by(wave) {
        let samples = wave.min(shape.n - first);
        let parts = Parts::new(&mut *partials);
        workers.run(samples, |task, scratch| {
            let [loaded, room] = scratch.take([layout.loaded(), load.row_len(shape.w)]);
            // SAFETY: one task per sample.
            let partial = unsafe { parts.range(task * layout.weights(), layout.weights()) };
            let bias = &mut partial[shape.taps * shape.cin * shape.cout..];
            layout.load(level, load, gradient, first + task, [&mut *loaded, bias, room]);
            let to = Parts::new(partial);
            level.run(Weights {
                layout,
                loaded,
                to,
                panels: [0, layout.panels.count()],
                blocks: [0, layout.tile.blocks()],
                add: false,
            });
        });
        let chunk = 4096;
        workers.run(layout.weights().div_ceil(chunk), |task, _| {
            let start = task * chunk;
            let len = chunk.min(layout.weights() - start);
            let partials = partials.chunks_exact(layout.weights()).take(samples);
            partials.for_each(|partial| {
                level.run(Add { layout, total, start, partial: &partial[start..start + len] })
            });
        });
    }
}

/// Samples loaded for all to see, then a task for each panel and block of channels.
fn by_weight(pool: &mut Pool, layout: Layout, load: &Load, gradient: Gradient, total: Total) {
    let (mut workers, shared) = pool.split();
    let (level, shape) = (workers.level, layout.shape);
    let wave = (WAVE / layout.loaded()).clamp(workers.threads(), shape.n.max(workers.threads()));
    let [loaded, biases] = shared.take([wave * layout.loaded(), wave * shape.cout]);
    for first in (0..shape.n).step_by(wave) {
        let samples = wave.min(shape.n - first);
        let (parts, bias_parts) = (Parts::new(&mut *loaded), Parts::new(&mut *biases));
        workers.run(samples, |task, scratch| {
            let [room] = scratch.take([load.row_len(shape.w)]);
            // SAFETY: one task per sample.
            let (loaded, bias) = unsafe {
                (
                    parts.range(task * layout.loaded(), layout.loaded()),
                    bias_parts.range(task * shape.cout, shape.cout),
                )
            };
            layout.load(level, load, gradient, first + task, [&mut *loaded, bias, room]);
        });
        let blocks = layout.tile.blocks();
        workers.run(layout.panels.count() * blocks, |task, _| {
            let (panel, block) = (task / blocks, task % blocks);
            for loaded in loaded.chunks_exact(layout.loaded()).take(samples) {
                let (panels, blocks) = ([panel, panel + 1], [block, block + 1]);
                level.run(Weights { layout, loaded, to: total.dw, panels, blocks, add: true });
            }
        });
        let start = shape.taps * shape.cin * shape.cout;
        for partial in biases.chunks_exact(shape.cout).take(samples) {
            level.run(Add { layout, total, start, partial });
        }
    }
}

/// Where a sample's pixels and its gradient lie once they are loaded.
#[derive(Clone, Copy)]
struct Layout {
    shape: Conv,
    tile: Tile,
    panels: Panels,
}

impl Layout {
    fn new(shape: Conv, level: Level) -> Layout {
        let border = usize::from(shape.taps == 9);
        let tile = Tile { border, rows: shape.h, w: shape.w, channels: shape.cin };
        Layout { shape, tile, panels: Panels { channels: shape.cout, lanes: level.lanes() } }
    }

    fn pixels(&self) -> usize {
        self.shape.h * self.shape.w
    }

    /// Floats of a loaded sample: the tile, then the gradient as `[panel][pixel][channel of the panel]`.
    fn loaded(&self) -> usize {
        self.tile.len() + self.pixels() * self.panels.count() * 2 * self.panels.lanes
    }

    /// Loads one sample and its gradient, and sums the gradient over pixels.
    fn load(&self, level: Level, load: &Load, gradient: Gradient, sample: usize, to: [&mut [f32]; 3]) {
        let ([loaded, bias, room], tile) = (to, self.tile);
        let (x, dy) = loaded.split_at_mut(tile.len());
        level.run(LoadTile { tile, load, sample, first: 0, h: self.shape.h, to: x, room });
        level.run(PackGradient { layout: *self, gradient, sample, dy, bias });
    }

    /// Floats of the gradients of the weights and of the bias.
    fn weights(&self) -> usize {
        (self.shape.taps * self.shape.cin + 1) * self.shape.cout
    }
}

/// Packs one sample's gradient into panels, and sums it over pixels.
struct PackGradient<'a, 'b> {
    layout: Layout,
    gradient: Gradient<'a>,
    sample: usize,
    dy: &'b mut [f32],
    bias: &'b mut [f32],
}

impl Kernel for PackGradient<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Layout { shape, panels, .. } = self.layout;
        let dy = self.dy;
        let pixels = self.layout.pixels();
        let from = &self.gradient.dy[self.sample * pixels * shape.cout..][..pixels * shape.cout];
        for panel in 0..panels.count() {
            let (start, real, width) =
                (panels.start(panel), panels.real(panel), panels.vectors(panel) * S::LANES);
            let to = &mut dy[panel * pixels * 2 * S::LANES..][..pixels * width];
            let mut total = [s.splat(0.0); 2];
            let rows = to.chunks_exact_mut(shape.w * width).zip(from.chunks_exact(shape.w * shape.cout));
            for (to, from) in rows {
                let mut sum = [s.splat(0.0); 2];
                for (to, from) in to.chunks_exact_mut(width).zip(from.chunks_exact(shape.cout)) {
                    let from = &from[start..start + real];
                    for (j, sum) in sum.iter_mut().enumerate().take(width / S::LANES) {
                        let y = s.mul(s.read(from, j * S::LANES), s.splat(self.gradient.scale));
                        s.write(to, j * S::LANES, y);
                        *sum = s.add(*sum, y);
                    }
                }
                total = [s.add(total[0], sum[0]), s.add(total[1], sum[1])];
            }
            for (j, total) in total.into_iter().enumerate().take(width / S::LANES) {
                s.write(&mut self.bias[start..start + real], j * S::LANES, total);
            }
        }
    }
}

/// The weights of some panels and blocks, summed over the pixels of one sample.
struct Weights<'a> {
    layout: Layout,
    loaded: &'a [f32],
    to: Parts<'a, f32>,
    panels: [usize; 2],
    blocks: [usize; 2],
    /// Whether to add to what is there.
    add: bool,
}

impl Kernel for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for panel in self.panels[0]..self.panels[1] {
            for block in self.blocks[0]..self.blocks[1] {
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
    fn block<S: Simd, const Q: usize, const N: usize>(&self, s: S, panel: usize, block: usize) {
        let Layout { shape, tile, panels } = self.layout;
        let side = if shape.taps == 9 { 3 } else { 1 };
        let (start, real) = (panels.start(panel), panels.real(panel));
        let dy = &self.loaded[tile.len() + panel * self.layout.pixels() * 2 * S::LANES..];
        let dy = dy[..self.layout.pixels() * N * S::LANES].as_ptr();
        let x = &self.loaded[block * tile.plane()..][..tile.plane()];
        for tap in 0..shape.taps {
            let (ky, kx) = (tap / side, tap % side);
            let channels = (shape.cin - block * BLOCK).min(BLOCK);
            for first in (0..channels).step_by(Q) {
                let mut acc = [[[s.splat(0.0); N]; Q]; 1];
                for y in 0..shape.h {
                    let row = x[(y + ky) * tile.row() + kx * BLOCK..].as_ptr().wrapping_add(first);
                    let dy = dy.wrapping_add(y * shape.w * N * S::LANES);
                    // SAFETY: a row of pixels inside the tile, and a row of the panel's gradient.
                    unsafe { products::<S, 1, Q, N, 1>(s, shape.w, ([row], BLOCK), dy, &mut acc) };
                }
                for (i, sums) in acc[0].iter().enumerate().take(channels - first) {
                    let at = (tap * shape.cin + block * BLOCK + first + i) * shape.cout + start;
                    // SAFETY: this task's panel and block; nobody else has them.
                    let to = unsafe { self.to.range(at, real) };
                    for (j, sum) in sums.iter().enumerate() {
                        let sum = if self.add { s.add(s.read(to, j * S::LANES), *sum) } else { *sum };
                        s.write(to, j * S::LANES, sum);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add_to<S: Simd>(s: S, sums: &[f32], to: &mut [f32]) {
    for i in (0..to.len()).step_by(S::LANES) {
        s.write(to, i, s.add(s.read(to, i), s.read(sums, i)));
    }
}

/// Adds a stretch of one sample's gradients, weights then bias, to the total.
struct Add<'a> {
    layout: Layout,
    total: Total<'a>,
    start: usize,
    partial: &'a [f32],
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let weights = self.layout.weights() - self.layout.shape.cout;
        let of_weights = weights.saturating_sub(self.start).min(self.partial.len());
        let (dw, db) = self.partial.split_at(of_weights);
        if !dw.is_empty() {
            // SAFETY: one task per stretch.
            add_to(s, dw, unsafe { self.total.dw.range(self.start, dw.len()) });
        }
        if let (Some(total), false) = (self.total.db, db.is_empty()) {
            let start = self.start.max(weights) - weights;
            // SAFETY: one task per stretch.
            add_to(s, db, unsafe { total.range(start, db.len()) });
        }
    }
}
