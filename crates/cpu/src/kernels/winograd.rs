//! 3x3 convolutions by Winograd's F(2x2, 3x3), in 16 products for 2x2 outputs instead of 36 (Lavin and Gray 2016).
//!
//! With tiles d of 4x4 inputs and filters g, the outputs are Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A summed over channels: 16
//! products of matrices, one for each element of the transformed tiles. A task loads images as a direct convolution
//! does, then transforms, multiplies and transforms back a few tiles at a time, so that they stay in the caches.

use std::ops::Range;

use super::conv::Conv;
use super::cut::Cut;
use super::load::{BLOCK, Load, LoadTile, Tile};
use super::numbers::{NumbersMut, SharedNumbers};
use super::pack::{Panels, Weights};
use super::pointer::Parts;
use super::store::Store;
use super::tile::{products, store};
use crate::{Kernel, Level, Pool, Scratch, Simd};

/// Elements of a transformed tile.
pub(super) const ELEMENTS: usize = 16;

/// Tiles that are multiplied together: a multiple of every level's rows.
const TILES: usize = 32;

/// Whether a convolution of images of this size is done this way: not where tiles or vectors would be mostly empty.
pub(super) fn suits(shape: Conv, weights: &Weights) -> bool {
    let (cin, cout) = weights.channels();
    shape.taps == 9 && shape.h.is_multiple_of(2) && shape.w.is_multiple_of(2) && cin.min(cout) >= BLOCK
}

/// `out = store(load(x) * weights)`, for what [`suits`].
pub(super) fn run(
    pool: &mut Pool,
    shape: Conv,
    load: &Load,
    weights: Weights,
    store: &Store,
    out: NumbersMut,
) {
    let (cin, _) = weights.channels();
    let (mut workers, shared) = pool.split();
    let (level, lanes) = (workers.level, workers.level.lanes());
    let panels = weights.panels(lanes);
    let width = 2 * lanes;
    let [filters] = shared.take([panels.count() * ELEMENTS * cin * width]);
    let (parts, blocks) = (Parts::new(&mut *filters), cin.div_ceil(BLOCK));
    workers.run(panels.count() * blocks, |task, scratch| {
        let (panel, block) = (task / blocks, task % blocks);
        let width = panels.vectors(panel) * lanes;
        let depth = (cin - block * BLOCK).min(BLOCK);
        let [packed] = scratch.take([9 * depth * width]);
        weights.pack_block(level, lanes, [panel, block], packed);
        for element in 0..ELEMENTS {
            let start = (panel * ELEMENTS * 2 * lanes + element * width) * cin + block * BLOCK * width;
            // SAFETY: each task writes the rows of its own panel and block.
            let rows = unsafe { parts.range(start, depth * width) };
            level.run(TransformFilter { packed, element, rows });
        }
    });
    let cut = Cut::new(shape, cin, panels, 2, workers.threads());
    let out = out.share();
    workers.run(cut.tasks(), |task, scratch| {
        Task { shape, cin, panels, load, filters, store, out, cut, index: task }.run(level, scratch);
    });
}

/// One element of G g Gᵀ for the filters of a panel and block: `packed` is `[tap][channel][width]`.
struct TransformFilter<'a> {
    packed: &'a [f32],
    element: usize,
    rows: &'a mut [f32],
}

/// G of F(2, 3).
const G: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

impl Kernel for TransformFilter<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (down, across) = (G[self.element / 4], G[self.element % 4]);
        let len = self.rows.len();
        for i in (0..len).step_by(S::LANES) {
            let mut sum = s.splat(0.0);
            for (tap, factor) in (0..9).map(|tap| (tap, down[tap / 3] * across[tap % 3])) {
                if factor != 0.0 {
                    sum = s.fma(s.read(self.packed, tap * len + i), s.splat(factor), sum);
                }
            }
            s.write(self.rows, i, sum);
        }
    }
}

/// Some samples or a band of one, and some panels.
struct Task<'a> {
    shape: Conv,
    cin: usize,
    panels: Panels,
    load: &'a Load<'a>,
    /// `[panel][element][channel][channel of the panel]`
    filters: &'a [f32],
    store: &'a Store<'a>,
    out: SharedNumbers<'a>,
    cut: Cut,
    index: usize,
}

/// What a task has loaded.
struct Loaded<'a> {
    tile: Tile,
    pixels: &'a [f32],
    /// The first sample.
    first: usize,
    /// The first row of the samples.
    top: usize,
    panels: Range<usize>,
}

