//! Gradients of 3x3 weights through Winograd's F(4x4, 3x3): 36 products for 4x4 pixels instead of 144.
//!
//! With tiles d of 6x6 inputs and e of 4x4 gradients of the output, the gradient of the filters is
//! Gᵀ[Σ (Bᵀ d B) ⊙ (A e Aᵀ)]G: the adjoint of what the convolution does (see `kernels/winograd.rs`).

use std::ops::Range;

use super::{Layout, Weights};
use crate::kernels::column::{Column, Place};
use crate::kernels::conv::Conv;
use crate::kernels::load::{BLOCK, ClearMargins, Load, LoadTile, Tile};
use crate::kernels::numbers::Numbers;
use crate::kernels::pack::Panels;
use crate::kernels::pointer::Parts;
use crate::kernels::tile::{products, store};
use crate::kernels::winograd::groups::{GROUP, Groups};
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
pub(super) fn tiles(shape: Conv) -> [usize; 2] {
    [shape.h.div_ceil(OUTPUTS), shape.w.div_ceil(OUTPUTS)]
}

impl Layout {
    fn tiles(&self) -> usize {
        tiles(self.shape).iter().product()
    }

    /// Where a loaded sample's inputs and gradients lie, the gradients behind the inputs.
    fn groups(&self) -> [Groups; 2] {
        let inputs = Groups { parts: self.tile.blocks(), width: BLOCK };
        [inputs, Groups { parts: self.panels.count(), width: 2 * self.panels.lanes }]
    }

    /// Floats of a loaded sample.
    pub(super) fn winograd_len(&self) -> usize {
        self.groups().iter().map(|groups| groups.len(self.tiles())).sum()
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
        let (x, dy) = to.split_at_mut(self.groups()[0].len(self.tiles()));
        let (tile, h) = (self.tile, self.shape.h);
        level.run(ClearMargins { tile, first: 0, h, to: pixels });
        level.run(LoadTile { tile, load, sample, first: 0, h, to: pixels, room });
        let ([inputs, gradients], panels) = (self.groups(), self.panels);
        let (shape, all) = (self.shape, 0..panels.count());
        level.run(TransformInputs { shape, tile: self.tile, pixels, to: x, groups: inputs, first: 0 });
        level.run(TransformGradients { shape, panels, own: all, from, to: dy, groups: gradients, first: 0 });
    }
}

/// Bᵀ d B of the tiles of a sample, which lie from the tile `first` of the groups on.
pub(super) struct TransformInputs<'a, 'b> {
    pub shape: Conv,
    pub tile: Tile,
    pub pixels: &'a [f32],
    pub to: &'b mut [f32],
    pub groups: Groups,
    pub first: usize,
}

impl Kernel for TransformInputs<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ([down, across], tile, groups) = (tiles(self.shape), self.tile, self.groups);
        for block in 0..tile.blocks() {
            for y in 0..down {
                let from = block * tile.plane() + OUTPUTS * y * tile.row();
                for i in (0..BLOCK).step_by(S::LANES) {
                    let from = (&self.pixels[from + i..], tile.row(), across);
                    transform_run(s, from, self.to, (groups, self.first + y * across, block, i));
                }
            }
        }
    }
}

/// A e Aᵀ of the tiles of a sample, for some panels of channels, likewise.
pub(super) struct TransformGradients<'a, 'b> {
    pub shape: Conv,
    pub panels: Panels,
    pub own: Range<usize>,
    pub from: Numbers<'a>,
    pub to: &'b mut [f32],
    pub groups: Groups,
    pub first: usize,
}

