//! What a kernel does to images while it reads them: concatenation, normalisation, SiLU, dropout and resampling.

use super::column::{Column, ColumnMut, Place};
use super::math;
use super::numbers::Numbers;
use super::random::Dropout;
use crate::{Kernel, Simd};

/// Channels that lie together in a loaded tile.
pub(super) const BLOCK: usize = 16;

/// Images `[n, h, w, channels]`.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub x: Numbers<'a>,
    pub channels: usize,
}

/// `x · scale + shift` for each sample and channel.
#[derive(Clone, Copy)]
pub struct Affine<'a> {
    /// `[n, c]`
    pub scale: &'a [f32],
    /// `[n, c]`
    pub shift: &'a [f32],
}

/// Twice or half the size, after everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    #[default]
    Same,
    /// Every pixel becomes 2x2.
    Up,
    /// The mean of 2x2.
    Down,
}

/// Images as a kernel reads them, in the order of the fields.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// One or two, joined on channels.
    pub sources: &'a [Source<'a>],
    pub affine: Option<Affine<'a>>,
    pub silu: bool,
    pub dropout: Option<Dropout<'a>>,
    /// A constant factor, 1 for none.
    pub scale: f32,
    pub resize: Resize,
}

impl<'a> Load<'a> {
    /// The images as they are.
    pub fn plain(sources: &'a [Source<'a>]) -> Self {
        Load { sources, affine: None, silu: false, dropout: None, scale: 1.0, resize: Resize::Same }
    }

    pub fn channels(&self) -> usize {
        self.sources.iter().map(|source| source.channels).sum()
    }

    /// The size of the sources for loaded images of `size`.
    pub(super) fn source_size(&self, size: usize) -> usize {
        match self.resize {
            Resize::Same => size,
            Resize::Up => size / 2,
            Resize::Down => size * 2,
        }
    }

    /// Panics unless everything has the length that `n` loaded images of `h` x `w` need.
    pub(super) fn check(&self, n: usize, h: usize, w: usize) {
        assert!(matches!(self.sources.len(), 1 | 2), "{} sources", self.sources.len());
        let even = self.resize != Resize::Up || (h.is_multiple_of(2) && w.is_multiple_of(2));
        assert!(even, "{h} x {w} is not twice anything");
        let pixels = n * self.source_size(h) * self.source_size(w);
        for source in self.sources {
            assert_eq!(source.x.len(), pixels * source.channels, "a source has another size");
        }
        if let Some(affine) = self.affine {
            assert_eq!(
                [affine.scale.len(), affine.shift.len()],
                [n * self.channels(); 2],
                "the affine's size"
            );
        }
        if let Some(dropout) = self.dropout {
            assert_eq!(dropout.keys.len(), n, "dropout needs a key per sample");
        }
    }

    /// The first source, where its rows can be used as they lie.
    #[inline(always)]
    fn plain_source(&self) -> Option<Numbers<'a>> {
        let changed = self.affine.is_some() || self.silu || self.dropout.is_some() || self.scale != 1.0;
        (self.resize == Resize::Same && self.sources.len() == 1 && !changed).then(|| self.sources[0].x)
    }

    /// Floats of working memory that a row of `w` loaded pixels takes.
    pub(super) fn row_len(&self, w: usize) -> usize {
        (3 * self.source_size(w) + w) * self.channels()
    }

    /// Row `y` of a sample of loaded images `h` x `w`, as `[w, c]`; `room` is of [`Load::row_len`].
    #[inline(always)]
    pub(super) fn row<'r, S: Simd>(
        &'r self,
        s: S,
        [sample, y]: [usize; 2],
        [h, w]: [usize; 2],
        room: &'r mut [f32],
    ) -> &'r [f32] {
        let (c, size) = (self.channels(), [self.source_size(h), self.source_size(w)]);
        if let Some(x) = self.plain_source() {
            return x.range((sample * h + y) * w * c, w * c).widened(s, room);
        }
        let (first, count) = match self.resize {
            Resize::Same => (y, 1),
            Resize::Up => (y / 2, 1),
            Resize::Down => (2 * y, 2),
        };
        let (rows, room) = room.split_at_mut(2 * size[1] * c);
        let (widened, out) = room.split_at_mut(size[1] * c);
        for (i, row) in rows.chunks_exact_mut(size[1] * c).enumerate().take(count) {
            self.source_row(s, [sample, first + i], size, widened, row);
        }
        match self.resize {
            Resize::Same => return &rows[..w * c],
            Resize::Up => double(c, &rows[..size[1] * c], out),
            Resize::Down => halve(c, rows, out),
        }
        &out[..w * c]
    }

    /// Row `y` of a sample before resizing.
    #[inline(always)]
    fn source_row<S: Simd>(
        &self,
        s: S,
        [sample, y]: [usize; 2],
        [h, w]: [usize; 2],
        widened: &mut [f32],
        row: &mut [f32],
    ) {
        let start = (sample * h + y) * w;
        let mut offset = 0;
        for source in self.sources {
            let from = source.x.range(start * source.channels, w * source.channels).widened(s, widened);
            self.activate(s, sample, offset, source.channels, from, row);
            offset += source.channels;
        }
        if let Some(dropout) = self.dropout {
            dropout.apply(s, sample, y * row.len(), row);
        }
    }

    /// Writes one source's channels, which start at `offset`, of a row.
    #[inline(always)]
    fn activate<S: Simd>(
        &self,
        s: S,
        sample: usize,
        offset: usize,
        channels: usize,
        from: &[f32],
        row: &mut [f32],
    ) {
        let c = self.channels();
        let at = sample * c + offset;
        let affine =
            self.affine.map(|affine| (&affine.scale[at..][..channels], &affine.shift[at..][..channels]));
        for (pixel, from) in row.chunks_exact_mut(c).zip(from.chunks_exact(channels)) {
            let pixel = &mut pixel[offset..offset + channels];
            for i in (0..channels).step_by(S::LANES) {
                let affine = affine.map(|(scale, shift)| [s.read(scale, i), s.read(shift, i)]);
                s.write(pixel, i, self.activated(s, affine, s.read(from, i)));
            }
        }
    }

    /// What becomes of numbers whose scale and shift these are.
    #[inline(always)]
    fn activated<S: Simd>(&self, s: S, affine: Option<[S::F; 2]>, x: S::F) -> S::F {
        let mut x = x;
        if let Some([scale, shift]) = affine {
            x = s.fma(x, scale, shift);
        }
        if self.silu {
            x = math::silu(s, x);
        }
        s.mul(x, s.splat(self.scale))
    }

    /// Whether blocks of channels can be loaded each for itself: pixels stay, and no block is of two sources.
    fn is_by_block(&self) -> bool {
        self.resize == Resize::Same
            && self.sources[0].channels.is_multiple_of(BLOCK) | (self.sources.len() == 1)
    }

    /// A vector of channels, from `channel` on, of all pixels of a row, times what `mask` holds.
    #[inline(always)]
    fn activate_column<S: Simd>(
        &self,
        s: S,
        (sample, channel, place): (usize, usize, Place),
        from: Column,
        mask: Option<Column>,
        to: &mut ColumnMut,
    ) {
        let at = sample * self.channels() + channel;
        let mut affine = None;
        if let Some(Affine { scale, shift }) = self.affine {
            affine = Some([s.read(&scale[at..][..place.len], 0), s.read(&shift[at..][..place.len], 0)]);
        }
        for pixel in 0..place.pixels {
            let mut x = self.activated(s, affine, from.read(s, pixel));
            if let Some(mask) = mask {
                x = s.mul(x, mask.read(s, pixel));
            }
            to.write(s, pixel, x);
        }
    }
}

