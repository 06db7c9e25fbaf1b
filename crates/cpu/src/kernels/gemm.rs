//! Matrix products whose bits do not depend on how many rows or columns there are: every sum runs over its products
//! from first to last, in one register.

use super::column::{ColumnMut, Place};
use super::numbers::SharedNumbers;
use super::pack::{Pack, Panels};
use super::pointer::Parts;
use super::tile::{Registers, products};
use crate::{Kernel, Pool, Simd};

/// `batch` products of `[m, k]` and `[k, n]`.
#[derive(Clone, Copy, Debug)]
pub struct Gemm {
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
}

/// A matrix inside a slice: element `(i, j)` of product `b` lies at `b · batch + i · row + j · column`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub values: &'a [f32],
    pub batch: usize,
    pub row: usize,
    pub column: usize,
}

/// What becomes of the sums.
#[derive(Clone, Copy)]
pub enum Finish<'a> {
    /// `sum · scale`
    Scale(f32),
    /// `sum + bias[j]`
    Bias(&'a [f32]),
    /// `sum · scales[i]`
    Rows(&'a [f32]),
    /// The sum starts at what is there: row by row the same bits as one long product.
    Accumulate,
}

/// Rows that make the packing of a panel worth while.
const ROWS: usize = 512;

impl<'a> View<'a> {
    /// Rows of `columns` numbers, one after the other; `batch` of 0 is one matrix for all products.
    pub fn rows(values: &'a [f32], columns: usize, batch: usize) -> Self {
        View { values, batch, row: columns, column: 1 }
    }

    pub fn transposed(self) -> Self {
        View { row: self.column, column: self.row, ..self }
    }

    /// The part of one product.
    #[inline(always)]
    fn of(self, batch: usize) -> Self {
        View { values: &self.values[batch * self.batch..], ..self }
    }

    /// Packs a panel of columns of a matrix with as many rows as `to` takes.
    #[inline(always)]
    pub(super) fn pack<S: Simd>(&self, s: S, panels: Panels, panel: usize, to: &mut [f32]) {
        if !to.is_empty() {
            let (from, steps) = (&self.values[panels.start(panel) * self.column..], [self.row, self.column]);
            Pack { from, steps, real: panels.real(panel), width: panels.vectors(panel) * S::LANES, to }
                .run(s);
        }
    }

    #[inline(always)]
    fn fits(&self, batch: usize, rows: usize, columns: usize) -> bool {
        let last = |count: usize, step: usize| count.saturating_sub(1) * step;
        last(batch, self.batch) + last(rows, self.row) + last(columns, self.column) < self.values.len()
    }
}

/// `out[b, i, j] = finish(Σ_k a[b, i, k] · b[b, k, j])`, `out` `[batch, m, n]`.
pub fn gemm(pool: &mut Pool, shape: Gemm, a: View, b: View, finish: Finish, out: &mut [f32]) {
    let Gemm { batch, m, n, k } = shape;
    assert_eq!(out.len(), batch * m * n, "the result of {shape:?}");
    if out.is_empty() {
        return;
    }
    assert!(k == 0 || (a.fits(batch, m, k) && b.fits(batch, k, n)), "{shape:?} needs more numbers");
    assert!(
        !matches!(finish, Finish::Bias(bias) if bias.len() != n),
        "a bias is needed for each of {n} columns"
    );
    let mut workers = pool.split().0;
    let (level, threads, out) = (workers.level, workers.threads(), Parts::new(out));
    let bands = m.div_ceil(ROWS).max(threads.div_ceil(batch).min(m.div_ceil(2 * ROWS / 32)));
    let panels = n.div_ceil(2 * level.lanes());
    let parts = threads.div_ceil(batch * bands).min(panels);
    workers.run(batch * bands * parts, |task, scratch| {
        let (product, rest) = (task / (bands * parts), task % (bands * parts));
        let (band, part) = (rest / parts, rest % parts);
        let rows = [band * m / bands, (band + 1) * m / bands];
        let columns = [part * panels / parts, (part + 1) * panels / parts];
        let to = Output { values: SharedNumbers::F32(out), start: product * m * n, row: n };
        let [room] = scratch.take([2 * level.lanes() * k]);
        let (a, b) = (a.of(product), b.of(product));
        level.run(Product { n, k, a, b, finish, to, rows, panels: columns, room });
    });
}

/// Where results go: element `(i, j)` to `start + i · row + j`.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    pub values: SharedNumbers<'a>,
    pub start: usize,
    pub row: usize,
}

/// One thread's share of a product.
struct Product<'a> {
    n: usize,
    k: usize,
    a: View<'a>,
    b: View<'a>,
    finish: Finish<'a>,
    to: Output<'a>,
    /// The rows that are computed: first and end.
    rows: [usize; 2],
    /// The panels of columns that are computed: first and end.
    panels: [usize; 2],
    /// One packed panel of `b`.
    room: &'a mut [f32],
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Product { k, a, b, finish, to, rows: [top, bottom], room, .. } = self;
        let panels = Panels { channels: self.n, lanes: S::LANES };
        let a = View { values: &a.values[top * a.row..], ..a };
        for panel in self.panels[0]..self.panels[1] {
            let right = &mut room[..k * panels.vectors(panel) * S::LANES];
            b.pack(s, panels, panel, right);
            let start = panels.start(panel);
            let finish = match finish {
                Finish::Bias(bias) => Finish::Bias(&bias[start..]),
                other => other,
            };
            let to = Output { start: to.start + top * to.row + start, ..to };
            Panel { a, right, finish, to, size: [bottom - top, panels.real(panel), k] }.run(s);
        }
    }
}

