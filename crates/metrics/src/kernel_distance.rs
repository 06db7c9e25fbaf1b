//! The kernel distance between two sets of features (KID, Bińkowski et al. 2018).

use nalgebra::DMatrix;
use philox::permute;

use crate::Rows;

/// Images in a block, as is usual.
const BLOCK: usize = 1000;
/// Blocks are smaller where there would be fewer: their spread is the error.
const FEWEST_BLOCKS: usize = 10;

/// An estimate and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub error: f64,
}

/// The squared maximum mean discrepancy with the kernel `(x · y / features + 1)³`, unbiased.
///
/// Both sets are shuffled by `seed` and cut into blocks of 1,000 images, or a tenth of the smaller set. Blocks share no
/// image, so the mean over them has the standard error that their spread says.
///
/// # Errors
/// If there are fewer than 20 images in a set, or the sets are of two networks.
pub fn kernel_distance(a: &Rows, b: &Rows, seed: u64) -> Result<Estimate, String> {
    a.expect_as_wide_as(b)?;
    let fewest = a.count().min(b.count());
    let size = BLOCK.min(fewest / FEWEST_BLOCKS);
    if size < 2 {
        return Err(format!(
            "{fewest} images in a set, but a kernel distance needs at least {}",
            2 * FEWEST_BLOCKS
        ));
    }
    let block = |rows: &Rows, set: u64, at: usize| {
        let n = rows.count();
        rows.pick((at * size..(at + 1) * size).map(|i| permute(seed, set, n, i))).columns()
    };
    let blocks = fewest / size;
    let distances: Vec<f64> = (0..blocks).map(|at| discrepancy(&block(a, 0, at), &block(b, 1, at))).collect();
    let n = blocks as f64;
    let value = distances.iter().sum::<f64>() / n;
    let variance = distances.iter().map(|distance| (distance - value).powi(2)).sum::<f64>() / (n - 1.0);
    Ok(Estimate { value, error: (variance / n).sqrt() })
}

/// The unbiased estimate of as many images, a column each.
fn discrepancy(x: &DMatrix<f64>, y: &DMatrix<f64>) -> f64 {
    let (width, n) = (x.nrows() as f64, x.ncols() as f64);
    let kernel = |product: f64| (product / width + 1.0).powi(3);
    let mean = |x: &DMatrix<f64>, y: &DMatrix<f64>| (x.transpose() * y).map(kernel).sum() / (n * n);
    let others = |x: &DMatrix<f64>| {
        let own: f64 = x.column_iter().map(|column| kernel(column.norm_squared())).sum();
        (mean(x, x) * n * n - own) / (n * (n - 1.0))
    };
    others(x) + others(y) - 2.0 * mean(x, y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_the_sum_over_all_pairs() {
        let [x, y] =
            [1.0, 0.5].map(|by| DMatrix::from_fn(2, 3, |i, j| by * (1.0 + i as f64 + (j * j) as f64)));
        let kernel = |a: &DMatrix<f64>, i: usize, b: &DMatrix<f64>, j: usize| {
            (a.column(i).dot(&b.column(j)) / 2.0 + 1.0f64).powi(3)
        };
        let mut expected = 0.0;
        for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
            if i != j {
                expected += (kernel(&x, i, &x, j) + kernel(&y, i, &y, j)) / 6.0;
            }
            expected -= 2.0 * kernel(&x, i, &y, j) / 9.0;
        }
        assert!((discrepancy(&x, &y) - expected).abs() < 1e-12 * expected.abs());
    }

    /// Two draws of one distribution, and one that is shifted.
    #[test]
    fn equal_distributions_are_within_their_error_of_zero() {
        let draw = |seed, shift: f32| {
            let keys = (0..4000).flat_map(|step| {
                let row = philox::Key { seed, stream: 200, step }.words();
                (0..8).map(move |at| shift + philox::unit(philox::words(row, at)[0]))
            });
            Rows::new(8, keys.collect())
        };
        let (a, b, far) = (draw(1, 0.0), draw(2, 0.0), draw(3, 0.2));
        let same = kernel_distance(&a, &b, 0).expect("enough images");
        assert!(same.value.abs() < 4.0 * same.error, "{same:?}");
        let other = kernel_distance(&a, &far, 0).expect("enough images");
        assert!(other.value > 10.0 * other.error, "{other:?}");
        assert!(kernel_distance(&a.pick(0..19), &b, 0).is_err());
    }
}
