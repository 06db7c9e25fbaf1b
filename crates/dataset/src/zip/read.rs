//! Reads zip archives: stored or deflated entries, with no more memory than the list of entries and one of them.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use flate2::read::DeflateDecoder;

use super::{CENTRAL, END, LARGE, LARGE_END, LARGE_PLACE, LOCAL};
use crate::bytes::Bytes;
use crate::positioned::Positioned;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// An ordinary end has 22 bytes and a comment of up to 64 KiB after it.
const END_LEN: u64 = 22;
const LONGEST_END: u64 = END_LEN + u16::MAX as u64;
/// An entry's own header has 30 bytes, and its name and extra fields after it.
const LOCAL_LEN: u64 = 30;
/// Deflate packs no better than this, so that an entry which claims to is a bomb.
const MOST_PACKED: u64 = 1032;

/// An archive whose list of entries has been read.
#[derive(Debug)]
pub struct Zip {
    file: Positioned,
    entries: Vec<Entry>,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path with `/` between folders; never absolute, never with `..`.
    pub name: String,
    /// How many bytes it has unpacked.
    pub len: u64,
    packed: u64,
    method: u16,
    crc: u32,
    header: u64,
}

impl Zip {
    /// Reads the list of entries; folders are left out.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = Positioned::open(path)?;
        let wrong = |what: String| format!("`{}` is no whole zip archive: {what}", path.display());
        let list = list_of(&file).map_err(wrong)?;
        let mut bytes = Bytes::new(&list);
        let mut entries = Vec::new();
        let mut names = HashSet::new();
        while !bytes.is_empty() {
            let entry = entry(&mut bytes).map_err(wrong)?;
            if entry.name.ends_with('/') {
                continue;
            }
            check_name(&entry.name).map_err(wrong)?;
            if !names.insert(entry.name.clone()) {
                return Err(wrong(format!("it has two entries `{}`", entry.name)));
            }
            entries.push(entry);
        }
        check_apart(&entries).map_err(wrong)?;
        Ok(Self { file, entries })
    }

    /// The files in the order in which the archive lists them.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Unpacks an entry of at most `most` bytes and compares its checksum. Any thread may do so.
    pub fn read(&self, entry: &Entry, most: u64) -> Result<Vec<u8>, String> {
        let of = |what: String| format!("`{}` in `{}` {what}", entry.name, self.path().display());
        if entry.len > most {
            return Err(of(format!("has {} bytes unpacked, expected at most {most}", entry.len)));
        }
        let packed = self.file.read(self.place(entry).map_err(of)?, entry.packed)?;
        let bytes = match entry.method {
            STORED => packed,
            _ => unpack(&packed, entry.len).map_err(of)?,
        };
        if bytes.len() as u64 != entry.len {
            return Err(of(format!(
                "is broken: it does not unpack to the {} bytes that it claims",
                entry.len
            )));
        }
        if crc32fast::hash(&bytes) != entry.crc {
            return Err(of("is broken: its checksum is wrong".into()));
        }
        Ok(bytes)
    }

    /// The first bytes of an entry, `most` at most. The checksum is compared where these are all.
    pub fn start(&self, entry: &Entry, most: u64) -> Result<Vec<u8>, String> {
        if entry.len <= most {
            return self.read(entry, most);
        }
        let of = |what: String| format!("`{}` in `{}` {what}", entry.name, self.path().display());
        // What cannot be packed grows by less than this.
        let packed = self.file.read(self.place(entry).map_err(of)?, entry.packed.min(most + most / 8))?;
        let mut bytes = Vec::new();
        match entry.method {
            STORED => packed.as_slice().take(most).read_to_end(&mut bytes),
            _ => DeflateDecoder::new(&packed[..]).take(most).read_to_end(&mut bytes),
        }
        .map_err(|error| of(format!("cannot be unpacked: {error}")))?;
        Ok(bytes)
    }

    /// Where the bytes of an entry begin, which its own header says.
    fn place(&self, entry: &Entry) -> Result<u64, String> {
        let header = self.file.read(entry.header, LOCAL_LEN)?;
        let mut header = Bytes::new(&header);
        if header.u32()? != LOCAL {
            return Err("is broken: its own header is not where the list says".into());
        }
        header.skip(22)?;
        let (name, extra) = (header.u16()?, header.u16()?);
        Ok(entry.header + LOCAL_LEN + u64::from(name) + u64::from(extra))
    }
}

