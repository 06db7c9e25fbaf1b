//! Gradients of weights as sums of outer products: the numbers that a pixel's sums were made of, and its gradient.
//!
//! 1x1 convolutions multiply pixels with pixels. 3x3 ones with few channels on a side multiply the pixels of the other
//! side with rows of taps of this one, whose numbers lie together in an image: with three rows of three neighbours of
//! the input, or, the taps from last to first, of the gradient. Pixels are taken a few at a time, which stay in the
//! first-level cache for all weights.

use std::ops::Range;

use super::{Samples, by_sample, share};
use crate::kernels::band::{Band, Pixels};
use crate::kernels::conv::Conv;
use crate::kernels::load::{BLOCK, Load, Source};
use crate::kernels::pack::Panels;
use crate::kernels::pointer::Parts;
use crate::kernels::tile::spread_products;
use crate::{Kernel, Level, Pool, Scratch, Simd};

/// Pixels that are taken at a time, about.
const PIXELS: usize = 128;

pub(super) fn suits(shape: Conv) -> bool {
    shape.taps == 1 || shape.cin.min(shape.cout) < BLOCK
}

/// `dw += Σ load(x) · dy`, for what [`suits`].
pub(super) fn run(pool: &mut Pool, shape: Conv, of: Samples, dw: &mut [f32]) {
    let gradients = [Source { x: of.dy, channels: shape.cout }];
    let dy = Load::plain(&gradients);
    if shape.taps == 1 || shape.cin < BLOCK {
        return Sum { shape, of, taps: of.load, pixels: &dy }.run(pool, dw);
    }
    // The weights are exchanged with those of the convolution whose input were the gradients.
    let (cin, cout) = (shape.cin, shape.cout);
    let exchanged = |i: usize| {
        let (tap, from, to) = (i / (cin * cout), i / cin % cout, i % cin);
        ((8 - tap) * cin + to) * cout + from
    };
    let mut sums: Vec<f32> = (0..dw.len()).map(|i| dw[exchanged(i)]).collect();
    Sum { shape, of, taps: &dy, pixels: of.load }.run(pool, &mut sums);
    sums.iter().enumerate().for_each(|(i, sum)| dw[exchanged(i)] = *sum);
}

/// Numbers from one pixel to the next: not multiples of 1 KB, as those share few places of a cache.
fn step(channels: usize) -> usize {
    if channels.is_multiple_of(256) { channels + BLOCK } else { channels }
}

/// The products of the rows of taps of some images with the pixels of others.
#[derive(Clone, Copy)]
struct Sum<'a> {
    shape: Conv,
    of: Samples<'a>,
    taps: &'a Load<'a>,
    pixels: &'a Load<'a>,
}

impl Sum<'_> {
    fn run(&self, pool: &mut Pool, dw: &mut [f32]) {
        let Conv { n, h, w, .. } = self.shape;
        let (level, threads) = (pool.level(), pool.threads());
        let tiles = self.tiles(level);
        if 2 * dw.len() <= h * w * (self.taps.channels() + self.pixels.channels()) {
            return by_sample(pool, n, dw, |sample, to, scratch| {
                to.fill(0.0);
                self.add(level, (sample..sample + 1, 0..tiles), Parts::new(to), scratch);
                // SAFETY: one task per sample.
                unsafe { self.of.sum_pixels(level, self.shape, sample) };
            });
        }
        let (parts, dw) = (threads.min(tiles), Parts::new(dw));
        pool.run(parts, |part, scratch| {
            self.add(level, (0..n, share(tiles, part, parts)), dw, scratch);
            for sample in share(n, part, parts) {
                // SAFETY: each sample is of one part.
                unsafe { self.of.sum_pixels(level, self.shape, sample) };
            }
        });
    }

    /// Taps down, and the numbers of a row of them.
    fn depth(&self) -> [usize; 2] {
        let side = if self.shape.taps == 9 { 3 } else { 1 };
        [side, side * self.taps.channels()]
    }

    fn panels(&self, level: Level) -> Panels {
        Panels { channels: self.pixels.channels(), lanes: level.lanes() }
    }

    /// Tiles of the weights that are summed in registers.
    fn tiles(&self, level: Level) -> usize {
        let [rows, depth] = self.depth();
        self.panels(level).count() * rows * depth.div_ceil(level.rows())
    }

    /// Adds the products of some samples to some tiles.
    fn add(
        &self,
        level: Level,
        (samples, tiles): (Range<usize>, Range<usize>),
        to: Parts<f32>,
        scratch: &mut Scratch,
    ) {
        let Conv { h, w, taps, .. } = self.shape;
        let together = (PIXELS / (h * w)).clamp(1, samples.len().max(1));
        let height = (PIXELS / w).clamp(1, h);
        for first in samples.clone().step_by(together) {
            for top in (0..h).step_by(height) {
                let band = |border, channels| Band {
                    samples: first..(first + together).min(samples.end),
                    rows: [top, (top + height).min(h)],
                    border,
                    size: [h, w],
                    channels,
                    step: step(channels),
                };
                let bands =
                    [band(usize::from(taps == 9), self.taps.channels()), band(0, self.pixels.channels())];
                let [a, b, room] = scratch.take([
                    bands[0].len(),
                    bands[1].len(),
                    self.taps.row_len(w).max(self.pixels.row_len(w)),
                ]);
                let taps = bands[0].pixels(level, self.taps, a, room);
                let pixels = bands[1].pixels(level, self.pixels, b, room);
                let (depth, panels, tiles) = (self.depth(), self.panels(level), tiles.clone());
                level.run(Outer { taps, depth, pixels, panels, tiles, to });
            }
        }
    }
}

