//! 3x3 convolutions by Winograd's F(4x4, 3x3), in 36 products for 4x4 outputs instead of 144 (Lavin and Gray 2016).
//!
//! With tiles d of 6x6 inputs and filters g, the outputs are Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A summed over channels: 36
//! products of matrices, one for each element of the transformed tiles. A task loads images as a direct convolution
//! does, then transforms, multiplies and transforms back a few tiles at a time, so that they stay in the caches.
//! Where an image ends within a tile, zeros follow it, and what they make is not written.

mod filters;
pub(super) mod groups;
pub(super) mod transforms;

use std::ops::Range;

use super::column::Place;
use super::conv::Conv;
use super::cut::Cut;
use super::load::{BLOCK, ClearMargins, Load, LoadTile, Tile};
use super::norm::Written;
use super::numbers::{NumbersMut, SharedNumbers};
use super::pack::{Panels, Weights, run_with};
use super::store::Store;
use super::tile::{products, store};
use crate::{Kernel, Level, Pool, Scratch, Simd};
use filters::{Filters, block_len, element_step};
use groups::{GROUP, Groups};
use transforms::{ELEMENTS, OUTPUTS, SIDE};

/// Tiles that are multiplied together.
const TILES: usize = 4 * GROUP;

/// Whether a convolution of images of this size is done this way: not where tiles or vectors would be mostly empty.
pub(super) fn suits(shape: Conv, weights: &Weights) -> bool {
    let (cin, cout) = weights.channels();
    shape.taps == 9 && shape.h.min(shape.w) >= 3 && cin.min(cout) >= BLOCK
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
    let (cin, cout) = weights.channels();
    let (mut workers, shared) = pool.split();
    let (level, lanes) = (workers.level, workers.level.lanes());
    let panels = weights.panels(lanes);
    let cut = Cut::new(shape, cin, panels, OUTPUTS, workers.threads());
    let (packing, out) = (Filters { weights, level }, out.share());
    let written = Written { shape, channels: cout, out, statistics: store.statistics };
    run_with(&packing, (&mut workers, shared), (cut.tasks(), cut.has_parts()), |index, filters, scratch| {
        Task { shape, cin, panels, load, filters, store, out, cut, index }.run(level, scratch);
        written.after_task(level, cut, index, scratch);
    });
    written.after_all(&mut workers, cut);
}

/// Some samples or a band of one, and some panels.
struct Task<'a> {
    shape: Conv,
    cin: usize,
    panels: Panels,
    load: &'a Load<'a>,
    /// By [`Filters`].
    filters: &'a [f32],
    store: &'a Store<'a>,
    out: SharedNumbers<'a>,
    cut: Cut,
    index: usize,
}

/// What a task has loaded.
struct Loaded {
    tile: Tile,
    /// The first sample.
    first: usize,
    /// The first row of the samples.
    top: usize,
    panels: Range<usize>,
}

impl Task<'_> {
    fn run(&self, level: Level, scratch: &mut Scratch) {
        let w = self.shape.w;
        let (samples, [top, bottom], part) = self.cut.task(self.index, self.shape);
        let tile = Tile { border: 1, rows: bottom - top, w, step: OUTPUTS, skipped: 0, channels: self.cin };
        let [pixels, room, inputs, sums] = scratch.take([
            tile.len(),
            self.load.row_len(w),
            groups(tile).len(TILES),
            ELEMENTS * sums_step(2 * level.lanes()),
        ]);
        level.run(ClearMargins { tile, first: top, h: self.shape.h, to: pixels });
        let panels = self.cut.panels(part, self.panels);
        let loaded = &Loaded { tile, first: samples.start, top, panels };
        let tiles = samples.len() * count(tile).iter().product::<usize>();
        for first in (0..tiles).step_by(TILES) {
            let count = TILES.min(tiles - first);
            level.run(Chunk {
                task: self,
                loaded,
                first,
                count,
                pixels: &mut *pixels,
                room: &mut *room,
                inputs: &mut *inputs,
                sums: &mut *sums,
            });
        }
    }
}

