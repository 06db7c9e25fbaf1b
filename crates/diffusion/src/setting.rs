//! Numbers of settings files that are checked while they are read, so that the error points at them.

use serde::{Deserialize, Deserializer, de::Error};

/// The paper's `sigma_data`.
pub(crate) fn sigma_data() -> f64 {
    0.5
}

/// Reads a finite number above zero.
pub(crate) fn positive<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(from)?;
    if number > 0.0 && number.is_finite() {
        return Ok(number);
    }
    Err(D::Error::custom(format!("must be a finite number above 0, not {number}")))
}
