#![doc = include_str!("../README.md")]

mod array;
mod check;
mod device;
mod expr;
mod gradient;
mod graph;
mod op;
pub mod operation_table;
mod profile;
mod program;
mod reference;
mod shape;

pub use array::{Array, Data};
pub use device::{Bindings, Device, Error, Executable, Fetch, Outputs, Result, Storage, Tensor};
pub use expr::{Binary, Expr, Unary};
pub use gradient::gradients;
pub use graph::{Destination, Graph, GroupNorm, Operation, Output, Value};
pub use op::{Distribution, Dropout, Dtype, Fold, Normalize, Op, Resample, Warp};
pub use profile::{Profile, Times, Work};
pub use program::{
    Conv, Kernel, Load, Made, Map, Norm, NormalizeGradient, Place, Program, Stats, Step, Store,
    WeightGradient, compile,
};
pub use reference::Reference;
pub use shape::Shape;
