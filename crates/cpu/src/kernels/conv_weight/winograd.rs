//! Gradients of 3x3 weights through Winograd's F(2x2, 3x3): 16 products for 2x2 pixels instead of 36.
//!
//! With tiles d of 4x4 inputs and e of 2x2 gradients of the output, the gradient of the filters is
//! Gᵀ[Σ (Bᵀ d B) ⊙ (A e Aᵀ)]G: the adjoint of what the convolution does (see `kernels/winograd.rs`).

use super::{Layout, Weights};
use crate::kernels::conv::Conv;
use crate::kernels::load::{BLOCK, Load, LoadTile};
use crate::kernels::numbers::Numbers;
use crate::kernels::tile::{products, store};
pub(super) use crate::kernels::winograd::ELEMENTS;
use crate::kernels::winograd::transform_run;
use crate::{Kernel, Level, Simd};

/// Tiles of a sample that are worth the transforms of its sums.
const FEWEST: usize = 64;

pub(super) fn suits(shape: Conv) -> bool {
    let even = shape.h.is_multiple_of(2) && shape.w.is_multiple_of(2);
    shape.taps == 9 && even && shape.h * shape.w >= 4 * FEWEST && shape.cin.min(shape.cout) >= BLOCK
}

impl Layout {
    fn tiles(&self) -> usize {
        self.pixels() / 4
    }

    /// Floats from one element of the inputs, or of the gradients, to the next: no powers of two, as those share few
    /// places of a cache.
    fn steps(&self) -> [usize; 2] {
        let inputs = self.tile.blocks() * self.tiles() * BLOCK;
        let gradients = self.panels.count() * self.tiles() * 2 * self.panels.lanes;
        [inputs + BLOCK, gradients + BLOCK]
    }

    /// Floats of a loaded sample: the inputs `[element][block][tile][channel of the block]`, then the gradients
    /// `[element][panel][tile][channel of the panel]`.
    pub(super) fn winograd_len(&self) -> usize {
        ELEMENTS * self.steps().iter().sum::<usize>()
    }

    pub(super) fn load_transformed(
        &self,
        level: Level,
        load: &Load,
        from: Numbers,
        sample: usize,
        [to, room]: [&mut [f32]; 2],
    ) {
        let (pixels, room) = room.split_at_mut(self.tile.len());
        let (x, dy) = to.split_at_mut(ELEMENTS * self.steps()[0]);
        level.run(LoadTile { tile: self.tile, load, sample, first: 0, h: self.shape.h, to: pixels, room });
        level.run(TransformInputs { layout: *self, pixels, to: x });
        level.run(TransformGradients { layout: *self, from, to: dy });
    }
}

struct TransformInputs<'a, 'b> {
    layout: Layout,
    pixels: &'a [f32],
    to: &'b mut [f32],
}

impl Kernel for TransformInputs<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Layout { tile, .. } = self.layout;
        let (across, step) = (tile.w / 2, self.layout.steps()[0]);
        for block in 0..tile.blocks() {
            for y in 0..tile.rows / 2 {
                let from = block * tile.plane() + 2 * y * tile.row();
                let to = (block * self.layout.tiles() + y * across) * BLOCK;
                for i in (0..BLOCK).step_by(S::LANES) {
                    transform_run(
                        s,
                        tile.row(),
                        across,
                        &self.pixels[from + i..],
                        &mut self.to[to + i..],
                        step,
                    );
                }
            }
        }
    }
}

struct TransformGradients<'a, 'b> {
    layout: Layout,
    from: Numbers<'a>,
    to: &'b mut [f32],
}

