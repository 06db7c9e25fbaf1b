//! The safetensors format: a length, a JSON header, then the bytes of every array end to end.
//!
//! The header is read, and its offsets checked, by the `safetensors` crate. It is written here, because that
//! crate puts metadata in an order that differs from run to run, and equal states must be equal files.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Serializer;
use serde_json::{Value, json};

use crate::digest::{self, Digest};
use crate::{Array, Error, View, write_whole};

const METADATA: &str = "__metadata__";
const EXPECTED: &str = "a safetensors file";
/// The format allows no longer header.
const LONGEST_HEADER: u64 = 100_000_000;

/// What can be written as an array: numbers in memory, or in another file.
pub(crate) trait Content {
    fn dtype(&self) -> Dtype;

    fn shape(&self) -> &[usize];

    /// How many bytes there are.
    fn len(&self) -> usize;

    /// Gives the bytes in order, piece by piece.
    fn pieces(&self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>;
}

impl<C: Content> Content for &C {
    fn dtype(&self) -> Dtype {
        (**self).dtype()
    }

    fn shape(&self) -> &[usize] {
        (**self).shape()
    }

    fn len(&self) -> usize {
        (**self).len()
    }

    fn pieces(&self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        (**self).pieces(each)
    }
}

impl Content for View<'_> {
    fn dtype(&self) -> Dtype {
        View::dtype(self)
    }

    fn shape(&self) -> &[usize] {
        View::shape(self)
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    fn pieces(&self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        each(self.bytes())
    }
}

/// Writes arrays from where they lie, and metadata with a digest. All are read twice: for the digest, which goes first,
/// and to be written.
pub(crate) fn write(
    path: &Path,
    arrays: &[(&str, impl Content)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let mut arrays: Vec<_> = arrays.iter().map(|(name, content)| (*name, content)).collect();
    arrays.sort_by_key(|(name, content)| (rank(*content), *name));
    let header = header(&arrays, metadata)?;
    write_whole(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        arrays.iter().try_for_each(|(_, content)| content.pieces(&mut |piece| file.write_all(piece)))
    })
}

/// Wider types go first, so that all are aligned, and empty arrays before them, so that only those share an
/// offset.
fn rank(content: &impl Content) -> Reverse<usize> {
    Reverse(if content.len() == 0 { usize::MAX } else { content.dtype().bitsize() })
}

/// The JSON header, padded with spaces so that the arrays start at a multiple of eight.
fn header(arrays: &[(&str, &impl Content)], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, Error> {
    let mut taken = BTreeSet::from([METADATA]);
    let mut digest = Digest::of(metadata);
    let mut entries = vec![(METADATA, Value::Null)];
    let mut start = 0;
    for (name, content) in arrays {
        if !taken.insert(name) {
            return Err(Error::Duplicate { name: name.to_string() });
        }
        digest.array(name, content.dtype(), content.shape());
        let pieces = content.pieces(&mut |piece| {
            digest.bytes(piece);
            Ok(())
        });
        pieces.map_err(|error| Error::Array { name: name.to_string(), error })?;
        let end = start + content.len();
        let dtype = content.dtype().to_string();
        entries.push((name, json!({"dtype": dtype, "shape": content.shape(), "data_offsets": [start, end]})));
        start = end;
    }
    let mut metadata = metadata.clone();
    metadata.insert(digest::KEY.to_string(), digest.finish());
    entries[0].1 = json!(metadata);

    let mut header = Vec::new();
    serde_json::Serializer::new(&mut header).collect_map(entries).expect("strings and numbers are JSON");
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// An open file whose header is read and whose arrays are not.
pub(crate) struct Archive {
    path: PathBuf,
    file: File,
    /// Where the first array starts.
    start: u64,
    header: Metadata,
    pub metadata: BTreeMap<String, String>,
}

impl Archive {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let io = Error::io("read", path);
        let mut file = File::open(path).map_err(&io)?;
        let size = file.metadata().map_err(&io)?.len();
        let truncated = |expected| Error::Truncated { path: path.to_owned(), expected, found: size };
        if size < 8 {
            return Err(truncated(8));
        }
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(&io)?;
        let length = u64::from_le_bytes(length);
        if length > LONGEST_HEADER {
            return Err(Error::format(path, EXPECTED, "it does not start with the length of a header"));
        }
        if length + 8 > size {
            return Err(truncated(length + 8));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(&io)?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| Error::format(path, EXPECTED, error))?;
        check_size(path, size, length + 8, header.data_len() as u64)?;
        let metadata =
            header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Self { path: path.to_owned(), file, start: length + 8, header, metadata })
    }

    /// The names of all arrays in the order of the file, which for empty ones at one offset is by name.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.header.offset_keys();
        names.sort_by_key(|name| (self.header.info(name).map(|info| info.data_offsets), name.clone()));
        names
    }

    /// Reads one array; `None` if there is none of that name.
    pub fn array(&mut self, name: &str) -> Result<Option<Array>, Error> {
        let Some(TensorInfo { dtype, shape, data_offsets: (start, end) }) = self.header.info(name) else {
            return Ok(None);
        };
        let io = Error::io("read", &self.path);
        let mut bytes = vec![0; end - start];
        self.file.seek(SeekFrom::Start(self.start + *start as u64)).map_err(&io)?;
        self.file.read_exact(&mut bytes).map_err(&io)?;
        Array::new(*dtype, shape, bytes).map(Some)
    }

    /// Reads every array in the order of the file and checks the digest, if there is one.
    pub fn arrays(&mut self, mut each: impl FnMut(String, Array)) -> Result<(), Error> {
        let mut digest = Digest::of(&self.metadata);
        for name in self.names() {
            if let Some(array) = self.array(&name)? {
                digest.array(&name, array.dtype, &array.shape);
                digest.bytes(&array.bytes);
                each(name, array);
            }
        }
        let found = digest.finish();
        match self.metadata.remove(digest::KEY) {
            Some(expected) if expected != found => {
                Err(Error::Digest { path: self.path.clone(), expected, found })
            }
            _ => Ok(()),
        }
    }
}

fn check_size(path: &Path, found: u64, start: u64, arrays: u64) -> Result<(), Error> {
    match start.checked_add(arrays) {
        Some(expected) if expected == found => Ok(()),
        Some(expected) if expected < found => {
            let reason = format!("{} bytes follow its last array", found - expected);
            Err(Error::format(path, EXPECTED, reason))
        }
        expected => {
            let expected = expected.unwrap_or(u64::MAX);
            Err(Error::Truncated { path: path.to_owned(), expected, found })
        }
    }
}
