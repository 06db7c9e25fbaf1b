//! Tensor programs on any GPU, through wgpu.

mod adapter;
mod call;
mod device;
mod download;
mod errors;
mod executor;
mod folds;
mod kernels;
mod memory;
mod paper;
mod patterns;
mod pipelines;
mod plan;
mod queue;
mod schedule;
pub mod self_test;
mod shader;
mod stamps;
mod state;
mod text;

pub use adapter::{Adapter, adapters, find};
pub use call::{Call, Memory, Number, View};
pub use device::Gpu;
pub use memory::mebibytes;
pub use paper::{Footprint, Paper};
pub use pipelines::Mode;
pub use plan::Plan;
pub use schedule::{Constant, Offer, Room, Schedule};
pub use shader::{Access, Element, NumberType, Operand, Shader, Source};
pub use text::{Flaw, Text};
