//! Tests of the sampler on the reference device.

mod algorithm2;
mod denoise;
mod labels;
mod mistakes;
mod orders;
mod sinks;
mod small;
mod solvers;
