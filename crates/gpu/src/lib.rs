//! Tensor programs on any GPU, through wgpu.

mod call;
mod folds;
mod kernels;
mod patterns;
mod schedule;
mod shader;

pub use call::{Call, Memory, Number, View};
pub use schedule::{Constant, Offer, Room, Schedule};
pub use shader::{Access, Element, NumberType, Operand, Shader, Source};
