//! Tests of training.

mod checkpoints;
mod formulas;
mod noise_levels;
mod training;
mod world;
