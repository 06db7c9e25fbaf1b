//! Numbers of settings files that are checked while they are read, so that the error points at them.

use serde::{Deserialize, Deserializer, de::Error};

/// Reads a finite number above zero.
pub(crate) fn positive<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    check_positive(f64::deserialize(from)?)
}

/// Reads a finite number from zero on.
pub(crate) fn not_negative<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(from)?;
    if number >= 0.0 && number.is_finite() {
        return Ok(number);
    }
    Err(D::Error::custom(format!("must be a finite number from 0 on, not {number}")))
}

/// Wants a finite number above zero.
pub(crate) fn check_positive<E: Error>(number: f64) -> Result<f64, E> {
    if number > 0.0 && number.is_finite() {
        return Ok(number);
    }
    Err(E::custom(format!("must be a finite number above 0, not {number}")))
}
