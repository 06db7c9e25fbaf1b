//! The weights of a network as its file has them.

use std::collections::BTreeMap;

use checkpoint::Array;
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

/// Arrays in PyTorch's order, by name.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    arrays: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// What tells the file from others.
    pub digest: String,
}

/// SHA-256 in hexadecimal, the first 16 digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Weights {
    /// Reads a safetensors file. Fails with what follows its name in a sentence.
    pub fn parse(file: &[u8]) -> Result<Self, String> {
        let tensors =
            SafeTensors::deserialize(file).map_err(|error| format!("is no safetensors file: {error}"))?;
        let mut arrays = BTreeMap::new();
        for (name, view) in tensors.iter() {
            // Counters of batches say nothing here.
            if name.ends_with("num_batches_tracked") {
                continue;
            }
            let array = Array::new(view.dtype(), view.shape(), view.data().to_vec());
            let numbers = array.and_then(|array| array.f32s());
            let numbers = numbers.map_err(|error| format!("cannot be used: `{name}`: {error}"))?;
            arrays.insert(name.to_owned(), (view.shape().to_vec(), numbers));
        }
        Ok(Self { arrays, digest: digest(file) })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// The shape of an array, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.arrays.get(name).map(|(shape, _)| &shape[..])
    }

    /// The numbers of an array.
    ///
    /// # Panics
    /// If there is none: whoever reads a file from outside checks its names first.
    #[track_caller]
    pub fn get(&self, name: &str) -> &[f32] {
        &self.arrays.get(name).unwrap_or_else(|| panic!("the weights have no `{name}`")).1
    }
}
