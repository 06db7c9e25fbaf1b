//! Matrix products whose bits do not depend on how many rows or columns there are: every sum runs over its products
//! from first to last, in one register.

use super::pack::{Panels, pack_panel};
use super::pointer::Parts;
use super::tile::{Sums, products, restore, store};
use crate::{Kernel, Pool, Scratch, Simd};

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
    /// The sum starts at what is there: row by row the same bits as one long product.
    Accumulate,
}

/// Rows that a task packs at once.
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
        let to = Output { values: out, start: product * m * n, row: n };
        level.run(Task { n, k, a: a.of(product), b: b.of(product), finish, to, rows, columns, scratch });
    });
}

/// Where results go: element `(i, j)` to `start + i · row + j`.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    pub values: Parts<'a, f32>,
    pub start: usize,
    pub row: usize,
}

struct Task<'a, 'b> {
    n: usize,
    k: usize,
    a: View<'a>,
    b: View<'a>,
    finish: Finish<'a>,
    to: Output<'a>,
    rows: [usize; 2],
    columns: [usize; 2],
    scratch: &'b mut Scratch,
}

impl Kernel for Task<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Task { n, k, a, b, finish, to, rows, columns, scratch } = self;
        let [room] = scratch.take([room(s, rows[1] - rows[0], k)]);
        multiply(s, Product { n, k, a, b, finish, to, rows, panels: columns }, room);
    }
}

/// One thread's share of a product.
pub(super) struct Product<'a> {
    pub n: usize,
    pub k: usize,
    pub a: View<'a>,
    pub b: View<'a>,
    pub finish: Finish<'a>,
    pub to: Output<'a>,
    /// The rows that are computed: first and end.
    pub rows: [usize; 2],
    /// The panels of columns that are computed: first and end.
    pub panels: [usize; 2],
}

/// Floats of working memory of [`multiply`].
#[inline(always)]
pub(super) fn room<S: Simd>(_: S, rows: usize, k: usize) -> usize {
    (rows.next_multiple_of(S::ROWS) + 2 * S::LANES) * k
}

#[inline(always)]
pub(super) fn multiply<S: Simd>(s: S, product: Product, room: &mut [f32]) {
    let Product { n, k, rows: [top, bottom], .. } = product;
    let panels = Panels { channels: n, lanes: S::LANES };
    let (left, right) = room.split_at_mut((bottom - top).next_multiple_of(S::ROWS) * k);
    for (tile, left) in left.chunks_exact_mut((S::ROWS * k).max(1)).enumerate() {
        let first = top + tile * S::ROWS;
        let columns = (bottom - first).min(S::ROWS);
        pack_panel(
            &product.a.values[first * product.a.row..],
            [product.a.column, product.a.row],
            columns,
            S::ROWS,
            left,
        );
    }
    for panel in product.panels[0]..product.panels[1] {
        let (start, real, width) =
            (panels.start(panel), panels.real(panel), panels.vectors(panel) * S::LANES);
        let right = &mut right[..k * width];
        pack_panel(
            &product.b.values[start * product.b.column..],
            [product.b.row, product.b.column],
            real,
            width,
            right,
        );
        match (S::ROWS, panels.vectors(panel)) {
            (8, 2) => tiles::<S, 8, 2>(s, &product, panel, left, right),
            (8, _) => tiles::<S, 8, 1>(s, &product, panel, left, right),
            (_, 2) => tiles::<S, 4, 2>(s, &product, panel, left, right),
            _ => tiles::<S, 4, 1>(s, &product, panel, left, right),
        }
    }
}

#[inline(always)]
fn tiles<S: Simd, const Q: usize, const N: usize>(
    s: S,
    product: &Product,
    panel: usize,
    left: &[f32],
    right: &[f32],
) {
    let panels = Panels { channels: product.n, lanes: S::LANES };
    let (start, real) = (panels.start(panel), panels.real(panel));
    let [top, bottom] = product.rows;
    let mut sums: Sums = [[0.0; 32]; 8];
    for (tile, first) in (top..bottom).step_by(Q).enumerate() {
        let rows = (bottom - first).min(Q);
        // SAFETY: rows and columns of this task, which nobody else has.
        let out = |row: usize| unsafe {
            product.to.values.range(product.to.start + (first + row) * product.to.row + start, real)
        };
        sums.fill([0.0; 32]);
        if let Finish::Accumulate = product.finish {
            for (row, sums) in sums[..rows].iter_mut().enumerate() {
                sums[..real].copy_from_slice(out(row));
            }
        }
        let mut acc = restore::<S, 1, Q, N>(s, &sums);
        let from = left[tile * Q * product.k..].as_ptr();
        // SAFETY: `left` holds `k` columns of the tile, `right` `k` rows of the panel.
        unsafe { products::<S, 1, Q, N, 1, Q>(s, product.k, [from], right.as_ptr(), &mut acc) };
        store(s, &acc, &mut sums);
        for (row, sums) in sums[..rows].iter().enumerate() {
            finish(s, product.finish, &sums[..real], start, out(row));
        }
    }
}

#[inline(always)]
fn finish<S: Simd>(s: S, finish: Finish, sums: &[f32], start: usize, out: &mut [f32]) {
    for j in (0..out.len()).step_by(S::LANES) {
        let sum = s.read(sums, j);
        let y = match finish {
            Finish::Scale(scale) => s.mul(sum, s.splat(scale)),
            Finish::Bias(bias) => s.add(sum, s.read(&bias[start..], j)),
            Finish::Accumulate => sum,
        };
        s.write(out, j, y);
    }
}