impl Task<'_> {
    fn run(&self, level: Level, scratch: &mut Scratch) {
        let Conv { h, w, .. } = self.shape;
        let (samples, [top, bottom], part) = self.cut.task(self.index, self.shape);
        let tile = Tile { border: 1, rows: bottom - top, w, channels: self.cin };
        let [pixels, room, inputs, sums] = scratch.take([
            samples.len() * tile.len(),
            self.load.row_len(w),
            ELEMENTS * inputs_step(tile),
            ELEMENTS * sums_step(2 * level.lanes()),
        ]);
        for (sample, to) in samples.clone().zip(pixels.chunks_exact_mut(tile.len())) {
            level.run(LoadTile { tile, load: self.load, sample, first: top, h, to, room });
        }
        let panels = self.cut.panels(part, self.panels);
        let loaded = &Loaded { tile, pixels, first: samples.start, top, panels };
        let tiles = samples.len() * tile.rows * w / 4;
        for first in (0..tiles).step_by(TILES) {
            let count = TILES.min(tiles - first);
            level.run(Chunk { task: self, loaded, first, count, inputs, sums });
        }
    }
}

/// A few tiles of a task.
struct Chunk<'a, 'b> {
    task: &'a Task<'a>,
    loaded: &'a Loaded<'a>,
    first: usize,
    count: usize,
    /// `[element][block][tile][BLOCK]`
    inputs: &'b mut [f32],
    /// `[element][tile][channel of the panel]`
    sums: &'b mut [f32],
}

impl Kernel for Chunk<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        self.transform_inputs(s);
        for panel in self.loaded.panels.clone() {
            match (S::ROWS, self.task.panels.vectors(panel)) {
                (8, 2) => self.panel::<S, 8, 2>(s, panel),
                (8, _) => self.panel::<S, 8, 1>(s, panel),
                (_, 2) => self.panel::<S, 4, 2>(s, panel),
                _ => self.panel::<S, 4, 1>(s, panel),
            }
        }
    }
}

impl Chunk<'_, '_> {
    /// Sample, row and column of a tile, the sample counted from the task's first; in tiles.
    #[inline(always)]
    fn place(&self, tile: usize) -> [usize; 3] {
        let Tile { rows, w, .. } = self.loaded.tile;
        let [down, across] = [rows / 2, w / 2];
        [tile / (down * across), tile / across % down, tile % across]
    }

    /// Bᵀ d B of all tiles, a run of neighbours after the other.
    #[inline(always)]
    fn transform_inputs<S: Simd>(&mut self, s: S) {
        let tile = self.loaded.tile;
        let mut done = 0;
        while done < self.count {
            let [sample, y, x] = self.place(self.first + done);
            let run = (tile.w / 2 - x).min(self.count - done);
            for block in 0..tile.blocks() {
                let from = sample * tile.len() + block * tile.plane() + 2 * y * tile.row() + 2 * x * BLOCK;
                let to = (block * TILES + done) * BLOCK;
                for i in (0..BLOCK).step_by(S::LANES) {
                    let (from, to) = (&self.loaded.pixels[from + i..], &mut self.inputs[to + i..]);
                    transform_run(s, tile.row(), run, from, to, inputs_step(tile));
                }
            }
            done += run;
        }
    }

    #[inline(always)]
    fn panel<S: Simd, const Q: usize, const N: usize>(&mut self, s: S, panel: usize) {
        let (width, cin, blocks) = (N * S::LANES, self.task.cin, self.loaded.tile.blocks());
        let filters = &self.task.filters[panel * ELEMENTS * cin * 2 * S::LANES..][..ELEMENTS * cin * width];
        for (element, filters) in filters.chunks_exact(cin * width).enumerate() {
            let inputs = &self.inputs[element * inputs_step(self.loaded.tile)..];
            let sums = &mut self.sums[element * sums_step(width)..];
            for first in (0..self.count).step_by(Q) {
                let mut acc = [[[s.splat(0.0); N]; Q]; 1];
                for block in 0..blocks {
                    let from = inputs[(block * TILES + first) * BLOCK..].as_ptr();
                    let depth = (cin - block * BLOCK).min(BLOCK);
                    let filters = filters[block * BLOCK * width..][..depth * width].as_ptr();
                    // SAFETY: `Q` tiles of the chunk, as `TILES` is a multiple of `Q`, and `depth` rows of filters.
                    unsafe {
                        // The count of a full block is a constant, so that its loop is unrolled.
                        match depth == BLOCK {
                            true => products::<S, 1, Q, N, BLOCK>(s, BLOCK, ([from], 1), filters, &mut acc),
                            false => products::<S, 1, Q, N, BLOCK>(s, depth, ([from], 1), filters, &mut acc),
                        }
                    }
                }
                store(s, &acc, &mut sums[first * width..]);
            }
        }
        for tile in 0..self.count {
            self.finish::<S, N>(s, panel, tile);
        }
    }