/// Every pixel twice.
fn double(c: usize, row: &[f32], out: &mut [f32]) {
    for (pair, pixel) in out.chunks_exact_mut(2 * c).zip(row.chunks_exact(c)) {
        pair[..c].copy_from_slice(pixel);
        pair[c..].copy_from_slice(pixel);
    }
}

/// The mean of 2x2 pixels of two rows, one after the other.
#[inline(always)]
fn halve(c: usize, rows: &[f32], out: &mut [f32]) {
    let (above, below) = rows.split_at(rows.len() / 2);
    let pairs = above.chunks_exact(2 * c).zip(below.chunks_exact(2 * c));
    for (pixel, (above, below)) in out.chunks_exact_mut(c).zip(pairs) {
        let ([a, b], [d, e]) = ([&above[..c], &above[c..]], [&below[..c], &below[c..]]);
        for (i, value) in pixel.iter_mut().enumerate() {
            *value = ((a[i] + b[i]) + (d[i] + e[i])) * 0.25;
        }
    }
}

/// Where a sample's pixels lie in a loaded tile: `[block][row][column][BLOCK]`, with a border of zeros.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Rows and columns of zeros on each side.
    pub border: usize,
    pub rows: usize,
    pub w: usize,
    /// Zeros follow rows and columns up to a multiple of this.
    pub step: usize,
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
    fn place(&self, block: usize, index: usize) -> usize {
        block * self.plane() + index * self.row() + self.border * BLOCK
    }

    /// Floats of a whole tile.
    pub fn len(&self) -> usize {
        self.blocks() * self.plane()
    }
}

