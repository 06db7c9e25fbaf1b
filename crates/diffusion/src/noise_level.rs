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

/// The density of `ln(sigma)` where it is normal.
pub fn log_normal_density(sigma: f64, mean: f64, std: f64) -> f64 {
    let z = (sigma.ln() - mean) / std;
    (-0.5 * z * z).exp() / (std * std::f64::consts::TAU.sqrt())
}

/// The density of `ln(sigma)` where it is uniform.
pub fn log_uniform_density(sigma: f64, sigma_min: f64, sigma_max: f64) -> f64 {
    if (sigma_min..=sigma_max).contains(&sigma) { 1.0 / (sigma_max / sigma_min).ln() } else { 0.0 }
}

/// The density of `ln(sigma)` where time is uniform.
pub fn vp_uniform_density(sigma: f64, vp: Vp, epsilon_t: f64) -> f64 {
    let t = vp.time(sigma);
    if !(epsilon_t..=1.0).contains(&t) {
        return 0.0;
    }
    // d ln σ / dt = ½ (β_min + β_d t) (σ² + 1) / σ².
    let slope = 0.5 * (vp.beta_min + vp.beta_d * t) * (1.0 + 1.0 / (sigma * sigma));
    1.0 / (slope * (1.0 - epsilon_t))
}
