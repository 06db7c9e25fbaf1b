//! Files that may be packed by gzip.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use flate2::read::MultiGzDecoder;

/// What is in a file, unpacked if it begins as gzip does.
pub fn unpacked(mut file: File) -> io::Result<Box<dyn Read>> {
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start)?;
    file.rewind()?;
    let file = BufReader::with_capacity(1 << 16, file);
    Ok(if start == [0x1f, 0x8b] { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Reads exactly `len` bytes; a bomb ends there, and what claims too much costs no more than it has.
pub fn take(file: &mut dyn Read, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len.min(1 << 20) as usize);
    file.take(len).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < len {
        return Err(io::Error::other(format!(
            "it is cut off: {} bytes where {len} are expected",
            bytes.len()
        )));
    }
    Ok(bytes)
}
