//! The kernels: plain functions over slices, each the same bits for any batch split and thread count (gradients of
//! weights by `conv_weight::transformed` where the parts of a batch share their sums).

pub mod attention;
mod band;
mod column;
pub mod conv;
pub mod conv_weight;
mod cut;
pub mod gemm;
pub mod load;
pub mod math;
pub mod norm;
pub mod numbers;
mod pack;
pub(crate) mod pointer;
pub mod random;
pub mod resample;
pub mod softmax;
pub mod store;
mod tile;
pub mod warp;
mod winograd;
