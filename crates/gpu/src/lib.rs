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
mod patterns;
mod pipelines;
mod plan;
mod profile;
mod queue;
mod schedule;
mod shader;

pub use adapter::{Adapter, Choice, adapters, find};
pub use call::{Call, Memory, Number, View};
pub use device::Gpu;
pub use pipelines::Mode;
pub use plan::Plan;
pub use profile::Times;
pub use schedule::{Constant, Offer, Room, Schedule};
pub use shader::{Access, Element, NumberType, Operand, Shader, Source};
