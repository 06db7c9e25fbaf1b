#![doc = include_str!("../README.md")]

mod augment;
mod batch;
mod colours;
mod dequantize;
mod draws;
mod matrix;
mod places;
mod transforms;

pub use augment::{Augment, augment};
pub use batch::{Batch, augment_graph};
pub use dequantize::{Dequantize, dequantize};
pub use draws::{Counted, Drawn, Draws, Lane, Of};
pub use places::{Margins, Places, SYM6};
pub use transforms::{Preset, Transforms};

use pipeline::Engine;

/// Teaches the kinds of this crate.
pub fn plugin(engine: &mut Engine) {
    engine.node::<Augment, _>(augment).node::<Dequantize, _>(dequantize);
}
