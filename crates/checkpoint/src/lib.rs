//! Weights, arrays and run states on disk.
