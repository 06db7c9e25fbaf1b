//! Mean and covariance of features, summed in f64 while images stream through.

use nalgebra::{DMatrix, DVector};

use crate::{Rows, Statistics};

/// Sums of features so far. Their size depends on the network, never on the number of images.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    count: u64,
    /// The mean of the first rows: sums of what is left of features cancel less.
    origin: DVector<f64>,
    sum: DVector<f64>,
    products: DMatrix<f64>,
}

impl Moments {
    /// How many images have been added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds images.
    ///
    /// # Errors
    /// If they have another number of features than those before.
    pub fn add(&mut self, rows: &Rows) -> Result<(), String> {
        if rows.count() == 0 {
            return Ok(());
        }
        let mut x = rows.columns();
        if self.count == 0 {
            let width = rows.width();
            self.origin = x.column_mean();
            (self.sum, self.products) = (DVector::zeros(width), DMatrix::zeros(width, width));
        }
        if self.origin.len() != rows.width() {
            return Err(format!("{} features after {} of other images", rows.width(), self.origin.len()));
        }
        x.column_iter_mut().for_each(|mut column| column -= &self.origin);
        self.sum += x.column_sum();
        self.products.gemm(1.0, &x, &x.transpose(), 1.0);
        self.count += rows.count() as u64;
        Ok(())
    }

    /// Mean and unbiased covariance.
    ///
    /// # Errors
    /// If there are fewer than two images, or features that are no finite numbers.
    pub fn statistics(&self) -> Result<Statistics, String> {
        if self.count < 2 {
            return Err(format!("{} images, but a covariance needs at least 2", self.count));
        }
        let n = self.count as f64;
        let mean = &self.sum / n;
        let scatter = &self.products - &mean * mean.transpose() * n;
        Statistics::new(&mean + &self.origin, scatter / (n - 1.0), Some(self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_in_any_batches_have_the_moments_of_all_at_once() {
        let numbers: Vec<f32> = (0..30).map(|i| 1e3 + ((i * i * 7) % 11) as f32).collect();
        let all = Rows::new(3, numbers);
        let mut parts = Moments::default();
        for range in [0..1, 1..4, 4..4, 4..10] {
            parts.add(&all.pick(range)).expect("rows of one width");
        }
        let parts = parts.statistics().expect("ten rows");
        let x = all.columns();
        let mean = x.column_mean();
        assert!((&parts.mu - &mean).amax() < 1e-12);
        for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
            let products = (0..10).map(|at| (x[(i, at)] - mean[i]) * (x[(j, at)] - mean[j]));
            assert!((parts.sigma[(i, j)] - products.sum::<f64>() / 9.0).abs() < 1e-11);
        }
        assert_eq!(parts.count, Some(10));
    }

    #[test]
    fn one_image_has_no_covariance() {
        let mut one = Moments::default();
        one.add(&Rows::new(2, vec![1.0, 2.0])).expect("a row");
        assert_eq!(one.statistics(), Err("1 images, but a covariance needs at least 2".into()));
    }
}
