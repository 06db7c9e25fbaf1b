//! Gradients of 3x3 weights that are summed over samples before they are transformed back.
//!
//! A sample of small images has few tiles, and to transform its sums back costs as much as to sum them. So a batch is
//! summed first; if it comes in parts, its sums are left transformed from part to part, as bits would show otherwise
//! where it was cut. Samples are summed in strands, which are added up at last, so that each thread reads its own samples
//! only; where there are more threads than strands, each loads what its blocks of channels need: that costs less than to
//! read what another core has written.

use std::ops::Range;

use super::winograd::{TransformBack, TransformGradients, TransformInputs, tiles};
use super::{Add, Samples, share};
use crate::kernels::conv::Conv;
use crate::kernels::load::{BLOCK, ClearMargins, Load, LoadTile, Tile};
use crate::kernels::numbers::Numbers;
use crate::kernels::pack::Panels;
use crate::kernels::pointer::Parts;
use crate::kernels::tile::{products, restore, store};
use crate::kernels::winograd::groups::{GROUP, Groups};
use crate::kernels::winograd::transforms::{ELEMENTS, OUTPUTS};
use crate::{Kernel, Level, Pool, Scratch, Simd, Workers};

/// Weights (products of channels) that are so many that their sums take too much memory.
const MANY_WEIGHTS: usize = 1 << 15;
/// Weights whose sums take so much memory that a second strand of samples costs more than it saves.
const WEIGHTS_OF_A_STRAND: usize = 1 << 12;
/// Samples that follow each other in a strand: half of a usual batch of small images, so that of two threads each reads
/// what it has written for the most part.
const TURN: usize = 32;
/// Floats of transformed samples that a thread has at a time: they stay in its second-level cache.
const WAVE: usize = 1 << 17;

/// Whether the gradient is summed this way. That depends on no batch, as its parts add to the same sums.
pub fn suits(shape: Conv) -> bool {
    let Conv { h, w, cin, cout, taps, .. } = shape;
    taps == 9 && h.min(w) >= 3 && cin.min(cout) >= BLOCK && cin * cout < MANY_WEIGHTS
}

/// Sums over samples, transformed.
pub struct Sums<'a> {
    /// `[strand][panel][block][element][channel of the block][channel of the panel]`, of [`Sums::len`].
    pub numbers: &'a mut [f32],
    /// How many samples have been added: where there is none of a strand, its numbers mean nothing.
    pub samples: &'a mut usize,
}

impl Sums<'_> {
    /// Floats that the sums for weights of these channels take.
    pub fn len(level: Level, cin: usize, cout: usize) -> usize {
        let cells = Cells::new(level, cin, cout);
        cells.strands * cells.len()
    }
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
    let Conv { n, cin, cout, .. } = shape;
    if n == 0 {
        return;
    }
    let (mut workers, shared) = pool.split();
    let (level, mut none) = (workers.level, 0);
    let (sums, dw) = match to {
        To::Sums(sums) => (sums, None),
        To::Last(sums, dw) => (sums, Some(dw)),
        To::Weights(dw) => {
            let [numbers] = shared.take([Sums::len(level, cin, cout)]);
            (Sums { numbers, samples: &mut none }, Some(dw))
        }
    };
    assert_eq!(sums.numbers.len(), Sums::len(level, cin, cout), "the sums of {shape:?}");
    assert!(dw.as_ref().is_none_or(|dw| dw.len() == 9 * cin * cout), "weights of {shape:?}");
    let (before, after) = (*sums.samples, *sums.samples + n);
    *sums.samples = if dw.is_some() { 0 } else { after };
    let cells = Cells::new(level, cin, cout);
    let added = Added { shape, of, cells, before, sums: Parts::new(&mut *sums.numbers) };
    match dw {
        // A single strand needs no other thread's sums.
        Some(dw) if cells.used(after) == 1 => added.run(&mut workers, Some(Parts::new(dw))),
        Some(dw) => {
            added.run(&mut workers, None);
            finish_all(&mut workers, vec![Finish { cin, cout, samples: after, sums: sums.numbers, dw }]);
        }
        None => added.run(&mut workers, None),
    }
}