/// Loads the rows `first..first + tile.rows` of a sample's `h` rows, and their border.
pub(super) struct LoadTile<'a, 'b> {
    pub tile: Tile,
    pub load: &'a Load<'a>,
    pub sample: usize,
    pub first: usize,
    pub h: usize,
    pub to: &'b mut [f32],
    /// Of [`Load::row_len`].
    pub room: &'b mut [f32],
}

impl Kernel for LoadTile<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (tile, load) = (self.tile, self.load);
        for index in 0..tile.height() {
            self.clear_margins(index);
            let y = match (self.first + index).checked_sub(tile.border) {
                Some(y) if y < self.h => y,
                _ => {
                    (0..tile.blocks()).for_each(|block| self.line(block, index).fill(0.0));
                    continue;
                }
            };
            if load.is_by_block() {
                self.load_blocks(s, index, y);
            } else {
                let row = load.row(s, [self.sample, y], [self.h, tile.w], self.room);
                copy_blocks(s, tile, row, &mut self.to[tile.place(0, index)..]);
            }
        }
    }
}

impl LoadTile<'_, '_> {
    /// The pixels of a block in a row.
    #[inline(always)]
    fn line(&mut self, block: usize, index: usize) -> &mut [f32] {
        &mut self.to[self.tile.place(block, index)..][..self.tile.w * BLOCK]
    }

    /// Zeros on both sides of a row.
    #[inline(always)]
    fn clear_margins(&mut self, index: usize) {
        let (tile, margin) = (self.tile, self.tile.border * BLOCK);
        for block in 0..tile.blocks() {
            let start = tile.place(block, index);
            self.to[start - margin..start].fill(0.0);
            self.to[start + tile.w * BLOCK..start - margin + tile.row()].fill(0.0);
        }
    }

    /// Row `y` of the sources, block after block, for which [`Load::is_by_block`].
    #[inline(always)]
    fn load_blocks<S: Simd>(&mut self, s: S, index: usize, y: usize) {
        let (load, w, c) = (self.load, self.tile.w, self.load.channels());
        let mask = load.dropout.map(|dropout| {
            let mask = &mut self.room[..w * c];
            mask.fill(1.0);
            dropout.apply(s, self.sample, y * w * c, mask);
            &*mask
        });
        let mut offset = 0;
        for source in load.sources {
            let (start, len) = ((self.sample * self.h + y) * w * source.channels, w * source.channels);
            source.x.prefetch(s, start + len, len);
            for first in (0..source.channels).step_by(BLOCK) {
                let to = self.tile.place((offset + first) / BLOCK, index);
                let last = (first + BLOCK).min(source.channels);
                for i in (first..last).step_by(S::LANES) {
                    let (channel, len) = (offset + i, (last - i).min(S::LANES));
                    let place = Place { first: start + i, step: source.channels, len, pixels: w };
                    let from = Column::new(s, source.x, place);
                    let mut masked = None;
                    if let Some(mask) = mask {
                        masked = Some(Column::new(s, mask, Place { first: channel, step: c, ..place }));
                    }
                    let place = Place { first: to + i - first, step: BLOCK, ..place };
                    let to = &mut ColumnMut::new(s, &mut *self.to, place);
                    load.activate_column(s, (self.sample, channel, place), from, masked, to);
                }
            }
            offset += source.channels;
        }
    }
}

/// Copies a row of pixels into a tile, where its first block begins at `to`.
#[inline(always)]
fn copy_blocks<S: Simd>(s: S, tile: Tile, row: &[f32], to: &mut [f32]) {
    for block in 0..tile.blocks() {
        let channels = (tile.channels - block * BLOCK).min(BLOCK);
        let to = &mut to[block * tile.plane()..][..tile.w * BLOCK];
        for (pixel, from) in to.chunks_exact_mut(BLOCK).zip(row.chunks_exact(tile.channels)) {
            let from = &from[block * BLOCK..][..channels];
            for i in (0..channels).step_by(S::LANES) {
                s.write(pixel, i, s.read(from, i));
            }
        }
    }
}
