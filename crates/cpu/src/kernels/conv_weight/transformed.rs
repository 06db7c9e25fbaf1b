//! Gradients of 3x3 weights that are summed over samples before they are transformed back.
//!
//! A sample of small images has few tiles, and to transform its sums back costs as much as to sum them. So a batch is
//! summed first; if it comes in parts, its sums are left transformed from part to part, as bits would show otherwise
//! where it was cut. Each thread loads what its blocks of channels need of all samples: that costs less than to read what
//! another core has written.

use std::ops::Range;

use super::winograd::{TransformBack, TransformGradients, TransformInputs, tiles};
use super::{Samples, share};
use crate::kernels::conv::Conv;
use crate::kernels::load::{BLOCK, ClearMargins, Load, LoadTile, Tile};
use crate::kernels::numbers::Numbers;
use crate::kernels::pack::Panels;
use crate::kernels::pointer::Parts;
use crate::kernels::tile::{products, restore, store};
use crate::kernels::winograd::groups::{GROUP, Groups};
use crate::kernels::winograd::transforms::{ELEMENTS, OUTPUTS};
use crate::{Kernel, Level, Pool, Scratch, Simd};

/// Weights (products of channels) that are so many that their sums take too much memory.
const MANY_WEIGHTS: usize = 1 << 15;
/// Floats of transformed samples that a thread has at a time: they stay in its second-level cache.
const WAVE: usize = 1 << 17;

/// Whether the gradient is summed this way. That depends on no batch, as its parts add to the same sums.
pub fn suits(shape: Conv) -> bool {
    let Conv { h, w, cin, cout, taps, .. } = shape;
    taps == 9 && h.min(w) >= 3 && cin.min(cout) >= BLOCK && cin * cout < MANY_WEIGHTS
}

/// Sums over samples, transformed.
pub struct Sums<'a> {
    /// `[panel][block][element][channel of the block][channel of the panel]`, of [`Sums::len`].
    pub numbers: &'a mut [f32],
    /// Whether there are none yet, whatever the numbers are.
    pub empty: &'a mut bool,
}

impl Sums<'_> {
    /// Floats that the sums for weights of these channels take.
    pub fn len(level: Level, cin: usize, cout: usize) -> usize {
        Panels { channels: cout, lanes: level.lanes() }.count()
            * cin.div_ceil(BLOCK)
            * cell_len(level.lanes())
    }
}

/// Floats of a panel and block.
fn cell_len(lanes: usize) -> usize {
    ELEMENTS * BLOCK * 2 * lanes
}

/// Where the gradient of a batch goes, or of a part of one.
pub enum To<'a> {
    /// `sums += Σ (Bᵀ load(x) B) · (A dy Aᵀ)`: more parts follow.
    Sums(Sums<'a>),
    /// The last part: `dw[9][cin][cout] += Gᵀ sums G`, and the sums are empty again.
    Last(Sums<'a>, &'a mut [f32]),
    /// The only part.
    Weights(&'a mut [f32]),
}

/// The gradient of a shape that [`suits`], and `pixel_sums`, as of
/// [`conv_weight_gradient`](super::conv_weight_gradient).
pub fn add_samples<'a>(
    pool: &mut Pool,
    shape: Conv,
    load: &'a Load<'a>,
    dy: impl Into<Numbers<'a>>,
    to: To,
    pixel_sums: Option<&'a mut [f32]>,
) {
    run(pool, shape, Samples::new(shape, load, dy, pixel_sums), to);
}

pub(super) fn run(pool: &mut Pool, shape: Conv, of: Samples, to: To) {
    if shape.n == 0 {
        return;
    }
    let (mut workers, _) = pool.split();
    let level = workers.level;
    let panels = Panels { channels: shape.cout, lanes: level.lanes() };
    let blocks = shape.cin.div_ceil(BLOCK);
    let (sums, dw) = match to {
        To::Sums(sums) => (Some(sums), None),
        To::Last(sums, dw) => (Some(sums), Some(dw)),
        To::Weights(dw) => (None, Some(dw)),
    };
    assert!(dw.as_ref().is_none_or(|dw| dw.len() == 9 * shape.cin * shape.cout), "weights of {shape:?}");
    let (dw, mut empty) = (dw.map(Parts::new), true);
    let sums = sums.map(|sums| {
        assert_eq!(sums.numbers.len(), Sums::len(level, shape.cin, shape.cout), "the sums of {shape:?}");
        empty = std::mem::replace(sums.empty, dw.is_some());
        Cells { numbers: Parts::new(sums.numbers), first: [0, 0], blocks }
    });
    let [across, down] = divide(workers.threads(), of.load, [blocks, panels.count()]);
    workers.run(across * down, |index, scratch| {
        let blocks = share(blocks, index / down, across);
        let own = share(panels.count(), index % down, down);
        let summed = share(shape.n, index, across * down);
        Task { shape, of, summed, panels, blocks, own, sums, empty, dw }.run(level, scratch);
    });
}