/// A few tiles of a task.
struct Chunk<'a, 'b> {
    task: &'a Task<'a>,
    loaded: &'a Loaded,
    first: usize,
    count: usize,
    pixels: &'b mut [f32],
    room: &'b mut [f32],
    /// By [`groups`].
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
        let [down, across] = count(self.loaded.tile);
        [tile / (down * across), tile / across % down, tile % across]
    }

    /// Bᵀ d B of all tiles, a run of neighbours after the other.
    #[inline(always)]
    fn transform_inputs<S: Simd>(&mut self, s: S) {
        let tile = self.loaded.tile;
        let mut done = 0;
        while done < self.count {
            let [sample, y, x] = self.place(self.first + done);
            let run = (count(tile)[1] - x).min(self.count - done);
            if [y, x] == [0, 0] {
                let Task { load, shape, .. } = self.task;
                let (sample, first) = (self.loaded.first + sample, self.loaded.top);
                LoadTile { tile, load, sample, first, h: shape.h, to: self.pixels, room: self.room }.run(s);
            }
            for block in 0..tile.blocks() {
                let corner = OUTPUTS * (y * tile.row() + x * BLOCK);
                let from = block * tile.plane() + corner;
                for i in (0..BLOCK).step_by(S::LANES) {
                    let from = &self.pixels[from + i..];
                    transform_run(s, (from, tile.row(), run), self.inputs, (groups(tile), done, block, i));
                }
            }
            done += run;
        }
    }

    #[inline(always)]
    fn panel<S: Simd, const Q: usize, const N: usize>(&mut self, s: S, panel: usize) {
        let (width, cin, blocks) = (N * S::LANES, self.task.cin, self.loaded.tile.blocks());
        let groups = groups(self.loaded.tile);
        let filters = &self.task.filters[panel * blocks * block_len(2 * S::LANES)..];
        for element in 0..ELEMENTS {
            let filters = &filters[element * element_step(width)..];
            let inputs = &self.inputs[element * groups.step()..];
            let sums = &mut self.sums[element * sums_step(width)..];
            for first in (0..self.count).step_by(Q) {
                let mut acc = [[[s.splat(0.0); N]; Q]; 1];
                for block in 0..blocks {
                    let from = inputs[groups.place(first, block)..].as_ptr();
                    let depth = (cin - block * BLOCK).min(BLOCK);
                    let filters = filters[block * block_len(2 * S::LANES)..][..depth * width].as_ptr();
                    // SAFETY: `Q` tiles of a group, as `GROUP` is a multiple of `Q`, and `depth` rows of filters.
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

    /// Aᵀ m A of a tile, and its pixels written.
    #[inline(always)]
    fn finish<S: Simd, const N: usize>(&self, s: S, panel: usize, tile: usize) {
        let Task { shape, panels, store, out, .. } = self.task;
        let [sample, y, x] = self.place(self.first + tile);
        let sample = self.loaded.first + sample;
        let (start, real, cout) = (panels.start(panel), panels.real(panel), panels.channels);
        let shift = store.shift::<S, N>(s, sample, cout, start..start + real);
        let (top, left) = (self.loaded.top + OUTPUTS * y, OUTPUTS * x);
        for (j, shift) in shift.into_iter().enumerate() {
            let pixels = self.outputs(s, tile * N * S::LANES + j * S::LANES, N * S::LANES);
            let (channel, len) = (start + j * S::LANES, (real - j * S::LANES).min(S::LANES));
            for (row, y) in pixels.iter().zip(top..shape.h) {
                let first = ((sample * shape.h + y) * shape.w + left) * cout + channel;
                let place = Place { first, step: cout, len, pixels: OUTPUTS.min(shape.w - left) };
                // SAFETY: pixels of this task and channels of this panel, which no other task has.
                let (added, mut out) = (store.added(s, place), unsafe { out.column(s, place) });
                for (x, sum) in row.iter().enumerate() {
                    if x < place.pixels {
                        store.write(s, [*sum, shift], added, x, &mut out);
                    }
                }
            }
        }
    }

    /// Aᵀ m A of the sums at `at`, in panels of `width` channels.
    #[inline(always)]
    fn outputs<S: Simd>(&self, s: S, at: usize, width: usize) -> [[S::F; OUTPUTS]; OUTPUTS] {
        let (sums, step) = (&self.sums[at..], sums_step(width));
        assert!(sums.len() >= (ELEMENTS - 1) * step + S::LANES);
        let mut columns = [[s.splat(0.0); OUTPUTS]; SIDE];
        for (x, column) in columns.iter_mut().enumerate() {
            // SAFETY: asserted above.
            *column =
                transforms::output(s, unsafe { column_of(s, sums.as_ptr().add(x * step), SIDE * step) });
        }
        let [a, b, c, d, e, f] = &columns;
        let mut pixels = [[s.splat(0.0); OUTPUTS]; OUTPUTS];
        for (y, row) in pixels.iter_mut().enumerate() {
            *row = transforms::output(s, [a[y], b[y], c[y], d[y], e[y], f[y]]);
        }
        pixels
    }
}

/// Tiles of outputs down and across a loaded one.
fn count(tile: Tile) -> [usize; 2] {
    [tile.rows.div_ceil(OUTPUTS), tile.w.div_ceil(OUTPUTS)]
}

/// Where the transformed inputs of a chunk lie.
fn groups(tile: Tile) -> Groups {
    Groups { parts: tile.blocks(), width: BLOCK }
}

/// Floats from one element of all sums to the next.
fn sums_step(width: usize) -> usize {
    TILES * width + BLOCK
}

/// Bᵀ d B of a `run` of neighbouring tiles, which share two of their six columns: `from` holds blocks of channels whose
/// rows are `row` apart, and the tiles go from `first` on to a part of the groups in `to`, to the channels from `i` on.
#[inline(always)]
pub(super) fn transform_run<S: Simd>(
    s: S,
    (from, row, run): (&[f32], usize, usize),
    to: &mut [f32],
    (groups, first, part, i): (Groups, usize, usize, usize),
) {
    assert!(from.len() >= (SIDE - 1) * row + (OUTPUTS * run + 1) * BLOCK + S::LANES);
    let mut columns = [[s.splat(0.0); SIDE]; SIDE];
    // SAFETY: asserted above.
    unsafe {
        for (x, column) in columns.iter_mut().enumerate().skip(OUTPUTS) {
            *column = transforms::input(s, column_of(s, from.as_ptr().add((x - OUTPUTS) * BLOCK), row));
        }
    }
    for t in 0..run {
        (columns[0], columns[1]) = (columns[4], columns[5]);
        for (x, column) in columns.iter_mut().enumerate().skip(2) {
            // SAFETY: asserted above.
            let d = unsafe { column_of(s, from.as_ptr().add((OUTPUTS * t + x) * BLOCK), row) };
            *column = transforms::input(s, d);
        }
        let to = &mut to[groups.place(first + t, part) + i..][..(ELEMENTS - 1) * groups.step() + S::LANES];
        let [a, b, c, d, e, f] = &columns;
        for y in 0..SIDE {
            let row = transforms::input(s, [a[y], b[y], c[y], d[y], e[y], f[y]]);
            for (x, value) in row.iter().enumerate() {
                // SAFETY: all elements are there, as sliced above.
                unsafe { s.store(to.as_mut_ptr().add((SIDE * y + x) * groups.step()), *value) };
            }
        }
    }
}

/// A column of a tile, whose rows are `row` apart.
///
/// # Safety
/// All its vectors must be there.
#[inline(always)]
pub(super) unsafe fn column_of<S: Simd>(s: S, from: *const f32, row: usize) -> [S::F; SIDE] {
    let mut column = [s.splat(0.0); SIDE];
    for (y, value) in column.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *value = unsafe { s.load(from.add(y * row)) };
    }
    column
}
