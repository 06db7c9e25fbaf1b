//! Tiles of images: where convolutions read what they have loaded.

use std::ops::Range;

use super::{BLOCK, Load};
use crate::kernels::column::{Column, ColumnMut, Place};
use crate::kernels::numbers::Numbers;
use crate::{Kernel, Simd};

/// Where a sample's pixels lie in a loaded tile: `[block][row][column][BLOCK]`, with a border of zeros.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Tile {
    /// Rows and columns of zeros on each side.
    pub border: usize,
    pub rows: usize,
    pub w: usize,
    /// Zeros follow rows and columns up to a multiple of this.
    pub step: usize,
    /// Blocks of the images' channels before the tile's.
    pub skipped: usize,
    pub channels: usize,
}

impl Tile {
    /// Floats from one row to the next.
    pub fn row(&self) -> usize {
        (self.w.next_multiple_of(self.step) + 2 * self.border) * BLOCK
    }

    /// Rows with their border and the zeros that follow.
    fn height(&self) -> usize {
        self.rows.next_multiple_of(self.step) + 2 * self.border
    }

    /// Floats from one block of channels to the next.
    pub fn plane(&self) -> usize {
        self.height() * self.row()
    }

    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(BLOCK)
    }

    /// Where the pixels of a row of a block begin.
    pub fn place(&self, block: usize, index: usize) -> usize {
        block * self.plane() + index * self.row() + self.border * BLOCK
    }

    /// Rows that are rows of a sample of height `h`, where the first without border is row `first` of it.
    fn rows_there(&self, first: usize, h: usize) -> Range<usize> {
        self.border.saturating_sub(first)..self.height().min(h + self.border - first)
    }

    /// Floats of a whole tile.
    pub fn len(&self) -> usize {
        self.blocks() * self.plane()
    }
}

/// Writes the zeros around the rows that [`LoadTile`] loads, which leaves them as they are: a tile that many samples are
/// loaded to, one after the other, needs them once.
pub(in crate::kernels) struct ClearMargins<'a> {
    pub tile: Tile,
    pub first: usize,
    pub h: usize,
    pub to: &'a mut [f32],
}

impl Kernel for ClearMargins<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ClearMargins { tile, first, h, to } = self;
        let (there, margin) = (tile.rows_there(first, h), tile.border * BLOCK);
        for (block, index) in (0..tile.blocks()).flat_map(|block| (0..tile.height()).map(move |y| (block, y)))
        {
            let row = &mut to[tile.place(block, index) - margin..][..tile.row()];
            if there.contains(&index) {
                clear(s, &mut row[..margin]);
                clear(s, &mut row[margin + tile.w * BLOCK..]);
            } else {
                clear(s, row);
            }
        }
    }
}

/// Zeros: a few vectors, for which a call costs more.
#[inline(always)]
fn clear<S: Simd>(s: S, to: &mut [f32]) {
    for i in (0..to.len()).step_by(S::LANES) {
        s.write(to, i, s.splat(0.0));
    }
}

/// Loads the rows `first..first + tile.rows` of a sample's `h` rows, and those of its border that are there.
pub(in crate::kernels) struct LoadTile<'a, 'b> {
    pub tile: Tile,
    pub load: &'a Load<'a>,
    pub sample: usize,
    pub first: usize,
    pub h: usize,
    pub to: &'b mut [f32],
    /// Of [`Load::row_len`].
    pub room: &'b mut [f32],
}

/// Rows that are loaded together: what is looked up for a vector of channels is looked up once for all of them, and
/// [`Load::row_len`] has room for their dropout.
const BAND: usize = 4;

impl Kernel for LoadTile<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (tile, load) = (self.tile, self.load);
        let (there, by_block) = (tile.rows_there(self.first, self.h), load.is_by_block());
        for index in there.clone().step_by(if by_block { BAND } else { 1 }) {
            let y = self.first + index - tile.border;
            if by_block {
                self.load_blocks(s, index, y, BAND.min(there.end - index));
            } else {
                let row = load.row(s, [self.sample, y], [self.h, tile.w], self.room);
                copy_blocks(s, tile, (row, load.channels()), &mut self.to[tile.place(0, index)..]);
            }
        }
    }
}

impl LoadTile<'_, '_> {
    /// Some rows of the sources from `y` on, block after block, for which [`Load::is_by_block`].
    #[inline(always)]
    fn load_blocks<S: Simd>(&mut self, s: S, index: usize, y: usize, rows: usize) {
        let (load, w, c) = (self.load, self.tile.w, self.load.channels());
        let pixels = rows * w;
        let mut mask = None;
        if let Some(dropout) = load.dropout {
            let kept = &mut self.room[..pixels * c];
            kept.fill(1.0);
            dropout.apply(s, self.sample, y * w * c, kept);
            mask = Some(&*kept);
        }
        let mut offset = 0;
        for source in load.sources {
            let start = (self.sample * self.h + y) * w * source.channels;
            for first in (0..source.channels).step_by(BLOCK) {
                let block = ((offset + first) / BLOCK).wrapping_sub(self.tile.skipped);
                if block >= self.tile.blocks() {
                    continue;
                }
                let to = self.tile.place(block, index);
                let last = (first + BLOCK).min(source.channels);
                for i in (first..last).step_by(S::LANES) {
                    let (channel, len) = (offset + i, (last - i).min(S::LANES));
                    let place = Place { first: start + i, step: source.channels, len, pixels };
                    let mut masked = None;
                    if let Some(mask) = mask {
                        masked = Some(Column::new(s, mask, Place { first: channel, step: c, ..place }));
                    }
                    let to = to + i - first;
                    let (of, to) = ((self.sample, channel, rows), (self.tile, to, &mut *self.to));
                    match (source.x, len == S::LANES) {
                        // What is known to be whole vectors of f32 needs no branches a pixel.
                        (Numbers::F32(x), true) => {
                            let place = Place { len: S::LANES, ..place };
                            load_column(s, load, of, (x.into(), masked, place), to);
                        }
                        (x, _) => load_column(s, load, of, (x, masked, place), to),
                    }
                }
            }
            offset += source.channels;
        }
    }
}

/// A vector of channels of some rows of a sample, from `channel` on, which goes to a tile from `first` on.
#[inline(always)]
fn load_column<S: Simd>(
    s: S,
    load: &Load,
    (sample, channel, rows): (usize, usize, usize),
    (x, mask, place): (Numbers, Option<Column>, Place),
    (tile, first, to): (Tile, usize, &mut [f32]),
) {
    let (from, steps) = (Column::new(s, x, place), [tile.w, tile.row() / BLOCK]);
    let pixels = (rows - 1) * steps[1] + tile.w;
    let to = &mut ColumnMut::new(s, to, Place { first, step: BLOCK, pixels, ..place });
    load.activate_column(s, (sample, channel, place.len), (from, mask), to, (rows, steps));
}

/// Copies the tile's blocks of a row of pixels of `c` channels into it, where its first block begins at `to`.
#[inline(always)]
fn copy_blocks<S: Simd>(s: S, tile: Tile, (row, c): (&[f32], usize), to: &mut [f32]) {
    for block in 0..tile.blocks() {
        let channels = (tile.channels - block * BLOCK).min(BLOCK);
        let to = &mut to[block * tile.plane()..][..tile.w * BLOCK];
        for (pixel, from) in to.chunks_exact_mut(BLOCK).zip(row.chunks_exact(c)) {
            let from = &from[(tile.skipped + block) * BLOCK..][..channels];
            for i in (0..channels).step_by(S::LANES) {
                s.write(pixel, i, s.read(from, i));
            }
        }
    }
}
