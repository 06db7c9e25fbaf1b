//! Matrix products whose bits do not depend on how many rows or columns there are: every sum runs over its products
//! from first to last, in one register.

use super::pack::{Pack, Panels};
use super::pointer::Parts;
use super::tile::products;
use crate::{Kernel, Level, Pool, Simd};

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
        let [room] = scratch.take([Product::room(level, k)]);
        Product { n, k, a: a.of(product), b: b.of(product), finish, to, rows, panels: columns }
            .run(level, room);
    });
}

/// Where results go: element `(i, j)` to `start + i · row + j`.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    pub values: Parts<'a, f32>,
    pub start: usize,
    pub row: usize,
}

/// One thread's share of a product.
#[derive(Clone, Copy)]
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

impl Product<'_> {
    /// Packs panel after panel of `b`, into `room` of [`Product::room`], and multiplies.
    pub fn run(&self, level: Level, room: &mut [f32]) {
        let panels = Panels { channels: self.n, lanes: level.lanes() };
        for panel in self.panels[0]..self.panels[1] {
            let (start, real) = (panels.start(panel), panels.real(panel));
            let width = panels.vectors(panel) * level.lanes();
            let right = &mut room[..self.k * width];
            if self.k > 0 {
                let (from, steps) = (&self.b.values[start * self.b.column..], [self.b.row, self.b.column]);
                level.run(Pack { from, steps, real, width, to: right });
            }
            level.run(Panel { product: self, panel, right });
        }
    }

    /// Floats of working memory.
    pub fn room(level: Level, k: usize) -> usize {
        2 * level.lanes() * k
    }
}

/// One panel of columns.
struct Panel<'a> {
    product: &'a Product<'a>,
    panel: usize,
    right: &'a [f32],
}

impl Kernel for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let panels = Panels { channels: self.product.n, lanes: S::LANES };
        match (S::ROWS, panels.vectors(self.panel)) {
            (8, 2) => self.tiles::<S, 8, 2>(s),
            (8, _) => self.tiles::<S, 8, 1>(s),
            (_, 2) => self.tiles::<S, 4, 2>(s),
            _ => self.tiles::<S, 4, 1>(s),
        }
    }
}

impl Panel<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const Q: usize, const N: usize>(&self, s: S) {
        let product = self.product;
        let [top, bottom] = product.rows;
        let (to, panels) = (product.to, Panels { channels: product.n, lanes: S::LANES });
        let (start, real) = (to.start + panels.start(self.panel), panels.real(self.panel));
        // SAFETY: a row and a panel of this task, which nobody else has.
        let out = |row: usize| unsafe { to.values.range(start + row * to.row, real) };
        for first in (top..bottom).step_by(Q) {
            let mut acc = [[s.splat(0.0); N]; Q];
            if let Finish::Accumulate = product.finish {
                for (row, acc) in acc.iter_mut().enumerate().take(bottom - first) {
                    let out = out(first + row);
                    for (j, acc) in acc.iter_mut().enumerate() {
                        *acc = s.read(out, j * S::LANES);
                    }
                }
            }
            let (a, k, right) = (product.a, product.k, self.right.as_ptr());
            if a.row == 1 && first + Q <= bottom {
                let (from, mut tall) = (a.values[first..].as_ptr(), [acc]);
                // SAFETY: the view holds `Q` numbers in each of its `k` columns, and `right` `k` rows of the panel.
                unsafe { products::<S, 1, Q, N, 1>(s, k, ([from], a.column), right, &mut tall) };
                [acc] = tall;
            } else {
                // Rows past the end repeat the last one; nothing of theirs is kept.
                let row = |row: usize| a.values[(first + row).min(bottom - 1) * a.row..].as_ptr();
                let (from, mut wide) = (std::array::from_fn(row), acc.map(|acc| [acc]));
                // SAFETY: the view holds `k` numbers in each of its rows, and `right` `k` rows of the panel.
                unsafe {
                    match a.column {
                        1 => products::<S, Q, 1, N, 0>(s, k, (from, 1), right, &mut wide),
                        column => products::<S, Q, 1, N, 0>(s, k, (from, column), right, &mut wide),
                    }
                }
                acc = wide.map(|[acc]| acc);
            }
            for (row, acc) in acc.iter().enumerate().take(bottom - first) {
                self.finish(s, acc, out(first + row));
            }
        }
    }

    #[inline(always)]
    fn finish<S: Simd, const N: usize>(&self, s: S, sums: &[S::F; N], out: &mut [f32]) {
        let start = self.panel * 2 * S::LANES;
        for (j, sum) in sums.iter().enumerate() {
            let y = match self.product.finish {
                Finish::Scale(scale) => s.mul(*sum, s.splat(scale)),
                Finish::Bias(bias) => s.add(*sum, s.read(&bias[start..], j * S::LANES)),
                Finish::Accumulate => *sum,
            };
            s.write(out, j * S::LANES, y);
        }
    }
}
