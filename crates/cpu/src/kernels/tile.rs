//! The one loop that all matrix products and convolutions come down to.

use crate::Simd;

/// The sums of a register tile, `S::ROWS` rows (at most 8) of two vectors (at most 32 numbers).
pub(super) type Sums = [[f32; 32]; 8];

/// The registers of a tile: `R` runs of `Q` rows, `N` vectors wide.
pub(super) type Registers<S, const R: usize, const Q: usize, const N: usize> = [[[<S as Simd>::F; N]; Q]; R];

/// Adds the products of a column of `R · Q` numbers and a row of `N` vectors, `depth` times.
///
/// In step `k`, row `q` of run `r` takes its number from `from[r][q · QSTEP + k · KSTEP]`, and the vectors lie at
/// `vectors[k · N · LANES]`. The order of the additions is that of `k` for every sum.
///
/// # Safety
/// All of these must be there to be read.
#[inline(always)]
pub(super) unsafe fn products<
    S: Simd,
    const R: usize,
    const Q: usize,
    const N: usize,
    const QSTEP: usize,
    const KSTEP: usize,
>(
    s: S,
    depth: usize,
    from: [*const f32; R],
    vectors: *const f32,
    acc: &mut Registers<S, R, Q, N>,
) {
    for k in 0..depth {
        // SAFETY: the caller's promise.
        unsafe {
            let mut row = [s.splat(0.0); N];
            for (j, row) in row.iter_mut().enumerate() {
                *row = s.load(vectors.add((k * N + j) * S::LANES));
            }
            for r in 0..R {
                for q in 0..Q {
                    let x = s.splat(*from[r].add(q * QSTEP + k * KSTEP));
                    for j in 0..N {
                        acc[r][q][j] = s.fma(x, row[j], acc[r][q][j]);
                    }
                }
            }
        }
    }
}

#[inline(always)]
pub(super) fn store<S: Simd, const R: usize, const Q: usize, const N: usize>(
    s: S,
    acc: &Registers<S, R, Q, N>,
    sums: &mut Sums,
) {
    for (sums, acc) in sums.iter_mut().zip(acc.as_flattened()) {
        for (j, acc) in acc.iter().enumerate() {
            s.write(sums, j * S::LANES, *acc);
        }
    }
}

#[inline(always)]
pub(super) fn restore<S: Simd, const R: usize, const Q: usize, const N: usize>(
    s: S,
    sums: &Sums,
) -> Registers<S, R, Q, N> {
    let mut acc = [[[s.splat(0.0); N]; Q]; R];
    for (sums, acc) in sums.iter().zip(acc.as_flattened_mut()) {
        for (j, acc) in acc.iter_mut().enumerate() {
            *acc = s.read(sums, j * S::LANES);
        }
    }
    acc
}