/// Samples that are added to sums.
struct Added<'a> {
    shape: Conv,
    of: Samples<'a>,
    cells: Cells,
    /// How many others have been added before.
    before: usize,
    sums: Parts<'a, f32>,
}

impl Added<'_> {
    /// Adds the samples of each strand, and finishes the gradient where that is all.
    fn run(&self, workers: &mut Workers, dw: Option<Parts<f32>>) {
        let Added { shape, of, cells, before, sums } = *self;
        let samples: Vec<Vec<usize>> = (0..cells.strands).map(|strand| self.of_strand(strand)).collect();
        let strands: Vec<usize> = (0..cells.strands).filter(|strand| !samples[*strand].is_empty()).collect();
        let threads = workers.threads().div_ceil(strands.len());
        let [across, down] = divide(threads, of.load, [cells.blocks, cells.panels.count()]);
        let (level, shares) = (workers.level, across * down);
        workers.run(strands.len() * shares, |index, scratch| {
            let (strand, index) = (strands[index / shares], index % shares);
            let samples = &samples[strand];
            let summed = share(samples.len(), index, shares);
            let blocks = share(cells.blocks, index / down, across);
            let own = share(cells.panels.count(), index % down, down);
            let empty = strand >= cells.used(before);
            Task { shape, of, samples, summed, cells, strand, blocks, own, sums, empty, dw }
                .run(level, scratch);
        });
    }

    fn of_strand(&self, strand: usize) -> Vec<usize> {
        (0..self.shape.n).filter(|sample| self.cells.strand(self.before + sample) == strand).collect()
    }
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

/// Where the sums of a strand, a panel and a block lie.
#[derive(Clone, Copy)]
struct Cells {
    strands: usize,
    panels: Panels,
    /// Blocks of a panel.
    blocks: usize,
}

impl Cells {
    fn new(level: Level, cin: usize, cout: usize) -> Cells {
        let strands = if cin * cout < WEIGHTS_OF_A_STRAND { 2 } else { 1 };
        let panels = Panels { channels: cout, lanes: level.lanes() };
        Cells { strands, panels, blocks: cin.div_ceil(BLOCK) }
    }

    /// Floats of a strand.
    fn len(&self) -> usize {
        self.panels.count() * self.blocks * self.cell_len()
    }

    /// Floats of a panel and block.
    fn cell_len(&self) -> usize {
        ELEMENTS * BLOCK * 2 * self.panels.lanes
    }

    fn place(&self, strand: usize, panel: usize, block: usize) -> Range<usize> {
        let start = ((strand * self.panels.count() + panel) * self.blocks + block) * self.cell_len();
        start..start + self.cell_len()
    }

    /// The strand that a sample adds to.
    fn strand(&self, sample: usize) -> usize {
        sample / TURN % self.strands
    }

    /// The strands that some first samples have added to.
    fn used(&self, samples: usize) -> usize {
        samples.div_ceil(TURN).min(self.strands)
    }
}

/// Some blocks and panels of channels, through the samples of a strand.
struct Task<'a> {
    shape: Conv,
    of: Samples<'a>,
    samples: &'a [usize],
    /// Which of the samples it sums the pixels of.
    summed: Range<usize>,
    cells: Cells,
    strand: usize,
    blocks: Range<usize>,
    /// The panels.
    own: Range<usize>,
    /// Of all strands.
    sums: Parts<'a, f32>,
    /// Whether there are no sums yet.
    empty: bool,
    /// What is to be finished.
    dw: Option<Parts<'a, f32>>,
}

