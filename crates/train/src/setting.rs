//! Settings that make no sense, found while wiring.

use pipeline::Mistake;

/// Wants a finite number above 0.
pub fn above_zero(field: &str, number: f64) -> Result<(), Mistake> {
    if number > 0.0 && number.is_finite() {
        return Ok(());
    }
    Err(Mistake::new(field, format!("`{field}` is {number}, expected a finite number above 0")))
}

/// Wants a finite number from 0 on.
pub fn not_negative(field: &str, number: f64) -> Result<(), Mistake> {
    if number >= 0.0 && number.is_finite() {
        return Ok(());
    }
    Err(Mistake::new(field, format!("`{field}` is {number}, expected a finite number from 0 on")))
}

/// Wants at least 1 of something.
pub fn at_least_one(field: &str, count: usize) -> Result<(), Mistake> {
    if count > 0 {
        return Ok(());
    }
    Err(Mistake::new(field, format!("`{field}` is 0, expected at least 1")))
}
