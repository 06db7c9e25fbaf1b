//! The formulas of EDM as plain f64 functions.
