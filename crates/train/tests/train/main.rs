//! Tests of training.

mod checkpoints;
mod formulas;
mod training;
mod world;
