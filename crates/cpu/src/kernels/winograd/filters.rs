//! The filters of a convolution by Winograd's algorithm.

use super::transforms::{self, ELEMENTS, SIDE};
use crate::kernels::load::BLOCK;
use crate::kernels::pack::{Packing, Weights};
use crate::kernels::pointer::Parts;
use crate::{Kernel, Level, Scratch, Simd};

/// G g Gᵀ of all filters: `[panel][block][element][channel of the block][channel of the panel]`.
pub(super) struct Filters<'a> {
    pub weights: Weights<'a>,
    pub level: Level,
}

/// Floats of a panel's block, `width` channels wide.
pub(super) fn block_len(width: usize) -> usize {
    ELEMENTS * element_step(width)
}

/// Floats from one element of a block to the next: not a power of two, as those share few places of a cache.
pub(super) fn element_step(width: usize) -> usize {
    BLOCK * width + BLOCK
}

impl Packing for Filters<'_> {
    fn len(&self) -> usize {
        self.parts() * block_len(2 * self.level.lanes())
    }

    fn parts(&self) -> usize {
        self.weights.panels(self.level.lanes()).count() * self.weights.blocks()
    }

    fn write(&self, part: usize, to: Parts<f32>, scratch: &mut Scratch) {
        let Filters { weights, level } = self;
        let (lanes, blocks) = (level.lanes(), weights.blocks());
        let (panel, block) = (part / blocks, part % blocks);
        let width = weights.panels(lanes).vectors(panel) * lanes;
        // SAFETY: each part is of another panel or block.
        let to = unsafe { to.range(part * block_len(2 * lanes), block_len(2 * lanes)) };
        let (depth, step) = (weights.block_depth(block), element_step(width));
        if let Some((from, steps)) = weights.block_as_it_lies(lanes, [panel, block]) {
            return level.run(Transform { from, steps, depth, width, to, step });
        }
        let [packed] = scratch.take([9 * depth * width]);
        weights.pack_block(*level, [panel, block], packed);
        level.run(Transform { from: packed, steps: [depth * width, width], depth, width, to, step });
    }
}

/// Transforms the filters of a panel and block.
struct Transform<'a> {
    /// `[tap][channel][channel of the panel]`
    from: &'a [f32],
    /// Floats from one tap, and from one channel, to the next.
    steps: [usize; 2],
    /// Channels of the block.
    depth: usize,
    /// Channels of the panel.
    width: usize,
    to: &'a mut [f32],
    /// Floats from one element to the next.
    step: usize,
}

impl Kernel for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Transform { from, steps: [tap, channel], depth, width, to, step } = self;
        assert!(from.len() >= 8 * tap + (depth - 1) * channel + width);
        for (k, i) in (0..depth).flat_map(|k| (0..width).step_by(S::LANES).map(move |i| (k, i))) {
            let mut columns = [[s.splat(0.0); SIDE]; 3];
            for (x, column) in columns.iter_mut().enumerate() {
                let mut taps = [s.splat(0.0); 3];
                for (y, g) in taps.iter_mut().enumerate() {
                    // SAFETY: asserted above.
                    *g = unsafe { s.load(from.as_ptr().add((3 * y + x) * tap + k * channel + i)) };
                }
                *column = transforms::filter(s, taps);
            }
            let [a, b, c] = &columns;
            let to = &mut to[k * width + i..][..(ELEMENTS - 1) * step + S::LANES];
            for y in 0..SIDE {
                for (x, value) in transforms::filter(s, [a[y], b[y], c[y]]).iter().enumerate() {
                    // SAFETY: all elements are there, as sliced above.
                    unsafe { s.store(to.as_mut_ptr().add((SIDE * y + x) * step), *value) };
                }
            }
        }
    }
}
