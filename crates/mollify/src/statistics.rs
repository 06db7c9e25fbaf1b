//! A few numbers that stand for many.

use std::fmt::{self, Display, Formatter};

/// Of a list of numbers; printed to 4 digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Statistics {
    min: f64,
    mean: f64,
    max: f64,
    /// The standard deviation, of the numbers themselves and not estimated from a sample.
    std: f64,
}

impl Statistics {
    pub(crate) fn of(values: &[f64]) -> Self {
        let mean_of =
            |f: &dyn Fn(f64) -> f64| values.iter().map(|v| f(*v)).sum::<f64>() / values.len() as f64;
        let mean = mean_of(&|v| v);
        let std = mean_of(&|v| (v - mean).powi(2)).sqrt();
        // `f64::min` would pass over a NaN.
        let pick = |better: fn(f64, f64) -> bool| {
            let best = |a: f64, b: f64| if a.is_nan() || better(a, b) { a } else { b };
            values.iter().copied().reduce(best).unwrap_or(f64::NAN)
        };
        Self { min: pick(|a, b| a <= b), mean, max: pick(|a, b| a >= b), std }
    }
}

impl Display for Statistics {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { min, mean, max, std } = *self;
        // A mean is a sum in which large numbers cancel: its digits far below theirs are noise.
        let scale = min.abs().max(max.abs()) / 100.0;
        let [min, max] = [min, max].map(|value| digits(value, value.abs()));
        let [mean, std] = [mean, std].map(|value| digits(value, value.abs().max(scale)));
        write!(f, "min {min}, mean {mean}, max {max}, std {std}")
    }
}

/// A number to the fourth digit of `scale`.
fn digits(value: f64, scale: f64) -> String {
    if !value.is_finite() || scale == 0.0 {
        return value.to_string();
    }
    let unit = scale.log10().floor() as i32 - 3;
    let rounded = (value / 10f64.powi(unit)).round();
    if rounded == 0.0 {
        return "0".to_owned();
    }
    match unit {
        -9..=0 => format!("{:.*}", unit.unsigned_abs() as usize, rounded * 10f64.powi(unit)),
        1..=6 => format!("{:.0}", rounded * 10f64.powi(unit)),
        _ => format!("{:.3e}", rounded * 10f64.powi(unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_shown_to_four_digits() {
        let shown = Statistics::of(&[-1.0, 0.123_456, 3.0]).to_string();
        assert_eq!(shown, "min -1.000, mean 0.7078, max 3.000, std 1.684");
    }

    #[test]
    fn a_mean_that_cancels_is_zero() {
        let shown = Statistics::of(&[-80.0, 80.0 + 1e-9]).to_string();
        assert_eq!(shown, "min -80.00, mean 0, max 80.00, std 80.00");
    }

    #[test]
    fn small_and_large_numbers_keep_their_digits() {
        assert_eq!(digits(0.000_012_345, 0.000_012_345), "0.00001235");
        assert_eq!(digits(1.2346e-12, 1.2346e-12), "1.235e-12");
        assert_eq!(digits(123_456.0, 123_456.0), "123500");
    }

    #[test]
    fn a_nan_shows() {
        let shown = Statistics::of(&[1.0, f64::NAN, 2.0]).to_string();
        assert_eq!(shown, "min NaN, mean NaN, max NaN, std NaN");
    }
}
