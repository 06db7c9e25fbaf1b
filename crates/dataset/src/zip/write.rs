//! Writes zip archives: entries stored as they are, without dates, so that equal entries make equal archives.

use std::io::{self, Write};

use super::{CENTRAL, END, LARGE, LARGE_END, LARGE_PLACE, LOCAL};

/// The version of the format that a reader has to know, with and without numbers of 64 bits.
const VERSION: u16 = 20;
const LARGE_VERSION: u16 = 45;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// Midnight on 1 January 1980, the first moment that the format knows.
const DATE: u32 = 1 << 21 | 1 << 16;

/// An archive in the making. Without [`finish`](Self::finish) it is none.
pub struct ZipWriter<W: Write> {
    out: W,
    at: u64,
    list: Vec<u8>,
    entries: u64,
}

impl<W: Write> ZipWriter<W> {
    pub fn new(out: W) -> Self {
        Self { out, at: 0, list: Vec::new(), entries: 0 }
    }

    /// Adds a file of less than 4 GiB.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let too_large = || io::Error::other(format!("`{name}` is too large for an archive"));
        let len = u32::try_from(bytes.len()).ok().filter(|len| *len < u32::MAX).ok_or_else(too_large)?;
        let name_len = u16::try_from(name.len()).map_err(|_| too_large())?;
        let start = self.at;
        let mut same = Vec::with_capacity(26);
        for half in [VERSION, FLAGS, 0] {
            same.extend(half.to_le_bytes());
        }
        for word in [DATE, crc32fast::hash(bytes), len, len] {
            same.extend(word.to_le_bytes());
        }
        same.extend(name_len.to_le_bytes());
        self.write(&LOCAL.to_le_bytes())?;
        self.write(&same)?;
        self.write(&[0; 2])?;
        self.write(name.as_bytes())?;
        self.write(bytes)?;
        self.add_to_list(&same, name, start);
        Ok(())
    }

    fn add_to_list(&mut self, same: &[u8], name: &str, start: u64) {
        let small = u32::try_from(start).ok().filter(|start| *start < u32::MAX);
        let list = &mut self.list;
        list.extend(CENTRAL.to_le_bytes());
        list.extend(LARGE_VERSION.to_le_bytes());
        list.extend(same);
        list.extend(if small.is_some() { 0u16 } else { 12 }.to_le_bytes());
        list.extend([0; 10]);
        list.extend(small.unwrap_or(u32::MAX).to_le_bytes());
        list.extend(name.as_bytes());
        if small.is_none() {
            list.extend(LARGE.to_le_bytes());
            list.extend(8u16.to_le_bytes());
            list.extend(start.to_le_bytes());
        }
        self.entries += 1;
    }

    /// Writes the list of entries and gives back what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        let (start, len) = (self.at, self.list.len() as u64);
        let list = std::mem::take(&mut self.list);
        self.write(&list)?;
        let large = self.entries >= u16::MAX.into() || start.max(len) >= u32::MAX.into();
        if large {
            self.write_large_end(start, len)?;
        }
        let entries = self.entries.min(u16::MAX.into()) as u16;
        let [start, len] = [start, len].map(|number| number.min(u32::MAX.into()) as u32);
        self.write(&END.to_le_bytes())?;
        self.write(&[0; 4])?;
        self.write(&[entries.to_le_bytes(), entries.to_le_bytes()].concat())?;
        self.write(&[len.to_le_bytes(), start.to_le_bytes()].concat())?;
        self.write(&[0; 2])?;
        Ok(self.out)
    }

    fn write_large_end(&mut self, start: u64, len: u64) -> io::Result<()> {
        let place = self.at;
        self.write(&LARGE_END.to_le_bytes())?;
        self.write(&44u64.to_le_bytes())?;
        self.write(&[LARGE_VERSION.to_le_bytes(), LARGE_VERSION.to_le_bytes()].concat())?;
        self.write(&[0; 8])?;
        for number in [self.entries, self.entries, len, start] {
            self.write(&number.to_le_bytes())?;
        }
        self.write(&LARGE_PLACE.to_le_bytes())?;
        self.write(&[0; 4])?;
        self.write(&place.to_le_bytes())?;
        self.write(&1u32.to_le_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}
