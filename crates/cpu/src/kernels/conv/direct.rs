//! Convolutions as they are defined, product by product.
//!
//! The inputs of a row of taps lie together in an image, so a result is a sum over one such row (1x1) or three of them,
//! a row of the image apart (3x3). A task reads images as they lie where they need no border and nothing is done to
//! them; others it loads into rows of the same form.

use super::Conv;
use super::product::{Output, Pixels, Product};
use crate::kernels::cut::Cut;
use crate::kernels::load::Load;
use crate::kernels::numbers::{Numbers, SharedNumbers};
use crate::kernels::pack::Weights;
use crate::kernels::store::Store;
use crate::{Kernel, Level, Scratch, Simd};

/// One task: some samples or a band, and some panels.
pub(super) struct Task<'a> {
    pub shape: Conv,
    pub load: &'a Load<'a>,
    pub weights: Weights<'a>,
    /// By [`Direct`](crate::kernels::pack::Direct).
    pub packed: &'a [f32],
    pub store: &'a Store<'a>,
    pub out: SharedNumbers<'a>,
    pub cut: Cut,
    pub index: usize,
}

impl Task<'_> {
    pub fn run(&self, level: Level, scratch: &mut Scratch) {
        let Conv { h, w, taps, .. } = self.shape;
        let (samples, rows, part) = self.cut.task(self.index, self.shape);
        let side = if taps == 9 { 3 } else { 1 };
        let band = Band { rows, border: side / 2, size: [h, w], channels: self.weights.channels().0 };
        let pixel = (samples.start * h + rows[0]) * w;
        let [loaded, room] = scratch.take([samples.len() * band.len(), self.load.row_len(w)]);
        let values = match (self.load.plain_source(), side) {
            (Some(Numbers::F32(x)), 1) => &x[pixel * band.channels..],
            _ => {
                for (sample, to) in samples.clone().zip(loaded.chunks_exact_mut(band.len())) {
                    level.run(LoadBand { band, load: self.load, sample, to, room });
                }
                loaded
            }
        };
        let steps = [band.len(), band.line(), band.channels];
        let pixels = Pixels { values, samples: samples.len(), size: [rows[1] - rows[0], w], steps };
        let output = Output { store: self.store, numbers: self.out, sample: samples.start, pixel };
        let (panels, lanes) = (self.weights.panels(level.lanes()), level.lanes());
        let depth = [side, side * band.channels];
        for panel in self.cut.panels(part, panels) {
            let weights = &self.packed[panel * self.weights.depth() * 2 * lanes..];
            level.run(Product { pixels, depth, weights, panels, panel, output });
        }
    }
}

/// Rows of samples as they lie, with a border of zeros.
#[derive(Clone, Copy)]
struct Band {
    /// The first row and the one after the last.
    rows: [usize; 2],
    /// Rows and columns on each side.
    border: usize,
    /// The samples' height and width.
    size: [usize; 2],
    channels: usize,
}

impl Band {
    /// Numbers of a row.
    fn line(&self) -> usize {
        (self.size[1] + 2 * self.border) * self.channels
    }

    /// Numbers of a sample.
    fn len(&self) -> usize {
        (self.rows[1] - self.rows[0] + 2 * self.border) * self.line()
    }
}

/// Loads the band of a sample.
struct LoadBand<'a, 'b> {
    band: Band,
    load: &'a Load<'a>,
    sample: usize,
    to: &'b mut [f32],
    /// Of [`Load::row_len`].
    room: &'b mut [f32],
}

impl Kernel for LoadBand<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let LoadBand { band, load, sample, to, room } = self;
        let [h, w] = band.size;
        for (index, line) in to.chunks_exact_mut(band.line()).enumerate() {
            match (band.rows[0] + index).checked_sub(band.border) {
                Some(y) if y < h => {
                    let (before, rest) = line.split_at_mut(band.border * band.channels);
                    let (row, after) = rest.split_at_mut(w * band.channels);
                    row.copy_from_slice(load.row(s, [sample, y], [h, w], room));
                    before.fill(0.0);
                    after.fill(0.0);
                }
                _ => line.fill(0.0),
            }
        }
    }
}
