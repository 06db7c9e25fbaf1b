#![doc = include_str!("../README.md")]

mod archive;
mod array;
mod atomic;
mod digest;
mod error;
mod inspect;
mod matching;
mod npy;
mod one_array;
mod pickle;
mod run_folder;
mod run_state;
mod weights;

pub use array::{Array, View};
pub use atomic::write_whole;
pub use error::{Error, Mismatch};
pub use inspect::{Content, Entry, Summary, inspect};
pub use matching::compare;
pub use npy::{npy_bytes, parse_npy};
pub use one_array::{read_array, write_array};
pub use pickle::{Module, Moments, Plain, TensorInFile, TorchFile, TrainingState, read_torch};
pub use run_folder::{Broken, Newest, newest_good, prune, save};
pub use run_state::{RunState, read_state, write_state};
pub use safetensors::Dtype;
pub use weights::{Weights, copy_weights, read_weights, write_weights};

/// A shape, outermost dimension first.
pub type Shape = Vec<usize>;
