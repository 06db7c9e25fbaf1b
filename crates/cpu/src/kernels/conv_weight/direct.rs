//! Gradients of 3x3 weights, product by product: all samples and pixels of a weight in one register.

use std::ops::Range;

use super::{Layout, Weights};
use crate::kernels::load::{BLOCK, Load, LoadTile};
use crate::kernels::numbers::Numbers;
use crate::kernels::tile::{Registers, products};
use crate::{Kernel, Level, Simd};

impl Layout {
    /// Floats of a loaded sample: the tile, then the gradient as `[panel][pixel][channel of the panel]`.
    pub(super) fn direct_len(&self) -> usize {
        self.tile.len() + self.pixels() * self.panels.count() * 2 * self.panels.lanes
    }

    pub(super) fn load_directly(
        &self,
        level: Level,
        load: &Load,
        from: Numbers,
        sample: usize,
        [to, room]: [&mut [f32]; 2],
    ) {
        let (x, dy) = to.split_at_mut(self.tile.len());
        level.run(LoadTile { tile: self.tile, load, sample, first: 0, h: self.shape.h, to: x, room });
        level.run(PackGradient { layout: *self, from, dy });
    }
}

/// Packs one sample's gradient into panels.
struct PackGradient<'a, 'b> {
    layout: Layout,
    from: Numbers<'a>,
    dy: &'b mut [f32],
}

impl Kernel for PackGradient<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Layout { shape, panels, .. } = self.layout;
        let pixels = self.layout.pixels();
        for panel in 0..panels.count() {
            let (start, real, width) =
                (panels.start(panel), panels.real(panel), panels.vectors(panel) * S::LANES);
            let to = &mut self.dy[panel * pixels * 2 * S::LANES..][..pixels * width];
            for (pixel, to) in to.chunks_exact_mut(width).enumerate() {
                let from = self.from.range(pixel * shape.cout + start, real);
                for j in (0..width).step_by(S::LANES) {
                    s.write(to, j, from.read(s, j));
                }
            }
        }
    }
}

impl Weights<'_> {
    #[inline(always)]
    pub(super) fn sum_directly<S: Simd, const Q: usize, const N: usize>(
        &self,
        s: S,
        panel: usize,
        block: usize,
    ) {
        let Layout { shape, tile, .. } = self.layout;
        let channels = (shape.cin - block * BLOCK).min(BLOCK);
        for tap in 0..9 {
            for first in (0..channels).step_by(Q) {
                let mut acc = [[[s.splat(0.0); N]; Q]; 1];
                let real = Q.min(channels - first);
                if self.add {
                    for (i, sums) in acc[0].iter_mut().enumerate().take(real) {
                        let row = self.row(tap, block * BLOCK + first + i, panel);
                        for (j, sum) in sums.iter_mut().enumerate() {
                            *sum = s.read(row, (j * S::LANES).min(row.len()));
                        }
                    }
                }
                for sample in self.loaded.chunks_exact(self.layout.direct_len()) {
                    let x = &sample[block * tile.plane()..][..tile.plane()];
                    let dy = &sample[tile.len() + panel * self.layout.pixels() * 2 * S::LANES..];
                    let x = x[first..].as_ptr();
                    // SAFETY: rows of pixels inside the tile, and rows of the panel's gradient.
                    unsafe { self.pixels::<S, Q, N>(s, tap, x, dy.as_ptr(), &mut acc) };
                }
                for (i, sums) in acc[0].iter().enumerate().take(real) {
                    let row = self.row(tap, block * BLOCK + first + i, panel);
                    for (j, sum) in sums.iter().enumerate() {
                        s.write(row, j * S::LANES, *sum);
                    }
                }
            }
        }
    }

    /// The products of all pixels of a sample with one tap.
    #[inline(always)]
    unsafe fn pixels<S: Simd, const Q: usize, const N: usize>(
        &self,
        s: S,
        tap: usize,
        x: *const f32,
        dy: *const f32,
        acc: &mut Registers<S, 1, Q, N>,
    ) {
        let Layout { shape, tile, .. } = self.layout;
        let (rows, columns) = (inside(tap / 3, shape.h), inside(tap % 3, shape.w));
        for y in rows {
            // SAFETY: the caller's promise.
            unsafe {
                let [above, left] = [y + tap / 3 - 1, columns.start + tap % 3 - 1];
                let row = above * tile.row() + left * BLOCK;
                let dy = dy.add((y * shape.w + columns.start) * N * S::LANES);
                let from = ([x.add(row)], BLOCK);
                // The count of a small image is a constant, so that its loop is unrolled.
                match columns.len() {
                    3 => products::<S, 1, Q, N, 1>(s, 3, from, dy, acc),
                    4 => products::<S, 1, Q, N, 1>(s, 4, from, dy, acc),
                    7 => products::<S, 1, Q, N, 1>(s, 7, from, dy, acc),
                    8 => products::<S, 1, Q, N, 1>(s, 8, from, dy, acc),
                    count => products::<S, 1, Q, N, 1>(s, count, from, dy, acc),
                }
            }
        }
    }
}

/// The pixels of `len` whose neighbour a tap meets: the others meet zeros.
fn inside(tap: usize, len: usize) -> Range<usize> {
    1_usize.saturating_sub(tap)..len - tap.saturating_sub(1)
}
