//! Convolutions as they are defined, product by product.
//!
//! The inputs of a row of taps lie together in an image, so a result is a sum over one such row (1x1) or three of them,
//! a row of the image apart (3x3). A task reads images as they lie where they need no border and nothing is done to
//! them; others it loads into rows of the same form.

use super::Conv;
use super::product::{Output, Product};
use crate::kernels::band::Band;
use crate::kernels::cut::Cut;
use crate::kernels::load::Load;
use crate::kernels::numbers::SharedNumbers;
use crate::kernels::pack::Weights;
use crate::kernels::store::Store;
use crate::{Level, Scratch};

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
        let (side, channels) = (if taps == 9 { 3 } else { 1 }, self.weights.channels().0);
        let band = Band { samples, rows, border: side / 2, size: [h, w], channels, step: channels };
        let [to, room] = scratch.take([band.len(), self.load.row_len(w)]);
        let pixels = band.pixels(level, self.load, to, room);
        let (sample, pixel) = (band.samples.start, band.first());
        let output = Output { store: self.store, numbers: self.out, sample, pixel };
        let (panels, lanes) = (self.weights.panels(level.lanes()), level.lanes());
        let depth = [side, side * channels];
        for panel in self.cut.panels(part, panels) {
            let weights = &self.packed[panel * self.weights.depth() * 2 * lanes..];
            level.run(Product { pixels, depth, weights, panels, panel, output });
        }
    }
}
