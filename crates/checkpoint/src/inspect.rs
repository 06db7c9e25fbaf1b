//! A look at any file that this crate reads, without keeping its numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use safetensors::Dtype;

use crate::archive::Archive;
use crate::array::elements;
use crate::one_array::is_npy;
use crate::{Error, Shape, npy, run_state};

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub content: Content,
    /// Every array, in the order of the file.
    pub arrays: Vec<Entry>,
    /// Free strings of the file, such as the resolved pipeline.
    pub metadata: BTreeMap<String, String>,
}

/// The kinds of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The state of a run, with the texts that its nodes keep.
    State { tick: u64, act: usize, texts: BTreeMap<String, String> },
    /// Named arrays.
    Weights,
    /// One array in NumPy's format, which has no name.
    Npy,
}

/// An array of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Shape,
}

/// Reads what a file holds; a digest is checked, so a damaged file is an error.
pub fn inspect(path: &Path) -> Result<Summary, Error> {
    if is_npy(path)? {
        let array = npy::read(path)?;
        let entry = Entry { name: String::new(), dtype: array.dtype, shape: array.shape };
        return Ok(Summary { content: Content::Npy, arrays: vec![entry], metadata: BTreeMap::new() });
    }
    let mut archive = Archive::open(path)?;
    let mut arrays = Vec::new();
    archive.arrays(|name, array| arrays.push(Entry { name, dtype: array.dtype, shape: array.shape }))?;
    let mut metadata = archive.metadata;
    let content = match run_state::kept(path, &metadata)? {
        Some(kept) => Content::State { tick: kept.tick, act: kept.act, texts: kept.texts },
        None => Content::Weights,
    };
    metadata.remove(run_state::KEY);
    Ok(Summary { content, arrays, metadata })
}

impl Summary {
    /// How many numbers the arrays hold, which for weights is the count of parameters.
    pub fn parameters(&self) -> usize {
        self.arrays.iter().filter_map(|entry| elements(&entry.shape)).sum()
    }
}

impl fmt::Display for Summary {
    /// A heading, a line for each array, a total, and the metadata.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.content {
            Content::State { tick, act, .. } => {
                writeln!(f, "state of a run after {tick} ticks, in act {act}")?
            }
            Content::Weights => writeln!(f, "weights")?,
            Content::Npy => writeln!(f, "array")?,
        }
        let width = self.arrays.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0);
        for Entry { name, dtype, shape } in &self.arrays {
            writeln!(f, "  {name:width$} {:4} {shape:?}", dtype.to_string())?;
        }
        write!(f, "{} arrays, {} numbers", self.arrays.len(), self.parameters())?;
        if let Content::State { texts, .. } = &self.content {
            texts.iter().try_for_each(|(path, text)| write!(f, "\n{path}: {text}"))?;
        }
        self.metadata.iter().try_for_each(|(key, text)| write!(f, "\n{key}: {text}"))
    }
}
