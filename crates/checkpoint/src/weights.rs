//! Named arrays with strings beside them, such as the weights of a network and the pipeline that made them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::archive::{self, Archive};
use crate::{Array, Error, TensorInFile, View};

/// What a file of weights holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    pub arrays: BTreeMap<String, Array>,
    /// Free strings, such as the resolved pipeline.
    pub metadata: BTreeMap<String, String>,
}

/// Writes arrays, straight from where they lie, as a safetensors file.
///
/// The key `digest` of the metadata is overwritten.
pub fn write_weights(
    path: &Path,
    arrays: &[(&str, View)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), Error> {
    archive::write(path, arrays, metadata)
}

/// Copies tensors of other files, a piece at a time, to a safetensors file.
///
/// The key `digest` of the metadata is overwritten.
pub fn copy_weights(
    path: &Path,
    arrays: &[(&str, &TensorInFile)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), Error> {
    archive::write(path, arrays, metadata)
}

/// Reads any safetensors file, from mollify or from elsewhere.
pub fn read_weights(path: &Path) -> Result<Weights, Error> {
    let mut archive = Archive::open(path)?;
    let mut arrays = BTreeMap::new();
    archive.arrays(|name, array| _ = arrays.insert(name, array))?;
    Ok(Weights { arrays, metadata: archive.metadata })
}
