//! Reads tar archives from front to back.

use std::io::{self, Read};

use super::packed;

const BLOCK: usize = 512;

/// Whether the first block of a file is the header of an entry.
pub fn begins(block: &[u8]) -> bool {
    block.len() == BLOCK && checksum(block) == octal(&block[148..156])
}

/// Hands each file of at most `most` bytes to `take`, with its name.
pub fn each_file(
    archive: &mut dyn Read,
    most: u64,
    mut take: impl FnMut(&str, Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        let header = packed::take(archive, BLOCK as u64)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        if !begins(&header) {
            return Err(io::Error::other("it is no tar archive, or broken"));
        }
        let name = String::from_utf8_lossy(header[..100].split(|byte| *byte == 0).next().unwrap_or_default());
        let len = octal(&header[124..136]).filter(|len| *len <= most);
        let len = len.ok_or_else(|| io::Error::other(format!("`{name}` in it is too large")))?;
        let mut bytes = packed::take(archive, len.next_multiple_of(BLOCK as u64))?;
        bytes.truncate(len as usize);
        if matches!(header[156], 0 | b'0') {
            take(&name, bytes)?;
        }
    }
}

fn octal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    u64::from_str_radix(text.trim_matches(|c| c == ' ' || c == '\0'), 8).ok()
}

/// The sum of a header's bytes, those of the sum itself being spaces.
fn checksum(header: &[u8]) -> Option<u64> {
    let byte =
        |(at, byte): (usize, &u8)| if (148..156).contains(&at) { b' '.into() } else { u64::from(*byte) };
    Some(header.iter().enumerate().map(byte).sum())
}
