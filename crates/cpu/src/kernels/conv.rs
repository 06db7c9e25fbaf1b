//! Convolutions 3x3 and 1x1 with "same" zero padding, and the gradients of their inputs.
//!
//! A task loads some samples, or a band of rows of one, into a tile with a border, blocks of 16 channels outermost, so
//! that neighbouring pixels are a constant distance apart. Then each panel of output channels (two vectors) is
//! computed for a few pixels at a time, all products of an output in one register and always in the same order.

use super::column::Place;
use super::cut::Cut;
use super::load::{BLOCK, Load, LoadTile, Tile};
use super::norm::Written;
use super::numbers::{NumbersMut, SharedNumbers};
use super::pack::{Direct, Weights, run_with};
use super::store::Store;
use super::tile::{Registers, products, restore, store};
use super::winograd;
use crate::{Kernel, Level, Pool, Scratch, Simd};

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

/// Products of an output that are summed in one pass: their weights for two vectors are 18 KB.
const PASS_PRODUCTS: usize = 144;

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
    let (mut workers, shared) = pool.split();
    let level = workers.level;
    let cut = Cut::new(shape, cin, weights.panels(level.lanes()), 1, workers.threads());
    let (packing, out) = (Direct { weights, level }, out.share());
    let written = Written { shape, channels: cout, out, statistics: store.statistics };
    run_with(&packing, (&mut workers, shared), (cut.tasks(), cut.has_parts()), |index, packed, scratch| {
        Task { shape, load, weights, packed, store, out, cut, index }.run(level, scratch);
        written.after_task(level, cut, index, scratch);
    });
    written.after_all(&mut workers, cut);
}

/// One task: some samples or a band, and some panels.
struct Task<'a> {
    shape: Conv,
    load: &'a Load<'a>,
    weights: Weights<'a>,
    packed: &'a [f32],
    store: &'a Store<'a>,
    out: SharedNumbers<'a>,
    cut: Cut,
    index: usize,
}

/// Where a task's loaded pixels are and what becomes of them.
struct Job<'a> {
    tile: Tile,
    loaded: &'a [f32],
    /// Pixels of the whole output before this task's.
    before: usize,
    pixels: usize,
    /// Pixels of a sample in this task, and the first sample.
    per_sample: usize,
    first: usize,
}

impl Task<'_> {
    fn run(&self, level: Level, scratch: &mut Scratch) {
        let Conv { h, w, taps, .. } = self.shape;
        let (samples, [top, bottom], part) = self.cut.task(self.index, self.shape);
        let border = usize::from(taps == 9);
        let tile = Tile { border, rows: bottom - top, w, step: 1, channels: self.weights.channels().0 };
        let pixels = samples.len() * tile.rows * w;
        let partial = pixels.next_multiple_of(level.rows()) * 2 * level.lanes();
        let [loaded, room, partial] =
            scratch.take([samples.len() * tile.len(), self.load.row_len(w), partial]);
        let first = samples.start;
        for (sample, to) in samples.zip(loaded.chunks_exact_mut(tile.len())) {
            level.run(LoadTile { tile, load: self.load, sample, first: top, h, to, room });
        }
        let before = (first * h + top) * w;
        let job = &Job { tile, loaded, before, pixels, per_sample: tile.rows * w, first };
        let panels = self.weights.panels(level.lanes());
        for panel in self.cut.panels(part, panels) {
            let width = panels.vectors(panel) * level.lanes();
            let partial = &mut partial[..pixels.next_multiple_of(level.rows()) * width];
            level.run(Panel { task: self, job, panel, partial });
        }
    }
}

/// One panel of a task.
struct Panel<'a, 'b> {
    task: &'a Task<'a>,
    job: &'a Job<'a>,
    panel: usize,
    /// Sums that wait for the next pass.
    partial: &'b mut [f32],
}

impl Kernel for Panel<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.task.panel(s, self.job, self.panel, self.partial);
    }
}