/// How many shares of the blocks and of the panels there are. Blocks are divided first, where they are loaded each for
/// itself: that costs more than to transform a panel of the gradient.
fn divide(threads: usize, load: &Load, [blocks, panels]: [usize; 2]) -> [usize; 2] {
    if load.is_by_block() {
        let across = threads.min(blocks);
        [across, threads.div_ceil(across).min(panels)]
    } else {
        let down = threads.min(panels);
        [threads.div_ceil(down).min(blocks), down]
    }
}

/// Where the sums of panels and blocks lie.
#[derive(Clone, Copy)]
struct Cells<'a> {
    numbers: Parts<'a, f32>,
    /// The first panel and block.
    first: [usize; 2],
    /// Blocks of a panel.
    blocks: usize,
}

impl<'a> Cells<'a> {
    /// # Safety
    /// While it lives, nobody else may touch the sums of this panel and block.
    unsafe fn cell(&self, lanes: usize, panel: usize, block: usize) -> &'a mut [f32] {
        let cell = (panel - self.first[0]) * self.blocks + block - self.first[1];
        // SAFETY: the caller's promise.
        unsafe { self.numbers.range(cell * cell_len(lanes), cell_len(lanes)) }
    }
}

/// Some blocks and panels of channels, through all samples.
struct Task<'a> {
    shape: Conv,
    of: Samples<'a>,
    /// Samples whose pixels are summed.
    summed: Range<usize>,
    panels: Panels,
    blocks: Range<usize>,
    /// The panels.
    own: Range<usize>,
    /// Sums that last, of all panels and blocks.
    sums: Option<Cells<'a>>,
    empty: bool,
    dw: Option<Parts<'a, f32>>,
}

impl Task<'_> {
    fn run(&self, level: Level, scratch: &mut Scratch) {
        let Task { shape, panels, .. } = *self;
        let Conv { n, h, w, cin, .. } = shape;
        let channels = (cin - self.blocks.start * BLOCK).min(self.blocks.len() * BLOCK);
        let tile = Tile { border: 1, rows: h, w, step: OUTPUTS, skipped: self.blocks.start, channels };
        let inputs = Groups { parts: self.blocks.len(), width: BLOCK };
        let gradients = Groups { parts: self.own.len(), width: 2 * level.lanes() };
        let tiles = tiles(shape).iter().product::<usize>();
        let wave = (WAVE / (tiles * (inputs.len(GROUP) + gradients.len(GROUP)) / GROUP)).clamp(1, n.max(1));
        let cells = if self.sums.is_some() { 0 } else { self.own.len() * self.blocks.len() };
        let [pixels, room, x, dy, own_sums] = scratch.take([
            tile.len(),
            self.of.load.row_len(w),
            inputs.len(wave * tiles),
            gradients.len(wave * tiles),
            cells * cell_len(level.lanes()),
        ]);
        let first = [self.own.start, self.blocks.start];
        let own_sums = Cells { numbers: Parts::new(own_sums), first, blocks: self.blocks.len() };
        let sums = self.sums.unwrap_or(own_sums);
        level.run(ClearMargins { tile, first: 0, h, to: pixels });
        for begin in (0..n).step_by(wave) {
            let samples = begin..(begin + wave).min(n);
            for (first, sample) in (0..).step_by(tiles).zip(samples.clone()) {
                let to = &mut *pixels;
                level.run(LoadTile { tile, load: self.of.load, sample, first: 0, h, to, room });
                level.run(TransformInputs { shape, tile, pixels, to: x, groups: inputs, first });
                let (own, from) = (self.own.clone(), self.of.gradient(shape, sample));
                level.run(TransformGradients { shape, panels, own, from, to: dy, groups: gradients, first });
                if self.summed.contains(&sample) {
                    // SAFETY: each sample is of one task.
                    unsafe { self.of.sum_pixels(level, shape, sample) };
                }
            }
            let (empty, tiles) = (self.empty && begin == 0, samples.len() * tiles);
            level.run(AddTiles { task: self, x, dy, groups: [inputs, gradients], tiles, sums, empty });
        }
        if let Some(to) = self.dw {
            for (panel, block) in self.cells() {
                // SAFETY: this task's panel and block, which no other task has.
                let sums = unsafe { sums.cell(level.lanes(), panel, block) };
                let back = TransformBack { shape, panels, sums, to, add: true };
                level.run(&FinishCell { back, panel, block });
            }
        }
    }

    fn cells(&self) -> impl Iterator<Item = (usize, usize)> {
        self.own.clone().flat_map(|panel| self.blocks.clone().map(move |block| (panel, block)))
    }
}

