//! The filters of a convolution by Winograd's algorithm.

use super::transforms::{self, ELEMENTS, SIDE};
use crate::kernels::load::BLOCK;
use crate::kernels::pack::{Packing, Weights};
use crate::kernels::pointer::Parts;
use crate::{Kernel, Level, Scratch, Simd};

/// G g Gᵀ of all filters: `[panel][element][channel][channel of the panel]`, with elements [`filters_step`] apart.
pub(super) struct Filters<'a> {
    pub weights: Weights<'a>,
    pub level: Level,
}

/// Floats from one element of a panel's filters to the next: not a power of two, as those share few places of a cache.
pub(super) fn filters_step(cin: usize, width: usize) -> usize {
    cin * width + BLOCK
}

impl Packing for Filters<'_> {
    fn len(&self) -> usize {
        let (cin, lanes) = (self.weights.channels().0, self.level.lanes());
        self.weights.panels(lanes).count() * ELEMENTS * filters_step(cin, 2 * lanes)
    }

    fn parts(&self) -> usize {
        self.weights.panels(self.level.lanes()).count() * self.weights.blocks()
    }

    fn write(&self, part: usize, to: Parts<f32>, scratch: &mut Scratch) {
        let Filters { weights, level } = self;
        let (cin, lanes, blocks) = (weights.channels().0, level.lanes(), weights.blocks());
        let (panel, block) = (part / blocks, part % blocks);
        let width = weights.panels(lanes).vectors(panel) * lanes;
        let [packed] = scratch.take([9 * weights.block_depth(block) * width]);
        weights.pack_block(*level, [panel, block], packed);
        let start = panel * ELEMENTS * filters_step(cin, 2 * lanes) + block * BLOCK * width;
        level.run(Transform { packed, to, start, step: filters_step(cin, width) });
    }
}

/// Transforms the filters of a panel and block: `packed` is `[tap][channel][width]`.
struct Transform<'a> {
    packed: &'a [f32],
    to: Parts<'a, f32>,
    /// Where the first element's rows of this panel and block begin, which no other part has.
    start: usize,
    /// Floats from one element to the next.
    step: usize,
}

impl Kernel for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let len = self.packed.len() / 9;
        for i in (0..len).step_by(S::LANES) {
            let mut columns = [[s.splat(0.0); SIDE]; 3];
            for (x, column) in columns.iter_mut().enumerate() {
                let tap = |y: usize| &self.packed[(3 * y + x) * len..][..len];
                *column = transforms::filter(s, [s.read(tap(0), i), s.read(tap(1), i), s.read(tap(2), i)]);
            }
            let [a, b, c] = &columns;
            for y in 0..SIDE {
                for (x, value) in transforms::filter(s, [a[y], b[y], c[y]]).iter().enumerate() {
                    let start = self.start + (SIDE * y + x) * self.step + i;
                    // SAFETY: the rows of this panel and block, which no other part has.
                    s.write(unsafe { self.to.range(start, S::LANES) }, 0, *value);
                }
            }
        }
    }
}
