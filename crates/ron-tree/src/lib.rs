#![doc = include_str!("../README.md")]

mod error;
mod fill;
mod literal;
mod mismatch;
mod overlay;
mod parse;
mod print;
mod read;
mod source;
mod tree;

pub use error::{Error, Report, nearest};
pub use parse::parse;
pub use read::{Links, NoLinks, Reader};
pub use source::{Sources, Span};
pub use tree::{Body, Form, Literal, Tree, Word};
