//! The one loop that all matrix products and convolutions come down to.

use crate::Simd;

/// The registers of a tile: `R` runs of `Q` rows, `N` vectors wide.
pub(super) type Registers<S, const R: usize, const Q: usize, const N: usize> = [[[<S as Simd>::F; N]; Q]; R];

/// Adds the products of a column of `R · Q` numbers and a row of `N` vectors, `depth` times.
///
/// In step `k`, row `q` of run `r` takes its number from `from[r][q · QSTEP + k · kstep]`, and the vectors lie at
/// `vectors[k · N · LANES]`. The order of the additions is that of `k` for every sum.
///
/// # Safety
/// All of these must be there to be read.
#[inline(always)]
pub(super) unsafe fn products<S: Simd, const R: usize, const Q: usize, const N: usize, const QSTEP: usize>(
    s: S,
    depth: usize,
    from: ([*const f32; R], usize),
    vectors: *const f32,
    acc: &mut Registers<S, R, Q, N>,
) {
    // SAFETY: the caller's promise.
    unsafe { spread_products::<S, R, Q, N, QSTEP>(s, depth, from, (vectors, N * S::LANES), acc) }
}

/// [`products`] with vectors that lie at `vectors[k · step]`.
///
/// # Safety
/// All of these must be there to be read.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // over iterators the sums leave their registers: half the speed
pub(super) unsafe fn spread_products<
    S: Simd,
    const R: usize,
    const Q: usize,
    const N: usize,
    const QSTEP: usize,
>(
    s: S,
    depth: usize,
    (from, kstep): ([*const f32; R], usize),
    (vectors, step): (*const f32, usize),
    acc: &mut Registers<S, R, Q, N>,
) {
    for k in 0..depth {
        // SAFETY: the caller's promise.
        unsafe {
            let mut row = [s.splat(0.0); N];
            for (j, row) in row.iter_mut().enumerate() {
                *row = s.load(vectors.add(k * step + j * S::LANES));
            }
            for r in 0..R {
                for q in 0..Q {
                    let x = s.splat(*from[r].add(q * QSTEP + k * kstep));
                    for j in 0..N {
                        acc[r][q][j] = s.fma(x, row[j], acc[r][q][j]);
                    }
                }
            }
        }
    }
}

/// Writes the registers one after the other.
#[inline(always)]
pub(super) fn store<S: Simd, const R: usize, const Q: usize, const N: usize>(
    s: S,
    acc: &Registers<S, R, Q, N>,
    to: &mut [f32],
) {
    let to = &mut to[..R * Q * N * S::LANES];
    for (i, acc) in acc.as_flattened().as_flattened().iter().enumerate() {
        s.write(to, i * S::LANES, *acc);
    }
}

/// Reads what [`store`] wrote.
#[inline(always)]
pub(super) fn restore<S: Simd, const R: usize, const Q: usize, const N: usize>(
    s: S,
    from: &[f32],
) -> Registers<S, R, Q, N> {
    let from = &from[..R * Q * N * S::LANES];
    let mut acc = [[[s.splat(0.0); N]; Q]; R];
    for (i, acc) in acc.as_flattened_mut().as_flattened_mut().iter_mut().enumerate() {
        *acc = s.read(from, i * S::LANES);
    }
    acc
}
