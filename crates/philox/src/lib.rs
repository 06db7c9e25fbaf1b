#![doc = include_str!("../README.md")]

mod block;
mod draw;
mod key;
mod permute;
pub mod stream;

pub use block::{FACTORS, WEYL, block};
pub use draw::{
    bits, half, normal, normal_f64, normals, normals_f64, threshold, uniform, uniform_f64, unit, unit_f64,
};
pub use key::{Key, Row, lane_words, words};
pub use permute::permute;