/// Adds the products of some tiles, one after the other.
struct AddTiles<'a> {
    task: &'a Task<'a>,
    x: &'a [f32],
    dy: &'a [f32],
    groups: [Groups; 2],
    tiles: usize,
    sums: Cells<'a>,
    /// Whether there are no sums yet.
    empty: bool,
}

impl Kernel for AddTiles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (panel, block) in self.task.cells() {
            match (S::ROWS, self.task.panels.vectors(panel)) {
                (8, 2) => self.cell::<S, 8, 2>(s, panel, block),
                (8, _) => self.cell::<S, 8, 1>(s, panel, block),
                (_, 2) => self.cell::<S, 4, 2>(s, panel, block),
                _ => self.cell::<S, 4, 1>(s, panel, block),
            }
        }
    }
}

impl AddTiles<'_> {
    #[inline(always)]
    fn cell<S: Simd, const Q: usize, const N: usize>(&self, s: S, panel: usize, block: usize) {
        let (task, width) = (self.task, N * S::LANES);
        // SAFETY: this task's panel and block, which no other task has.
        let sums = unsafe { self.sums.cell(S::LANES, panel, block) };
        let ([inputs, gradients], channels) = (self.groups, (task.shape.cin - block * BLOCK).min(BLOCK));
        let [block, panel] = [block - task.blocks.start, panel - task.own.start];
        for element in 0..ELEMENTS {
            for first in (0..channels).step_by(Q) {
                let sums = &mut sums[(element * BLOCK + first) * width..];
                let mut acc = [[[s.splat(0.0); N]; Q]; 1];
                if !self.empty {
                    acc = restore(s, sums);
                }
                for tile in (0..self.tiles).step_by(GROUP) {
                    let x = &self.x[inputs.place(tile, block) + element * inputs.step() + first..];
                    let dy = &self.dy[gradients.place(tile, panel) + element * gradients.step()..];
                    let (from, dy) = (([x.as_ptr()], BLOCK), dy.as_ptr());
                    // SAFETY: the tiles of a group, each of `BLOCK` inputs and two vectors of gradients.
                    unsafe {
                        match GROUP.min(self.tiles - tile) {
                            GROUP => products::<S, 1, Q, N, 1>(s, GROUP, from, dy, &mut acc),
                            count => products::<S, 1, Q, N, 1>(s, count, from, dy, &mut acc),
                        }
                    }
                }
                store(s, &acc, sums);
            }
        }
    }
}

/// Sums that are to be transformed back, and the gradient that they are added to.
pub struct Finish<'a> {
    pub cin: usize,
    pub cout: usize,
    pub sums: &'a [f32],
    /// `dw[9][cin][cout] += Gᵀ sums G`
    pub dw: &'a mut [f32],
}

/// Transforms the sums of several gradients back.
pub fn finish(pool: &mut Pool, all: Vec<Finish>) {
    let level = pool.level();
    let mut cells = Vec::new();
    for Finish { cin, cout, sums, dw } in all {
        let panels = Panels { channels: cout, lanes: level.lanes() };
        assert_eq!([sums.len(), dw.len()], [Sums::len(level, cin, cout), 9 * cin * cout], "{cin} > {cout}");
        let shape = Conv { n: 0, h: 0, w: 0, cin, cout, taps: 9 };
        let (to, blocks) = (Parts::new(dw), cin.div_ceil(BLOCK));
        for (cell, sums) in sums.chunks_exact(cell_len(level.lanes())).enumerate() {
            let back = TransformBack { shape, panels, sums, to, add: true };
            cells.push(FinishCell { back, panel: cell / blocks, block: cell % blocks });
        }
    }
    pool.run(cells.len(), |index, _| level.run(&cells[index]));
}

struct FinishCell<'a> {
    back: TransformBack<'a>,
    panel: usize,
    block: usize,
}

impl Kernel for &FinishCell<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.back.panels.vectors(self.panel) {
            2 => self.back.cell::<S, 2>(s, self.panel, self.block),
            _ => self.back.cell::<S, 1>(s, self.panel, self.block),
        }
    }
}
