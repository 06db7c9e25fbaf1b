//! The digest that tells a damaged file: CRC-32 over every string, name, type, shape and byte.

use std::collections::BTreeMap;

use crc32fast::Hasher;
use safetensors::Dtype;

/// The key of the metadata that holds the digest.
pub(crate) const KEY: &str = "digest";

/// A digest in the making.
pub(crate) struct Digest(Hasher);

impl Digest {
    /// Starts with the metadata, the digest itself left out.
    pub fn of(metadata: &BTreeMap<String, String>) -> Self {
        let mut digest = Self(Hasher::new());
        for (key, value) in metadata.iter().filter(|(key, _)| *key != KEY) {
            digest.text(key);
            digest.text(value);
        }
        digest
    }

    /// Adds an array, but for its bytes, which follow.
    pub fn array(&mut self, name: &str, dtype: Dtype, shape: &[usize]) {
        self.text(name);
        self.text(&format!("{dtype}{shape:?}"));
    }

    /// Adds bytes of an array.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The value to keep in the metadata.
    pub fn finish(self) -> String {
        format!("crc32:{:08x}", self.0.finalize())
    }

    /// The length goes first, so that no two sequences of texts look alike.
    fn text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }
}
