//! Nodes that write pictures.

mod grid;
mod looks;
mod picture;
mod png;
mod template;

pub use grid::{Grid, Tiles, grid};
pub use picture::bytes;
pub use png::{Png, png};
