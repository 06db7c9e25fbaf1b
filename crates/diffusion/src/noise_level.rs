//! The noise levels that training visits (table 1 "Noise distribution").

/// Mean of `ln(sigma)` in the paper.
pub const P_MEAN: f64 = -1.2;

/// Standard deviation of `ln(sigma)` in the paper.
pub const P_STD: f64 = 1.2;

/// The noise level that a unit normal stands for when `ln(sigma)` has this mean and standard deviation.
pub fn log_normal(normal: f64, mean: f64, std: f64) -> f64 {
    (mean + std * normal).exp()
}