/// Reads one byte more than expected at most, whatever the stream would give.
fn unpack(packed: &[u8], len: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(len.min(packed.len() as u64 * MOST_PACKED) as usize);
    let read = DeflateDecoder::new(packed).take(len + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be unpacked: {error}"))?;
    Ok(bytes)
}

/// The bytes of the list of entries, which ends where the end of the archive begins.
fn list_of(file: &Positioned) -> Result<Vec<u8>, String> {
    let tail_len = file.len().min(LONGEST_END);
    let tail_start = file.len() - tail_len;
    let tail = file.read(tail_start, tail_len)?;
    let ends = |at: &usize| {
        let comment = tail.get(at + 20..at + 22).map(|len| usize::from(u16::from_le_bytes([len[0], len[1]])));
        tail[*at..].starts_with(&END.to_le_bytes()) && comment == Some(tail.len() - at - 22)
    };
    let at = (0..(tail.len() + 1).saturating_sub(END_LEN as usize)).rev().find(ends);
    let at = at.ok_or("its end is missing; perhaps it is cut off")?;
    let mut end = Bytes::new(&tail[at + 12..]);
    let (len, start) = (end.u32()?, end.u32()?);
    let (len, start) = match (len, start) {
        (u32::MAX, _) | (_, u32::MAX) => large_list(file, tail_start + at as u64)?,
        _ => (len.into(), start.into()),
    };
    file.read(start, len).map_err(|_| "its list of entries lies outside of it".to_owned())
}

/// Where the list of a large archive is, which a record in front of the ordinary end says.
fn large_list(file: &Positioned, end: u64) -> Result<(u64, u64), String> {
    let broken = || "its end is broken".to_owned();
    let place = file.read(end.checked_sub(20).ok_or_else(broken)?, 20)?;
    let mut place = Bytes::new(&place);
    if place.u32()? != LARGE_PLACE {
        return Err(broken());
    }
    place.skip(4)?;
    let record = file.read(place.u64()?, 56)?;
    let mut record = Bytes::new(&record);
    if record.u32()? != LARGE_END {
        return Err(broken());
    }
    record.skip(36)?;
    Ok((record.u64()?, record.u64()?))
}

/// The next line of the list.
fn entry(list: &mut Bytes) -> Result<Entry, String> {
    if list.u32()? != CENTRAL {
        return Err("its list of entries is broken".into());
    }
    list.skip(4)?;
    let (flags, method) = (list.u16()?, list.u16()?);
    list.skip(4)?;
    let (crc, packed, len) = (list.u32()?, list.u32()?, list.u32()?);
    let [name, extra, comment] = [list.u16()?, list.u16()?, list.u16()?].map(usize::from);
    list.skip(8)?;
    let header = list.u32()?;
    let name = String::from_utf8_lossy(list.take(name)?).into_owned();
    let mut large = large_numbers(list.take(extra)?);
    list.skip(comment)?;
    // Numbers of 64 bits come in this order, each only where the small one is full.
    let mut number = |small: u32| match small {
        u32::MAX => large.next().ok_or(format!("`{name}` has no length")),
        small => Ok(small.into()),
    };
    let (len, packed, header) = (number(len)?, number(packed)?, number(header)?);
    if flags & 1 != 0 {
        return Err(format!("`{name}` is encrypted"));
    }
    if ![STORED, DEFLATED].contains(&method) {
        return Err(format!("`{name}` is packed by method {method}, expected 0 (stored) or 8 (deflated)"));
    }
    if len > packed.saturating_mul(MOST_PACKED) || method == STORED && len != packed {
        return Err(format!("`{name}` claims to unpack {packed} bytes to {len}"));
    }
    Ok(Entry { name, len, packed, method, crc, header })
}

fn large_numbers(mut extra: &[u8]) -> impl Iterator<Item = u64> + use<'_> {
    let mut found: &[u8] = &[];
    while let [a, b, c, d, rest @ ..] = extra {
        let len = usize::from(u16::from_le_bytes([*c, *d])).min(rest.len());
        let (field, after) = rest.split_at(len);
        if u16::from_le_bytes([*a, *b]) == LARGE {
            found = field;
        }
        extra = after;
    }
    found.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Refuses names that would lead out of a folder. Nothing is ever unpacked to them, but no honest archive has them.
fn check_name(name: &str) -> Result<(), String> {
    let drive = name.as_bytes().get(1) == Some(&b':');
    let leads_out = name.starts_with('/') || drive || name.split(['/', '\\']).any(|part| part == "..");
    if leads_out || name.contains('\0') {
        return Err(format!("the name `{}` leads out of it", name.escape_debug()));
    }
    Ok(())
}

/// Refuses entries that share bytes, with which a small archive would unpack to a large one.
fn check_apart(entries: &[Entry]) -> Result<(), String> {
    let mut placed: Vec<&Entry> = entries.iter().collect();
    placed.sort_unstable_by_key(|entry| entry.header);
    let overlap = |two: &&[&Entry]| two[1].header - two[0].header < two[0].packed.saturating_add(LOCAL_LEN);
    match placed.windows(2).find(overlap) {
        Some(two) => Err(format!("its entries `{}` and `{}` share bytes", two[0].name, two[1].name)),
        None => Ok(()),
    }
}
