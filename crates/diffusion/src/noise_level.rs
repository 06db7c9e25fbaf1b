//! The noise levels that training visits (table 1 "Noise distribution").

use crate::Vp;

/// Mean of `ln(sigma)` in the paper.
pub const P_MEAN: f64 = -1.2;

/// Standard deviation of `ln(sigma)` in the paper.
pub const P_STD: f64 = 1.2;

/// The noise level that a unit normal stands for when `ln(sigma)` has this mean and standard deviation.
pub fn log_normal(normal: f64, mean: f64, std: f64) -> f64 {
    (mean + std * normal).exp()
}

/// The noise level that a uniform number in (0, 1) stands for when `ln(sigma)` is uniform.
pub fn log_uniform(uniform: f64, sigma_min: f64, sigma_max: f64) -> f64 {
    sigma_min * (sigma_max / sigma_min).powf(uniform)
}

/// The noise level that a uniform number in (0, 1) stands for when time is uniform: 0 is time 1, and 1 is time
/// `epsilon_t`.
pub fn vp_uniform(uniform: f64, vp: Vp, epsilon_t: f64) -> f64 {
    vp.sigma(1.0 - uniform + epsilon_t * uniform)
}
