//! Reads a file at any place without moving a cursor, so that threads can share it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// An open file that knows its name and its length.
#[derive(Debug)]
pub struct Positioned {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Positioned {
    pub fn open(path: &Path) -> Result<Self, String> {
        let cannot_read = |error: io::Error| format!("`{}` cannot be read: {error}", path.display());
        let file = File::open(path).map_err(cannot_read)?;
        let len = file.metadata().map_err(cannot_read)?.len();
        Ok(Self { path: path.to_owned(), file, len })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// Exactly `len` bytes from `start`. Nothing is allocated for what the file does not have.
    pub fn read(&self, start: u64, len: u64) -> Result<Vec<u8>, String> {
        if start.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(format!(
                "`{}` is cut off: its {} bytes end too early",
                self.path.display(),
                self.len
            ));
        }
        let mut bytes = vec![0; len as usize];
        let read = read_exact_at(&self.file, &mut bytes, start);
        read.map_err(|error| format!("`{}` cannot be read: {error}", self.path.display()))?;
        Ok(bytes)
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], start: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, start)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut start: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, bytes, start)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[count..];
        start += count as u64;
    }
    Ok(())
}
