//! Gradients of 3x3 weights through Winograd's F(4x4, 3x3): 36 products for 4x4 pixels instead of 144.
//!
//! With tiles d of 6x6 inputs and e of 4x4 gradients of the output, the gradient of the filters is
//! Gᵀ[Σ (Bᵀ d B) ⊙ (A e Aᵀ)]G: the adjoint of what the convolution does (see `kernels/winograd.rs`).

use super::{Layout, Weights};
use crate::kernels::conv::Conv;
use crate::kernels::load::{BLOCK, Load, LoadTile};
use crate::kernels::numbers::Numbers;
use crate::kernels::tile::{products, store};
use crate::kernels::winograd::transforms::{self, ELEMENTS, OUTPUTS, SIDE};
use crate::kernels::winograd::{column_of, transform_run};
use crate::{Kernel, Level, Simd};

/// Tiles of a sample that are worth the transforms of its sums.
const FEWEST: usize = 16;

pub(super) fn suits(shape: Conv) -> bool {
    let tiles = tiles(shape).iter().product::<usize>();
    shape.taps == 9 && tiles >= FEWEST && shape.cin.min(shape.cout) >= BLOCK
}

/// Tiles of a sample, down and across.
fn tiles(shape: Conv) -> [usize; 2] {
    [shape.h.div_ceil(OUTPUTS), shape.w.div_ceil(OUTPUTS)]
}

impl Layout {
    fn tiles(&self) -> usize {
        tiles(self.shape).iter().product()
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
        let ([down, across], step) = (tiles(self.layout.shape), self.layout.steps()[0]);
        for block in 0..tile.blocks() {
            for y in 0..down {
                let from = block * tile.plane() + OUTPUTS * y * tile.row();
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
        let ([down, across], step) = (tiles(shape), self.layout.steps()[1]);
        for panel in 0..panels.count() {
            let (start, width) = (panels.start(panel), panels.vectors(panel) * S::LANES);
            for (tile, j) in
                (0..down * across).flat_map(|tile| (0..width).step_by(S::LANES).map(move |j| (tile, j)))
            {
                let columns = self.columns(s, [tile / across, tile % across], start + j);
                let [a, b, c, d] = &columns;
                let at = panel * down * across * 2 * S::LANES + tile * width + j;
                for y in 0..SIDE {
                    let row = transforms::output_adjoint(s, [a[y], b[y], c[y], d[y]]);
                    for (x, value) in row.iter().enumerate() {
                        s.write(self.to, (SIDE * y + x) * step + at, *value);
                    }
                }
            }
        }
    }
}

impl TransformGradients<'_, '_> {
    /// A e of each column of a tile, for a vector of channels.
    #[inline(always)]
    fn columns<S: Simd>(&self, s: S, [y, x]: [usize; 2], channel: usize) -> [[S::F; SIDE]; OUTPUTS] {
        let Conv { h, w, cout, .. } = self.layout.shape;
        let real = (cout - channel).min(S::LANES);
        let mut columns = [[s.splat(0.0); SIDE]; OUTPUTS];
        for (column, x) in columns.iter_mut().zip(OUTPUTS * x..w) {
            let mut e = [s.splat(0.0); OUTPUTS];
            for (e, y) in e.iter_mut().zip(OUTPUTS * y..h) {
                *e = self.from.range((y * w + x) * cout + channel, real).read(s, 0);
            }
            *column = transforms::output_adjoint(s, e);
        }
        columns
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
    fn finish<S: Simd, const N: usize>(&self, s: S, panel: usize, channel: usize, from: usize) {
        let step = BLOCK * N * S::LANES;
        assert!(self.sums.len() >= (ELEMENTS - 1) * step + from + N * S::LANES);
        for j in (0..N * S::LANES).step_by(S::LANES) {
            let mut columns = [[s.splat(0.0); 3]; SIDE];
            for (x, column) in columns.iter_mut().enumerate() {
                // SAFETY: asserted above.
                let u = unsafe { column_of(s, self.sums.as_ptr().add(from + j + x * step), SIDE * step) };
                *column = transforms::filter_adjoint(s, u);
            }
            let [a, b, c, d, e, f] = &columns;
            for y in 0..3 {
                let row = transforms::filter_adjoint(s, [a[y], b[y], c[y], d[y], e[y], f[y]]);
                for (x, sum) in row.iter().enumerate() {
                    let to = self.row(3 * y + x, channel, panel);
                    let sum = if self.add { s.add(s.read(to, j), *sum) } else { *sum };
                    s.write(to, j, sum);
                }
            }
        }
    }
}
