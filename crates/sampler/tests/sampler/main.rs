//! Tests of the sampler on the reference device.

mod algorithm2;
mod denoise;
mod edit;
mod labels;
mod langevin;
mod mistakes;
mod orders;
mod rounded;
mod sinks;
mod small;
mod solvers;
