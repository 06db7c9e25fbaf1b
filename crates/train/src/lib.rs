//! Corruption, gradients, Adam, EMA and checkpoints.
