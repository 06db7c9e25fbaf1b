//! The Fréchet distance between two sets of features (Heusel et al. 2017).

use nalgebra::{DMatrix, SymmetricEigen};

use crate::Statistics;

/// `|μ - μ'|² + tr(Σ + Σ' - 2 (Σ Σ')^½)`: what FID is, with the features of Inception-v3.
///
/// The trace of the root is the sum of the roots of the eigenvalues of `Σ^½ Σ' Σ^½`, which is symmetric. With fewer images
/// than features many of them are zero but for rounding, whose roots take some 1e-8 of the distance away: nothing is cut
/// off here, so that such distances are those of other programs, which have the same rounding.
///
/// # Errors
/// If the statistics are of two networks.
pub fn frechet_distance(a: &Statistics, b: &Statistics) -> Result<f64, String> {
    if let (Some(one), Some(other)) = (&a.network, &b.network)
        && one != other
    {
        return Err(format!("features of the network {one} cannot be compared with those of {other}"));
    }
    let [wide, other] = [a, b].map(|statistics| statistics.mu.len());
    if wide != other {
        return Err(format!("{wide} features cannot be compared with {other}: they come from two networks"));
    }
    let apart = (&a.mu - &b.mu).norm_squared();
    let root = root(&a.sigma);
    let product = &root * &b.sigma * &root;
    let symmetric = (&product + product.transpose()) * 0.5;
    let shared: f64 = symmetric.symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).sum();
    Ok(apart + a.sigma.trace() + b.sigma.trace() - 2.0 * shared)
}

/// The symmetric square root of a covariance.
fn root(sigma: &DMatrix<f64>) -> DMatrix<f64> {
    let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(sigma.clone());
    let roots = DMatrix::from_diagonal(&eigenvalues.map(|value| value.max(0.0).sqrt()));
    &eigenvectors * roots * eigenvectors.transpose()
}