impl Kernel for TransformGradients<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ([down, across], panels, groups) = (tiles(self.shape), self.panels, self.groups);
        for tile in 0..down * across {
            for panel in self.own.clone() {
                let width = panels.vectors(panel) * S::LANES;
                for j in (0..width).step_by(S::LANES) {
                    let columns = self.columns(s, [tile / across, tile % across], panels.start(panel) + j);
                    let [a, b, c, d] = &columns;
                    let (place, part) = (self.first + tile, panel - self.own.start);
                    let at = groups.place(place / GROUP * GROUP, part) + place % GROUP * width + j;
                    let to = &mut self.to[at..][..(ELEMENTS - 1) * groups.step() + S::LANES];
                    for y in 0..SIDE {
                        let row = transforms::output_adjoint(s, [a[y], b[y], c[y], d[y]]);
                        for (x, value) in row.iter().enumerate() {
                            // SAFETY: all elements are there, as sliced above.
                            unsafe { s.store(to.as_mut_ptr().add((SIDE * y + x) * groups.step()), *value) };
                        }
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
        let Conv { h, w, cout, .. } = self.shape;
        let (first, len) = ((OUTPUTS * y * w + OUTPUTS * x) * cout + channel, (cout - channel).min(S::LANES));
        let [rows, pixels] = [OUTPUTS.min(h - OUTPUTS * y), OUTPUTS.min(w - OUTPUTS * x)];
        let place = Place { first, step: cout, len, pixels };
        match self.from {
            // What is known to be whole tiles and vectors of f32 needs no branches a pixel.
            Numbers::F32(from) if len == S::LANES && [rows, pixels] == [OUTPUTS; 2] => {
                let place = Place { len: S::LANES, pixels: OUTPUTS, ..place };
                columns(s, from.into(), place, w * cout, OUTPUTS)
            }
            from => columns(s, from, place, w * cout, rows),
        }
    }
}

/// A e of each column of some `rows`, which are `step` apart; zeros follow them and their pixels.
#[inline(always)]
fn columns<S: Simd>(s: S, from: Numbers, first: Place, step: usize, rows: usize) -> [[S::F; SIDE]; OUTPUTS] {
    let mut e = [[s.splat(0.0); OUTPUTS]; OUTPUTS];
    for y in 0..rows {
        let row = Column::new(s, from, Place { first: first.first + y * step, ..first });
        for (x, column) in e.iter_mut().enumerate() {
            if x < first.pixels {
                column[y] = row.read(s, x);
            }
        }
    }
    let mut columns = [[s.splat(0.0); SIDE]; OUTPUTS];
    for (column, e) in columns.iter_mut().zip(&e) {
        *column = transforms::output_adjoint(s, *e);
    }
    columns
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
        let (tiles, [inputs, gradients]) = (layout.tiles(), layout.groups());
        let channels = (layout.shape.cin - block * BLOCK).min(BLOCK);
        for sample in self.loaded.chunks_exact(layout.winograd_len()) {
            let (x, dy) = sample.split_at(inputs.len(tiles));
            for element in 0..ELEMENTS {
                for first in (0..channels).step_by(Q) {
                    let mut acc = [[[s.splat(0.0); N]; Q]; 1];
                    for tile in (0..tiles).step_by(GROUP) {
                        let x = &x[inputs.place(tile, block) + element * inputs.step() + first..];
                        let dy = &dy[gradients.place(tile, panel) + element * gradients.step()..];
                        let (from, dy) = (([x.as_ptr()], BLOCK), dy.as_ptr());
                        // SAFETY: the tiles of a group, each of `BLOCK` inputs and two vectors of gradients.
                        unsafe {
                            match GROUP.min(tiles - tile) {
                                GROUP => products::<S, 1, Q, N, 1>(s, GROUP, from, dy, &mut acc),
                                count => products::<S, 1, Q, N, 1>(s, count, from, dy, &mut acc),
                            }
                        }
                    }
                    store(s, &acc, &mut self.sums[(element * BLOCK + first) * width..]);
                }
            }
            let Weights { sums, to, add, .. } = self;
            TransformBack { shape: layout.shape, panels: layout.panels, sums, to: *to, add: *add }
                .cell::<S, N>(s, panel, block);
        }
    }
}

/// Gᵀ u G of sums over tiles: gradients of weights.
pub(super) struct TransformBack<'a> {
    pub shape: Conv,
    pub panels: Panels,
    /// Of a panel and a block: `[element][channel of the block][channel of the panel]`.
    pub sums: &'a [f32],
    /// `[tap][cin][cout]`
    pub to: Parts<'a, f32>,
    /// Whether to add to what is there.
    pub add: bool,
}

impl TransformBack<'_> {
    #[inline(always)]
    pub fn cell<S: Simd, const N: usize>(&self, s: S, panel: usize, block: usize) {
        let Conv { cin, cout, .. } = self.shape;
        let step = BLOCK * N * S::LANES;
        assert!(self.sums.len() >= ELEMENTS * step);
        for channel in 0..(cin - block * BLOCK).min(BLOCK) {
            for j in (0..N * S::LANES).step_by(S::LANES) {
                let mut columns = [[s.splat(0.0); 3]; SIDE];
                for (x, column) in columns.iter_mut().enumerate() {
                    let at = x * step + channel * N * S::LANES + j;
                    // SAFETY: asserted above.
                    let u = unsafe { column_of(s, self.sums.as_ptr().add(at), SIDE * step) };
                    *column = transforms::filter_adjoint(s, u);
                }
                let [a, b, c, d, e, f] = &columns;
                for y in 0..3 {
                    let row = transforms::filter_adjoint(s, [a[y], b[y], c[y], d[y], e[y], f[y]]);
                    for (x, sum) in row.iter().enumerate() {
                        let at =
                            ((3 * y + x) * cin + block * BLOCK + channel) * cout + self.panels.start(panel);
                        // SAFETY: this task's panel and block; nobody else has them, and one row is used at a time.
                        let to = unsafe { self.to.range(at, self.panels.real(panel)) };
                        let sum = if self.add { s.add(s.read(to, j), *sum) } else { *sum };
                        s.write(to, j, sum);
                    }
                }
            }
        }
    }
}