    /// Aᵀ m A of a tile, and its four pixels written.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // a vector of four pixels
    fn finish<S: Simd, const N: usize>(&self, s: S, panel: usize, tile: usize) {
        let Task { shape, panels, store, out, .. } = self.task;
        let sums = &self.sums[tile * N * S::LANES..];
        let step = sums_step(N * S::LANES);
        assert!(sums.len() >= (ELEMENTS - 1) * step + N * S::LANES);
        let mut pixels = [[s.splat(0.0); N]; 4];
        for j in 0..N {
            let mut columns = [[s.splat(0.0); 2]; 4];
            for (x, column) in columns.iter_mut().enumerate() {
                // SAFETY: asserted above.
                unsafe {
                    let m = sums.as_ptr().add(x * step + j * S::LANES);
                    let [m0, m1] = [s.load(m), s.load(m.add(4 * step))];
                    let [m2, m3] = [s.load(m.add(8 * step)), s.load(m.add(12 * step))];
                    *column = restore(s, [m0, m1, m2, m3]);
                }
            }
            for y in 0..2 {
                let row = restore(s, [columns[0][y], columns[1][y], columns[2][y], columns[3][y]]);
                (pixels[2 * y][j], pixels[2 * y + 1][j]) = (row[0], row[1]);
            }
        }
        let [sample, y, x] = self.place(self.first + tile);
        let sample = self.loaded.first + sample;
        let (channel, real, cout) = (panels.start(panel), panels.real(panel), panels.channels);
        for (i, sums) in pixels.iter().enumerate() {
            let (y, x) = (self.loaded.top + 2 * y + i / 2, 2 * x + i % 2);
            let at = ((sample * shape.h + y) * shape.w + x) * cout + channel;
            // SAFETY: pixels of this task and channels of this panel, which no other task has.
            let out = unsafe { out.range(at, real) };
            store.write(s, sums, [sample, cout, channel, at], out);
        }
    }
}

/// Floats from one element of all inputs to the next: not a power of two, as those share few places of a cache.
fn inputs_step(tile: Tile) -> usize {
    (tile.blocks() * TILES + 1) * BLOCK
}

/// Floats from one element of all sums to the next.
fn sums_step(width: usize) -> usize {
    TILES * width + BLOCK
}

/// Bᵀ d B of a run of neighbouring tiles, which share two of their four columns: `from` holds blocks of channels whose
/// rows are `row` apart, and the elements of what is written to `to` are `step` apart.
#[inline(always)]
pub(super) fn transform_run<S: Simd>(
    s: S,
    row: usize,
    run: usize,
    from: &[f32],
    to: &mut [f32],
    step: usize,
) {
    assert!(from.len() >= 3 * row + (2 * run + 1) * BLOCK + S::LANES);
    assert!(to.len() >= (ELEMENTS - 1) * step + (run - 1) * BLOCK + S::LANES);
    // SAFETY: asserted above.
    unsafe {
        let mut from = from.as_ptr();
        let mut left = [column(s, from, row), column(s, from.add(BLOCK), row)];
        for t in 0..run {
            from = from.add(2 * BLOCK);
            let right = [column(s, from, row), column(s, from.add(BLOCK), row)];
            let to = to.as_mut_ptr().add(t * BLOCK);
            for y in 0..4 {
                let row = transform(s, [left[0][y], left[1][y], right[0][y], right[1][y]]);
                for (x, value) in row.iter().enumerate() {
                    s.store(to.add((4 * y + x) * step), *value);
                }
            }
            left = right;
        }
    }
}

/// Bᵀ d of one column of a tile, whose rows are `row` apart.
///
/// # Safety
/// Four vectors must be there.
#[inline(always)]
unsafe fn column<S: Simd>(s: S, from: *const f32, row: usize) -> [S::F; 4] {
    // SAFETY: the caller's promise.
    let d = unsafe {
        [s.load(from), s.load(from.add(row)), s.load(from.add(2 * row)), s.load(from.add(3 * row))]
    };
    transform(s, d)
}

/// Bᵀ d.
#[inline(always)]
fn transform<S: Simd>(s: S, d: [S::F; 4]) -> [S::F; 4] {
    [s.sub(d[0], d[2]), s.add(d[1], d[2]), s.sub(d[2], d[1]), s.sub(d[1], d[3])]
}

/// Aᵀ m.
#[inline(always)]
fn restore<S: Simd>(s: S, m: [S::F; 4]) -> [S::F; 2] {
    [s.add(s.add(m[0], m[1]), m[2]), s.sub(s.sub(m[1], m[2]), m[3])]
}
