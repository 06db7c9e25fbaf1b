//! Weights in the order in which the convolution kernel reads them.

use super::load::BLOCK;
use super::pointer::Parts;
use crate::Workers;

/// Weights `[tap][cin][cout]` and how they are read.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    pub values: &'a [f32],
    pub taps: usize,
    pub cin: usize,
    pub cout: usize,
    /// Taps from last to first, inputs and outputs exchanged: the gradient of the input.
    pub turned: bool,
}

/// A cut of the output channels into panels of `width`, of which the last may be `narrow`.
#[derive(Clone, Copy)]
pub struct Panels {
    pub channels: usize,
    /// Numbers in a vector; a panel is two vectors wide, or one.
    pub lanes: usize,
}

impl Panels {
    pub fn count(&self) -> usize {
        self.channels.div_ceil(2 * self.lanes)
    }

    /// The first channel of a panel.
    pub fn start(&self, panel: usize) -> usize {
        panel * 2 * self.lanes
    }

    /// Channels that are really there.
    pub fn real(&self, panel: usize) -> usize {
        (self.channels - self.start(panel)).min(2 * self.lanes)
    }

    /// One vector or two.
    pub fn vectors(&self, panel: usize) -> usize {
        self.real(panel).div_ceil(self.lanes)
    }
}

impl Weights<'_> {
    /// Channels that are summed over and channels that come out.
    pub fn channels(&self) -> (usize, usize) {
        if self.turned { (self.cout, self.cin) } else { (self.cin, self.cout) }
    }

    pub fn panels(&self, lanes: usize) -> Panels {
        Panels { channels: self.channels().1, lanes }
    }

    /// Products that are summed for one output.
    pub fn depth(&self) -> usize {
        self.taps * self.channels().0
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self, lanes: usize) -> usize {
        self.depth() * self.panels(lanes).count() * 2 * lanes
    }

    /// Packs as `[panel][block][tap][channel of the block][channel of the panel]`, zeros where a panel ends early.
    pub fn pack(&self, workers: &mut Workers, lanes: usize, packed: &mut [f32]) {
        let panels = self.panels(lanes);
        let blocks = self.channels().0.div_ceil(BLOCK);
        let packed = Parts::new(packed);
        workers.run(panels.count() * blocks, |task, _| {
            let (panel, block) = (task / blocks, task % blocks);
            let width = panels.vectors(panel) * lanes;
            let start = panel * self.depth() * 2 * lanes + block * BLOCK * self.taps * width;
            let inner = (self.channels().0 - block * BLOCK).min(BLOCK);
            // SAFETY: each task writes the part of its own panel and block.
            let part = unsafe { packed.range(start, inner * self.taps * width) };
            for (tap, part) in part.chunks_exact_mut(inner * width).enumerate() {
                self.pack_part(tap, block * BLOCK, panels.start(panel), panels.real(panel), width, part);
            }
        });
    }

    fn pack_part(&self, tap: usize, inner: usize, outer: usize, real: usize, width: usize, part: &mut [f32]) {
        let tap = if self.turned { self.taps - 1 - tap } else { tap };
        let weights = &self.values[tap * self.cin * self.cout..][..self.cin * self.cout];
        let steps = if self.turned { [1, self.cout] } else { [self.cout, 1] };
        pack_panel(&weights[inner * steps[0] + outer * steps[1]..], steps, real, width, part);
    }
}

/// Copies the matrix whose element `(k, j)` lies at `k · steps[0] + j · steps[1]` into rows of `width`, of which
/// `real` numbers are there; zeros follow them.
#[inline(always)]
pub fn pack_panel(from: &[f32], steps: [usize; 2], real: usize, width: usize, to: &mut [f32]) {
    if steps[1] == 1 {
        for (k, row) in to.chunks_exact_mut(width).enumerate() {
            row[..real].copy_from_slice(&from[k * steps[0]..][..real]);
            row[real..].fill(0.0);
        }
        return;
    }
    for (k, row) in to.chunks_exact_mut(width).enumerate() {
        for (j, value) in row[..real].iter_mut().enumerate() {
            *value = from[k * steps[0] + j * steps[1]];
        }
        row[real..].fill(0.0);
    }
}
