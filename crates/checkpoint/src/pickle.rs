//! Files of PyTorch that hold a network of the paper's own program, read without executing anything.
//!
//! A pickle is a program for a small machine that may call any function of Python. Here it may name a few functions,
//! and none of them is called: what they would make is made here. Tensors stay in the file.

mod build;
mod legacy;
mod machine;
mod module;
mod opcode;
mod stream;
mod tensor_in_file;
mod torch_file;
mod value;
mod zip;

use std::io;

pub use module::{Module, Plain};
pub use tensor_in_file::{Place, TensorInFile};
pub use torch_file::{Moments, TorchFile, TrainingState, read_torch};

type Result<T> = std::result::Result<T, Refusal>;

/// Why a pickle is not followed any further.
#[derive(Debug)]
pub struct Refusal {
    what: String,
    at: Option<u64>,
}

impl Refusal {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), at: None }
    }

    fn truncated() -> Self {
        Self::new("it ends before its content does")
    }

    /// Notes the byte of the file, if a nested pickle has not done so.
    fn at(self, at: u64) -> Self {
        Self { at: self.at.or(Some(at)), ..self }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::truncated(),
            _ => Self::new(error.to_string()),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.what)?;
        self.at.map_or(Ok(()), |at| write!(f, " (at byte {at})"))
    }
}
