//! Rows of images as they lie, pixel after pixel: where convolutions read what needs no transform.

use std::ops::Range;

use super::load::{BLOCK, Load};
use super::numbers::Numbers;
use crate::{Kernel, Level, Simd};

/// Some whole samples, or some rows of one, with a border.
#[derive(Clone)]
pub(super) struct Band {
    pub samples: Range<usize>,
    /// The first row and the one after the last.
    pub rows: [usize; 2],
    /// Rows and columns of zeros on each side.
    pub border: usize,
    /// The samples' height and width.
    pub size: [usize; 2],
    pub channels: usize,
    /// Numbers from one pixel to the next, not fewer than its channels.
    pub step: usize,
}

/// Pixels of some samples. Their numbers, and those of neighbours in a row, lie together.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'a> {
    pub values: &'a [f32],
    pub samples: usize,
    /// Lines of a sample, and pixels of a line, without a border.
    pub size: [usize; 2],
    /// Numbers from one sample, line and pixel to the next.
    pub steps: [usize; 3],
}

impl Pixels<'_> {
    /// Pixels of a sample.
    pub fn count(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Where the last pixel begins, of `rows` lines of which all but one are border.
    pub fn last(&self, rows: usize) -> usize {
        let Pixels { samples, size: [lines, width], steps, .. } = *self;
        (samples - 1) * steps[0] + (lines + rows - 2) * steps[1] + (width - 1) * steps[2]
    }
}

impl Band {
    /// Numbers of a row with its border.
    fn line(&self) -> usize {
        (self.size[1] + 2 * self.border) * self.step
    }

    /// Numbers of a sample.
    fn sample(&self) -> usize {
        (self.rows[1] - self.rows[0] + 2 * self.border) * self.line()
    }

    /// Floats that loading it takes.
    pub fn len(&self) -> usize {
        self.samples.len() * self.sample() + BLOCK
    }

    /// The first of its pixels among all, row after row without a border.
    pub fn first(&self) -> usize {
        (self.samples.start * self.size[0] + self.rows[0]) * self.size[1]
    }

    /// Its pixels as they lie in memory where nothing is done to them, and where vectors do not end behind the last;
    /// otherwise loaded into `to`, of [`Band::len`], with `room` of [`Load::row_len`].
    pub fn pixels<'r>(
        &self,
        level: Level,
        load: &Load<'r>,
        to: &'r mut [f32],
        room: &mut [f32],
    ) -> Pixels<'r> {
        let values = match load.plain_source() {
            Some(Numbers::F32(x))
                if self.border == 0 && self.step == self.channels && self.channels.is_multiple_of(BLOCK) =>
            {
                &x[self.first() * self.channels..]
            }
            _ => {
                for (sample, to) in self.samples.clone().zip(to.chunks_exact_mut(self.sample())) {
                    level.run(LoadSample { band: self, load, sample, to, room });
                }
                to
            }
        };
        let size = [self.rows[1] - self.rows[0], self.size[1]];
        let steps = [self.sample(), self.line(), self.step];
        Pixels { values, samples: self.samples.len(), size, steps }
    }
}

/// Loads the rows of a sample, and their border.
struct LoadSample<'a, 'b> {
    band: &'a Band,
    load: &'a Load<'a>,
    sample: usize,
    to: &'b mut [f32],
    room: &'b mut [f32],
}

impl Kernel for LoadSample<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let LoadSample { band, load, sample, to, room } = self;
        let [h, w] = band.size;
        for (index, line) in to.chunks_exact_mut(band.line()).enumerate() {
            match (band.rows[0] + index).checked_sub(band.border) {
                Some(y) if y < h => {
                    let (before, rest) = line.split_at_mut(band.border * band.step);
                    let (to, after) = rest.split_at_mut(w * band.step);
                    let row = load.row(s, [sample, y], [h, w], room);
                    if band.step == band.channels {
                        to.copy_from_slice(row);
                    } else {
                        for (to, pixel) in to.chunks_exact_mut(band.step).zip(row.chunks_exact(band.channels))
                        {
                            to[..band.channels].copy_from_slice(pixel);
                        }
                    }
                    before.fill(0.0);
                    after.fill(0.0);
                }
                _ => line.fill(0.0),
            }
        }
    }
}
