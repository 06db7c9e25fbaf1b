//! Runs tensor programs on the CPU.

mod device;
mod executor;
pub mod kernels;
mod memory;
mod scratch;
mod simd;
mod tape;
mod threads;
mod unfinished;

pub use device::Cpu;
pub use scratch::Scratch;
pub use simd::{Kernel, Level, Simd};
pub use threads::{Pool, Tasks, Workers};
