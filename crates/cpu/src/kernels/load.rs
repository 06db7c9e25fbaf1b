//! What a kernel does to images while it reads them: concatenation, normalisation, SiLU, dropout and resampling.

mod loaded_tile;

pub(super) use loaded_tile::{ClearMargins, LoadTile, Tile};

use super::column::{Column, ColumnMut};
use super::math;
use super::numbers::Numbers;
use super::random::Dropout;
use crate::Simd;

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
    pub(super) fn plain_source(&self) -> Option<Numbers<'a>> {
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
    pub(super) fn is_by_block(&self) -> bool {
        let apart = self.sources.len() == 1 || self.sources[0].channels.is_multiple_of(BLOCK);
        self.resize == Resize::Same && apart
    }

    /// A vector of `len` channels, from `channel` on, of some rows, times what `mask` holds. Rows are `steps` apart in
    /// `from` and in `to`, in pixels; what they have in `from` is read.
    #[inline(always)]
    fn activate_column<S: Simd>(
        &self,
        s: S,
        (sample, channel, len): (usize, usize, usize),
        (from, mask): (Column, Option<Column>),
        to: &mut ColumnMut,
        rows: (usize, [usize; 2]),
    ) {
        let at = sample * self.channels() + channel;
        let mut affine = None;
        if let Some(Affine { scale, shift }) = self.affine {
            affine = Some([s.read(&scale[at..][..len], 0), s.read(&shift[at..][..len], 0)]);
        }
        // Each combination has a loop of its own, without a branch a pixel.
        match (affine, self.silu, mask) {
            (None, false, None) => self.pixels(s, (from, None), to, rows, (None, false)),
            (Some(affine), true, None) => self.pixels(s, (from, None), to, rows, (Some(affine), true)),
            (affine, silu, mask) => self.pixels(s, (from, mask), to, rows, (affine, silu)),
        }
    }

    #[inline(always)]
    fn pixels<S: Simd>(
        &self,
        s: S,
        (from, mask): (Column, Option<Column>),
        to: &mut ColumnMut,
        (rows, [w, to_row]): (usize, [usize; 2]),
        (affine, silu): (Option<[S::F; 2]>, bool),
    ) {
        let scale = s.splat(self.scale);
        for row in 0..rows {
            for pixel in 0..w {
                let mut x = from.read(s, row * w + pixel);
                if let Some([scale, shift]) = affine {
                    x = s.fma(x, scale, shift);
                }
                if silu {
                    x = math::silu(s, x);
                }
                x = s.mul(x, scale);
                if let Some(mask) = mask {
                    x = s.mul(x, mask.read(s, row * w + pixel));
                }
                to.write(s, row * to_row + pixel, x);
            }
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
