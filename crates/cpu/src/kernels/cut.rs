//! How a convolution is cut into tasks; it never shows in the result.

use std::ops::Range;

use super::conv::Conv;
use super::load::BLOCK;
use super::pack::Panels;

/// Bytes of a loaded tile that leave room for weights in the second-level cache.
const TILE_BYTES: usize = 1 << 20;

/// Pixels of a task that make its reading of all weights worth while.
const TASK_PIXELS: usize = 256;

/// Tasks of some samples, or a band of rows of one, and some panels.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// Samples of a task; 1 where there are bands.
    samples: usize,
    groups: usize,
    /// Bands of rows of a sample, each a multiple of `step` rows.
    bands: usize,
    step: usize,
    /// Parts of the panels.
    parts: usize,
}

impl Cut {
    pub fn new(shape: Conv, cin: usize, panels: Panels, step: usize, threads: usize) -> Cut {
        let (pixels, most) = (shape.h * shape.w, shape.h.div_ceil(step));
        let tile = (shape.h + 2) * (shape.w + 2) * cin.next_multiple_of(BLOCK) * 4;
        let by_size = tile.div_ceil(TILE_BYTES).min(most);
        if by_size > 1 {
            let bands = by_size.max(threads.div_ceil(shape.n.max(1))).min(most);
            return Cut { samples: 1, groups: shape.n, bands, step, parts: 1 };
        }
        let samples = TASK_PIXELS.div_ceil(pixels).min(TILE_BYTES / tile).max(1);
        let groups = shape.n.div_ceil(samples);
        if groups.is_multiple_of(threads) || groups >= 4 * threads {
            return Cut { samples, groups, bands: 1, step, parts: 1 };
        }
        // Too few groups: cut the weights where they weigh more than the images, and the images where they do.
        let fewest = threads.div_ceil(groups).max(2);
        if pixels * shape.n < shape.taps * panels.channels && panels.count() >= fewest {
            return Cut { samples, groups, bands: 1, step, parts: fewest };
        }
        let fair = shape.n.div_ceil(threads).min(samples).max(1);
        let groups = shape.n.div_ceil(fair);
        let bands = if groups.is_multiple_of(threads) || fair > 1 { 1 } else { threads.min(most) };
        Cut { samples: fair, groups, bands, step, parts: 1 }
    }

    /// Whether tasks need some of the panels only.
    pub fn has_parts(&self) -> bool {
        self.parts > 1
    }

    /// Whether a task makes all of its samples.
    pub fn has_whole_samples(&self) -> bool {
        self.bands == 1 && self.parts == 1
    }

    pub fn tasks(&self) -> usize {
        self.groups * self.bands * self.parts
    }

    /// The samples of a task, the first row and the one after its last, and its part of the panels.
    pub fn task(&self, index: usize, shape: Conv) -> (Range<usize>, [usize; 2], usize) {
        let (image, part) = (index / self.parts, index % self.parts);
        let (first, band) = (image / self.bands * self.samples, image % self.bands);
        let steps = shape.h.div_ceil(self.step);
        let rows = [band, band + 1].map(|band| (band * steps / self.bands * self.step).min(shape.h));
        (first..(first + self.samples).min(shape.n), rows, part)
    }

    /// The panels of a part.
    pub fn panels(&self, part: usize, panels: Panels) -> Range<usize> {
        part * panels.count() / self.parts..(part + 1) * panels.count() / self.parts
    }
}