/// One panel of columns of a product: `to = finish(a · right)`.
pub(super) struct Panel<'a> {
    pub a: View<'a>,
    /// `k` rows of one vector or two.
    pub right: &'a [f32],
    pub finish: Finish<'a>,
    pub to: Output<'a>,
    /// Rows, columns, and products of a sum.
    pub size: [usize; 3],
}

impl Kernel for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match (S::ROWS, self.size[1] > S::LANES) {
            (8, true) => self.tiles::<S, 8, 2>(s),
            (8, false) => self.tiles::<S, 8, 1>(s),
            (_, true) => self.tiles::<S, 4, 2>(s),
            (_, false) => self.tiles::<S, 4, 1>(s),
        }
    }
}

impl Panel<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const Q: usize, const N: usize>(&self, s: S) {
        let Panel { a, size: [rows, columns, k], .. } = *self;
        assert!(
            columns <= N * S::LANES && k * N * S::LANES <= self.right.len(),
            "{k} rows of {columns} columns"
        );
        assert!(rows == 0 || k == 0 || a.fits(1, rows, k), "{rows} rows of {k} numbers");
        for first in (0..rows).step_by(Q) {
            match (a.row, a.column) {
                (1, step) if first + Q <= rows => self.tile::<S, 1, Q, N, 1>(s, first, step),
                (_, 1) => self.tile::<S, Q, 1, N, 0>(s, first, 1),
                (_, step) => self.tile::<S, Q, 1, N, 0>(s, first, step),
            }
        }
    }

    /// The rows from `first` on, `R` runs of `Q` rows; `step` is the view's from column to column.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const Q: usize, const N: usize, const QSTEP: usize>(
        &self,
        s: S,
        first: usize,
        step: usize,
    ) {
        let Panel { a, right, size: [rows, columns, k], .. } = *self;
        let mut acc = [[[s.splat(0.0); N]; Q]; R];
        if let Finish::Accumulate = self.finish {
            self.restore(s, first, &mut acc);
        }
        let mut from = [a.values.as_ptr(); R];
        for (r, from) in from.iter_mut().enumerate() {
            // Rows past the end repeat the last one; nothing of theirs is kept.
            *from = from.wrapping_add((first + r * Q).min(rows - 1) * a.row);
        }
        // SAFETY: the view holds these rows and columns, and `right` `k` rows of the panel, as `tiles` has asserted.
        unsafe { products::<S, R, Q, N, QSTEP>(s, k, (from, step), right.as_ptr(), &mut acc) };
        // Where nothing is cut off, counts are constants and nothing branches.
        match first + R * Q <= rows && columns == N * S::LANES {
            true => self.store(s, first, [R * Q, N * S::LANES], &acc),
            false => self.store(s, first, [(rows - first).min(R * Q), columns], &acc),
        }
    }

    #[inline(always)]
    fn restore<S: Simd, const R: usize, const Q: usize, const N: usize>(
        &self,
        s: S,
        first: usize,
        acc: &mut Registers<S, R, Q, N>,
    ) {
        let [rows, columns, _] = self.size;
        for j in 0..N {
            let out = self.out(s, first, [(rows - first).min(R * Q), columns], j);
            for (row, acc) in acc.as_flattened_mut().iter_mut().enumerate() {
                if first + row < rows {
                    acc[j] = out.read(s, row);
                }
            }
        }
    }

    #[inline(always)]
    fn store<S: Simd, const R: usize, const Q: usize, const N: usize>(
        &self,
        s: S,
        first: usize,
        [rows, columns]: [usize; 2],
        acc: &Registers<S, R, Q, N>,
    ) {
        for j in 0..N {
            let mut out = self.out(s, first, [rows, columns], j);
            for (row, acc) in acc.as_flattened().iter().enumerate() {
                if row < rows {
                    out.write(s, row, self.finished(s, acc[j], first + row, j));
                }
            }
        }
    }

    /// Where the `j`th vectors of some rows go.
    #[inline(always)]
    fn out<S: Simd>(&self, s: S, first: usize, [rows, columns]: [usize; 2], j: usize) -> ColumnMut<'_> {
        let (to, left) = (self.to, j * S::LANES);
        let start = to.start + first * to.row + left;
        let place = Place { first: start, step: to.row, len: (columns - left).min(S::LANES), pixels: rows };
        // SAFETY: rows and columns of this panel, which nobody else has.
        unsafe { to.values.column(s, place) }
    }

    #[inline(always)]
    fn finished<S: Simd>(&self, s: S, sum: S::F, row: usize, j: usize) -> S::F {
        match self.finish {
            Finish::Scale(scale) => s.mul(sum, s.splat(scale)),
            Finish::Bias(bias) => s.add(sum, s.read(bias, j * S::LANES)),
            Finish::Rows(scales) => s.mul(sum, s.splat(scales[row])),
            Finish::Accumulate => sum,
        }
    }
}