impl Task<'_> {
    /// Runs of neighbouring pixels make a tile of `S::ROWS`: one run, two, or single pixels.
    #[inline(always)]
    fn panel<S: Simd>(&self, s: S, job: &Job, panel: usize, partial: &mut [f32]) {
        let wide = self.weights.panels(S::LANES).vectors(panel) == 2;
        let w = self.shape.w;
        match (S::ROWS, wide) {
            (8, true) if w.is_multiple_of(8) => self.passes::<S, 1, 8, 2>(s, job, panel, partial),
            (8, true) if w.is_multiple_of(4) => self.passes::<S, 2, 4, 2>(s, job, panel, partial),
            (8, true) => self.passes::<S, 8, 1, 2>(s, job, panel, partial),
            (8, false) if w.is_multiple_of(8) => self.passes::<S, 1, 8, 1>(s, job, panel, partial),
            (8, false) => self.passes::<S, 8, 1, 1>(s, job, panel, partial),
            (_, true) if w.is_multiple_of(4) => self.passes::<S, 1, 4, 2>(s, job, panel, partial),
            (_, true) => self.passes::<S, 4, 1, 2>(s, job, panel, partial),
            (_, false) => self.passes::<S, 4, 1, 1>(s, job, panel, partial),
        }
    }

    /// One panel for all pixels of the task, `R` runs of `Q` pixels at a time, `N` vectors wide, in passes over as many
    /// blocks of channels as have their weights in the first-level cache.
    #[inline(always)]
    fn passes<S: Simd, const R: usize, const Q: usize, const N: usize>(
        &self,
        s: S,
        job: &Job,
        panel: usize,
        partial: &mut [f32],
    ) {
        let width = N * S::LANES;
        let weights =
            &self.packed[panel * self.weights.depth() * 2 * S::LANES..][..self.weights.depth() * width];
        let (blocks, together) = (job.tile.blocks(), PASS_PRODUCTS.div_ceil(self.weights.taps * BLOCK));
        for first in (0..blocks).step_by(together) {
            let end = (first + together).min(blocks);
            let weights = &weights[first * BLOCK * self.weights.taps * width..];
            for (index, partial) in partial.chunks_exact_mut(R * Q * width).enumerate() {
                let start = index * R * Q;
                let from = self.runs::<R, Q>(job, start);
                let mut acc = [[[s.splat(0.0); N]; Q]; R];
                if first > 0 {
                    acc = restore(s, partial);
                }
                // SAFETY: every run lies in the loaded tile, its border included, and `weights` has a row for each.
                unsafe {
                    self.blocks::<S, R, Q, N>(s, &job.tile, [first, end], from, weights.as_ptr(), &mut acc)
                };
                if end < blocks {
                    store(s, &acc, partial);
                } else {
                    self.finish(s, job, panel, start, &acc);
                }
            }
        }
    }

    /// Where the runs of the tile that begins at pixel `start` lie.
    #[inline(always)]
    fn runs<const R: usize, const Q: usize>(&self, job: &Job, start: usize) -> [*const f32; R] {
        let mut from = [job.loaded.as_ptr(); R];
        for (r, from) in from.iter_mut().enumerate() {
            // Runs past the end repeat the last one; nothing of theirs is kept.
            let pixel = (start + r * Q).min(job.pixels - Q);
            let (sample, pixel) = (pixel / job.per_sample, pixel % job.per_sample);
            let (y, x) = (pixel / self.shape.w, pixel % self.shape.w);
            *from = job.loaded[sample * job.tile.len() + y * job.tile.row() + x * BLOCK..].as_ptr();
        }
        from
    }

    /// Adds the products of some blocks: over blocks, taps, and channels of a block, in this order.
    #[inline(always)]
    unsafe fn blocks<S: Simd, const R: usize, const Q: usize, const N: usize>(
        &self,
        s: S,
        tile: &Tile,
        [first, end]: [usize; 2],
        from: [*const f32; R],
        weights: *const f32,
        acc: &mut Registers<S, R, Q, N>,
    ) {
        let mut weights = weights;
        let side = if self.weights.taps == 9 { 3 } else { 1 };
        for block in first..end {
            let depth = (tile.channels - block * BLOCK).min(BLOCK);
            for ky in 0..side {
                for kx in 0..side {
                    let offset = block * tile.plane() + ky * tile.row() + kx * BLOCK;
                    let from = from.map(|from| from.wrapping_add(offset));
                    // SAFETY: the caller's promise; a run with its taps stays inside the border.
                    unsafe {
                        // The count of a full block is a constant, so that its loop is unrolled.
                        match depth == BLOCK {
                            true => products::<S, R, Q, N, BLOCK>(s, BLOCK, (from, 1), weights, acc),
                            false => products::<S, R, Q, N, BLOCK>(s, depth, (from, 1), weights, acc),
                        }
                        weights = weights.add(depth * N * S::LANES);
                    }
                }
            }
        }
    }

    /// Writes the outputs of the tile that begins at pixel `start`.
    #[inline(always)]
    fn finish<S: Simd, const R: usize, const Q: usize, const N: usize>(
        &self,
        s: S,
        job: &Job,
        panel: usize,
        start: usize,
        acc: &Registers<S, R, Q, N>,
    ) {
        let panels = self.weights.panels(S::LANES);
        let (channel, real, cout) = (panels.start(panel), panels.real(panel), panels.channels);
        for (r, run) in acc.iter().enumerate() {
            let pixel = start + r * Q;
            if pixel >= job.pixels {
                return;
            }
            let sample = job.first + pixel / job.per_sample;
            let shift = self.store.shift::<S, N>(s, sample, cout, channel..channel + real);
            for (j, shift) in shift.into_iter().enumerate() {
                let (i, len) = (j * S::LANES, (real - j * S::LANES).min(S::LANES));
                let place =
                    Place { first: (job.before + pixel) * cout + channel + i, step: cout, len, pixels: Q };
                // SAFETY: pixels of this task and channels of this panel, which no other task has.
                let (added, mut out) = (self.store.added(s, place), unsafe { self.out.column(s, place) });
                for (q, sums) in run.iter().enumerate() {
                    self.store.write(s, [sums[j], shift], added, q, &mut out);
                }
            }
        }
    }
}
