//! LSUN as it is published: an LMDB whose values are the files of pictures. It has no labels.

use std::path::Path;

use super::lmdb::{self, Stored};
use super::{Pictures, Source};
use crate::labels::Labels;
use crate::picture::{Format, MOST_BYTES, Picture};
use crate::positioned::Positioned;

/// What the folder of an LMDB holds.
pub const FILE: &str = "data.mdb";

struct Lsun {
    file: Positioned,
    values: Vec<Stored>,
}

pub fn open(folder: &Path) -> Result<Source, String> {
    let (file, values) = lmdb::open(&folder.join(FILE))?;
    Ok(Source { pictures: Box::new(Lsun { file, values }), labels: Labels::default() })
}

impl Pictures for Lsun {
    fn count(&self) -> usize {
        self.values.len()
    }

    fn name(&self, picture: usize) -> String {
        format!("key {} of {}", self.values[picture].key.escape_ascii(), self.file.path().display())
    }

    fn read(&self, picture: usize) -> Result<Picture, String> {
        let Stored { start, len, .. } = self.values[picture];
        if len > MOST_BYTES {
            return Err(format!("has {len} bytes, expected at most {MOST_BYTES}"));
        }
        Picture::decode(&self.file.read(start, len)?)
    }

    fn format(&self, picture: usize) -> Result<Format, String> {
        let Stored { start, len, .. } = self.values[picture];
        Format::read(|most| self.file.read(start, len.min(most)))
    }
}