/// Adds the products of a few pixels to some tiles of weights.
struct Outer<'a> {
    taps: Pixels<'a>,
    /// Of [`Sum::depth`].
    depth: [usize; 2],
    pixels: Pixels<'a>,
    panels: Panels,
    /// Of all tiles: panel after panel, then row after row of taps.
    tiles: Range<usize>,
    /// `[row of taps][number of the row][channel]`
    to: Parts<'a, f32>,
}

impl Kernel for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let [rows, depth] = self.depth;
        let read = self.taps.last(rows) + depth.next_multiple_of(S::ROWS);
        assert!(read <= self.taps.values.len(), "taps outside of what was loaded");
        let read = self.pixels.last(1) + self.panels.channels.next_multiple_of(S::LANES);
        assert!(read <= self.pixels.values.len(), "pixels outside of what was loaded");
        let groups = depth.div_ceil(S::ROWS);
        for tile in self.tiles.clone() {
            let panel = tile / (rows * groups);
            let place = [panel, tile / groups % rows, tile % groups * S::ROWS];
            match (S::ROWS, self.panels.vectors(panel)) {
                (8, 2) => self.tile::<S, 8, 2>(s, place),
                (8, _) => self.tile::<S, 8, 1>(s, place),
                (_, 2) => self.tile::<S, 4, 2>(s, place),
                _ => self.tile::<S, 4, 1>(s, place),
            }
        }
    }
}

impl Outer<'_> {
    /// Adds to the weights of a panel, from a number `first` of a row of taps on.
    #[inline(always)]
    fn tile<S: Simd, const Q: usize, const N: usize>(&self, s: S, [panel, row, first]: [usize; 3]) {
        let (real, channel) = (Q.min(self.depth[1] - first), self.panels.start(panel));
        let weights = |q: usize| {
            let at = (row * self.depth[1] + first + q) * self.panels.channels + channel;
            // SAFETY: a tile of this task, which no other has, and one row at a time.
            unsafe { self.to.range(at, self.panels.real(panel)) }
        };
        let [samples, lines, width] = match self.depth[0] {
            1 => [1, 1, self.taps.samples * self.taps.count()], // without a border they lie one after the other
            _ => [self.taps.samples, self.taps.size[0], self.taps.size[1]],
        };
        let mut acc = [[[s.splat(0.0); N]; Q]; 1];
        for (q, sums) in acc[0].iter_mut().enumerate() {
            if q < real {
                let weights = weights(q);
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = s.read(weights, j * S::LANES);
                }
            }
        }
        for sample in 0..samples {
            for y in 0..lines {
                let x =
                    &self.taps.values[sample * self.taps.steps[0] + (y + row) * self.taps.steps[1] + first..];
                let dy = &self.pixels.values[(sample * lines + y) * width * self.pixels.steps[2] + channel..];
                let (from, vectors) =
                    (([x.as_ptr()], self.taps.steps[2]), (dy.as_ptr(), self.pixels.steps[2]));
                // SAFETY: asserted in `run`.
                unsafe { spread_products::<S, 1, Q, N, 1>(s, width, from, vectors, &mut acc) };
            }
        }
        for (q, sums) in acc[0].iter().enumerate() {
            if q < real {
                let weights = weights(q);
                for (j, sum) in sums.iter().enumerate() {
                    s.write(weights, j * S::LANES, *sum);
                }
            }
        }
    }
}
