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
        let [packed] = scratch.take([9 * weights.block_depth(block) * width]);
        weights.pack_block(*level, [panel, block], packed);
        // SAFETY: each part is of another panel or block.
        let to = unsafe { to.range(part * block_len(2 * lanes), block_len(2 * lanes)) };
        level.run(Transform { packed, to, step: element_step(width) });
    }
}

/// Transforms the filters of a panel and block: `packed` is `[tap][channel][width]`.
struct Transform<'a> {
    packed: &'a [f32],
    to: &'a mut [f32],
    /// Floats from one element to the next.
    step: usize,
}

impl Kernel for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (len, step) = (self.packed.len() / 9, self.step);
        // A half of the elements after the other: they are on as many pages of memory as a core can keep track of.
        for rows in [0..SIDE / 2, SIDE / 2..SIDE] {
            for i in (0..len).step_by(S::LANES) {
                let mut columns = [[s.splat(0.0); SIDE]; 3];
                for (x, column) in columns.iter_mut().enumerate() {
                    let a = &self.packed[x * len..][..len];
                    let b = &self.packed[(x + 3) * len..][..len];
                    let c = &self.packed[(x + 6) * len..][..len];
                    *column = transforms::filter(s, [s.read(a, i), s.read(b, i), s.read(c, i)]);
                }
                let [a, b, c] = &columns;
                let to = &mut self.to[i..][..(ELEMENTS - 1) * step + S::LANES];
                for y in 0..SIDE {
                    if rows.contains(&y) {
                        for (x, value) in transforms::filter(s, [a[y], b[y], c[y]]).iter().enumerate() {
                            // SAFETY: all elements are there, as sliced above.
                            unsafe { s.store(to.as_mut_ptr().add((SIDE * y + x) * step), *value) };
                        }
                    }
                }
            }
        }
    }
}