impl Task<'_> {
    fn run(&self, level: Level, scratch: &mut Scratch) {
        let Task { shape, cells, .. } = *self;
        let Conv { n, h, w, cin, .. } = shape;
        let channels = (cin - self.blocks.start * BLOCK).min(self.blocks.len() * BLOCK);
        let tile = Tile { border: 1, rows: h, w, step: OUTPUTS, skipped: self.blocks.start, channels };
        let inputs = Groups { parts: self.blocks.len(), width: BLOCK };
        let gradients = Groups { parts: self.own.len(), width: 2 * level.lanes() };
        let tiles = tiles(shape).iter().product::<usize>();
        let wave = WAVE / (tiles * (inputs.len(GROUP) + gradients.len(GROUP)) / GROUP);
        let wave = wave.clamp(1, self.samples.len());
        let [pixels, room, x, dy] = scratch.take([
            tile.len(),
            self.of.load.row_len(w),
            inputs.len(wave * tiles),
            gradients.len(wave * tiles),
        ]);
        level.run(ClearMargins { tile, first: 0, h, to: pixels });
        let mut empty = self.empty;
        for (begin, samples) in (0..).step_by(wave).zip(self.samples.chunks(wave)) {
            for (index, sample) in samples.iter().copied().enumerate() {
                let (first, to) = (index * tiles, &mut *pixels);
                level.run(LoadTile { tile, load: self.of.load, sample, first: 0, h, to, room });
                level.run(TransformInputs { shape, tile, pixels, to: x, groups: inputs, first });
                let (own, from) = (self.own.clone(), self.of.gradient(shape, sample));
                let panels = cells.panels;
                level.run(TransformGradients { shape, panels, own, from, to: dy, groups: gradients, first });
                if self.summed.contains(&(begin + index)) {
                    // SAFETY: each sample is of one task.
                    unsafe { self.of.sum_pixels(level, shape, sample) };
                }
            }
            let tiles = samples.len() * tiles;
            level.run(AddTiles { task: self, x, dy, groups: [inputs, gradients], tiles, empty });
            empty = false;
        }
        if let Some(to) = self.dw {
            for (panel, block) in self.own_cells() {
                level.run(FinishCell { shape, cells, samples: n, sums: self.sums, to, panel, block });
            }
        }
    }

    fn own_cells(&self) -> impl Iterator<Item = (usize, usize)> {
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
    /// Whether there are no sums yet.
    empty: bool,
}

impl Kernel for AddTiles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (panel, block) in self.task.own_cells() {
            match (S::ROWS, self.task.cells.panels.vectors(panel)) {
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
        let place = task.cells.place(task.strand, panel, block);
        // SAFETY: this task's strand, panel and block, which no other task has.
        let sums = unsafe { task.sums.range(place.start, place.len()) };
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
    /// How many samples they are of.
    pub samples: usize,
    /// Those of all strands, of which the first has the total afterwards.
    pub sums: &'a mut [f32],
    /// `dw[9][cin][cout] += Gᵀ sums G`
    pub dw: &'a mut [f32],
}

/// Transforms the sums of several gradients back.
pub fn finish(pool: &mut Pool, all: Vec<Finish>) {
    finish_all(&mut pool.split().0, all);
}

fn finish_all(workers: &mut Workers, all: Vec<Finish>) {
    let (level, mut finishes) = (workers.level, Vec::new());
    for Finish { cin, cout, samples, sums, dw } in all {
        let cells = Cells::new(level, cin, cout);
        assert_eq!([sums.len(), dw.len()], [Sums::len(level, cin, cout), 9 * cin * cout], "{cin} > {cout}");
        let shape = Conv { n: 0, h: 0, w: 0, cin, cout, taps: 9 };
        let (to, sums) = (Parts::new(dw), Parts::new(sums));
        for cell in 0..cells.panels.count() * cells.blocks {
            let (panel, block) = (cell / cells.blocks, cell % cells.blocks);
            finishes.push(FinishCell { shape, cells, samples, sums, to, panel, block });
        }
    }
    workers.run(finishes.len(), |index, _| level.run(finishes[index]));
}

#[derive(Clone, Copy)]
struct FinishCell<'a> {
    shape: Conv,
    cells: Cells,
    samples: usize,
    sums: Parts<'a, f32>,
    to: Parts<'a, f32>,
    panel: usize,
    block: usize,
}

impl Kernel for FinishCell<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let FinishCell { shape, cells, samples, sums, to, panel, block } = self;
        let of_strand = |strand| {
            let place = cells.place(strand, panel, block);
            // SAFETY: this task's panel and block, which no other task has.
            unsafe { sums.range(place.start, place.len()) }
        };
        for strand in 1..cells.used(samples) {
            Add { to: of_strand(0), sums: of_strand(strand) }.run(s);
        }
        let back = TransformBack { shape, panels: cells.panels, sums: of_strand(0), to, add: true };
        match cells.panels.vectors(panel) {
            2 => back.cell::<S, 2>(s, panel, block),
            _ => back.cell::<S, 1>(s, panel, block),
        }
    }
}