impl Kernel for TransformGradients<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Layout { shape, panels, .. } = self.layout;
        let (tiles, step) = (self.layout.tiles(), self.layout.steps()[1]);
        for panel in 0..panels.count() {
            let (start, real) = (panels.start(panel), panels.real(panel));
            let width = panels.vectors(panel) * S::LANES;
            for tile in 0..tiles {
                let (y, x) = (tile / (shape.w / 2), tile % (shape.w / 2));
                let from = (2 * y * shape.w + 2 * x) * shape.cout + start;
                let below = shape.w * shape.cout;
                let to = &mut self.to[panel * tiles * 2 * S::LANES + tile * width..];
                for j in (0..width).step_by(S::LANES) {
                    let read = |pixel: usize| self.from.range(from + pixel + j, real - j).read(s, 0);
                    let [a, b] = [read(0), read(shape.cout)];
                    let [c, d] = [read(below), read(below + shape.cout)];
                    let (left, right) = (spread(s, [a, c]), spread(s, [b, d]));
                    for y in 0..4 {
                        let row = spread(s, [left[y], right[y]]);
                        for (x, value) in row.iter().enumerate() {
                            s.write(to, (4 * y + x) * step + j, *value);
                        }
                    }
                }
            }
        }
    }
}

impl Weights<'_> {
    #[inline(always)]
    pub(super) fn sum_transformed<S: Simd, const Q: usize, const N: usize>(
        &mut self,
        s: S,
        panel: usize,
        block: usize,
    ) {
        let (layout, width) = (self.layout, N * S::LANES);
        let (tiles, [inputs, gradients]) = (layout.tiles(), layout.steps());
        let channels = (layout.shape.cin - block * BLOCK).min(BLOCK);
        for sample in self.loaded.chunks_exact(layout.winograd_len()) {
            let (x, dy) = sample.split_at(ELEMENTS * inputs);
            for element in 0..ELEMENTS {
                let x = &x[element * inputs + block * tiles * BLOCK..][..tiles * BLOCK];
                let dy = &dy[element * gradients + panel * tiles * 2 * S::LANES..][..tiles * width];
                for first in (0..channels).step_by(Q) {
                    let mut acc = [[[s.splat(0.0); N]; Q]; 1];
                    // SAFETY: `tiles` blocks of inputs and rows of gradients, as sliced above.
                    unsafe {
                        let from = x.as_ptr().add(first);
                        products::<S, 1, Q, N, 1>(s, tiles, ([from], BLOCK), dy.as_ptr(), &mut acc);
                    }
                    store(s, &acc, &mut self.sums[(element * BLOCK + first) * width..]);
                }
            }
            for channel in 0..channels {
                self.finish::<S, N>(s, panel, block * BLOCK + channel, channel * width);
            }
        }
    }

    /// Gᵀ u G of the filters of an input channel, whose sums begin at `from`.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // a row of four columns
    fn finish<S: Simd, const N: usize>(&self, s: S, panel: usize, channel: usize, from: usize) {
        for j in 0..N {
            let mut columns = [[s.splat(0.0); 3]; 4];
            for (x, column) in columns.iter_mut().enumerate() {
                let mut u = [s.splat(0.0); 4];
                for (y, u) in u.iter_mut().enumerate() {
                    let element = (4 * y + x) * BLOCK * N * S::LANES;
                    *u = s.read(self.sums, element + from + j * S::LANES);
                }
                *column = gather(s, u);
            }
            for y in 0..3 {
                let row = gather(s, [columns[0][y], columns[1][y], columns[2][y], columns[3][y]]);
                for (x, sum) in row.iter().enumerate() {
                    let to = self.row(3 * y + x, channel, panel);
                    let sum = if self.add { s.add(s.read(to, j * S::LANES), *sum) } else { *sum };
                    s.write(to, j * S::LANES, sum);
                }
            }
        }
    }
}

/// A e, the adjoint of a convolution's last transform.
#[inline(always)]
fn spread<S: Simd>(s: S, e: [S::F; 2]) -> [S::F; 4] {
    [e[0], s.add(e[0], e[1]), s.sub(e[0], e[1]), s.sub(s.splat(0.0), e[1])]
}

/// Gᵀ u, the adjoint of the filters' transform.
#[inline(always)]
fn gather<S: Simd>(s: S, u: [S::F; 4]) -> [S::F; 3] {
    let half = s.splat(0.5);
    let both = s.mul(half, s.add(u[1], u[2]));
    [s.add(u[0], both), s.mul(half, s.sub(u[1], u[2])), s.add(both, u[3])]
}
