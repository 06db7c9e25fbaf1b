//! The Fréchet distance between two sets of features (Heusel et al. 2017).

use nalgebra::{DMatrix, SymmetricEigen};

use crate::Statistics;

/// `|μ - μ'|² + tr(Σ + Σ' - 2 (Σ Σ')^½)`: what FID is, with the features of Inception-v3.
///
/// The trace of the root is the sum of the singular values of `BᵀB'` for any roots `BBᵀ = Σ`, `B'B'ᵀ = Σ'`. That is as
/// exact for covariances of fewer images than features, whose product has many eigenvalues near zero.
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
    let [root, other] = [a, b].map(|statistics| root(&statistics.sigma));
    let shared = match (root.ncols(), other.ncols()) {
        (0, _) | (_, 0) => 0.0,
        _ => (root.transpose() * other).singular_values().sum(),
    };
    Ok(apart + a.sigma.trace() + b.sigma.trace() - 2.0 * shared)
}

/// B of `BBᵀ = Σ`, without the directions in which nothing varies but rounding.
fn root(sigma: &DMatrix<f64>) -> DMatrix<f64> {
    let SymmetricEigen { mut eigenvectors, eigenvalues } = SymmetricEigen::new(sigma.clone());
    let least = eigenvalues.amax() * sigma.nrows() as f64 * f64::EPSILON;
    let kept: Vec<usize> = (0..eigenvalues.len()).filter(|at| eigenvalues[*at] > least).collect();
    for at in &kept {
        eigenvectors.column_mut(*at).scale_mut(eigenvalues[*at].sqrt());
    }
    eigenvectors.select_columns(&kept)
}
