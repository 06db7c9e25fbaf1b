//! Where the entries of a zip file lie that `torch.save` wrote: without compression, of any size.

use std::collections::HashMap;
use std::fs::File;

use super::stream::{Span, Stream, read};
use super::{Refusal, Result};

/// No file of weights has a longer list of entries: a hundred thousand of them.
const LONGEST_DIRECTORY: u64 = 8 << 20;
/// The record at the end, and the longest comment after it.
const LONGEST_END: u64 = 22 + 0xffff;

/// An entry of a zip file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    header: u64,
    len: u64,
    pub crc: u32,
}

/// The entries of a zip file by name.
pub struct Zip {
    pub entries: HashMap<String, Entry>,
}

impl Zip {
    pub fn open(file: &File, size: u64) -> Result<Self> {
        let directory = directory(file, size)?;
        if directory.len > LONGEST_DIRECTORY {
            return Err(Refusal::new(format!(
                "its list of entries is longer than {LONGEST_DIRECTORY} bytes"
            )));
        }
        let mut stream = Stream::open(file, directory)?;
        let mut entries = HashMap::new();
        while stream.left() > 0 {
            let (name, entry) = entry(&mut stream)?;
            if entries.insert(name.clone(), entry).is_some() {
                return Err(Refusal::new(format!("it has two entries `{name}`")));
            }
        }
        Ok(Self { entries })
    }

    /// Where the content of an entry lies.
    pub fn span(&self, file: &File, size: u64, entry: Entry) -> Result<Span> {
        let rest = size.checked_sub(entry.header).ok_or(Refusal::truncated())?;
        let mut stream = Stream::open(file, Span { start: entry.header, len: rest })?;
        expect(stream.array()?, b"PK\x03\x04")?;
        stream.skip(22)?;
        let name = u16::from_le_bytes(stream.array()?);
        let extra = u16::from_le_bytes(stream.array()?);
        stream.skip(u64::from(name) + u64::from(extra))?;
        stream.skip(entry.len)
    }
}

/// Where the list of entries lies.
fn directory(file: &File, size: u64) -> Result<Span> {
    let start = size.saturating_sub(LONGEST_END);
    let tail = read(file, Span { start, len: size - start })?;
    let found = tail.windows(4).rposition(|window| window == b"PK\x05\x06");
    let at = start + found.ok_or(Refusal::truncated())? as u64;
    let mut stream = Stream::open(file, Span { start: at, len: size - at })?;
    stream.skip(12)?;
    let [len, start] = [u32::from_le_bytes(stream.array()?), u32::from_le_bytes(stream.array()?)];
    let comment = u16::from_le_bytes(stream.array()?);
    stream.skip(comment.into())?;
    let span = if len == u32::MAX || start == u32::MAX {
        large_directory(file, at, size)?
    } else {
        Span { start: start.into(), len: len.into() }
    };
    match span.start.checked_add(span.len) {
        Some(end) if end <= at => Ok(span),
        _ => Err(Refusal::truncated()),
    }
}

/// The same for files of more than 4 GB, of which a second record in front of the first one tells.
fn large_directory(file: &File, end: u64, size: u64) -> Result<Span> {
    let locator = end.checked_sub(20).ok_or(Refusal::truncated())?;
    let mut stream = Stream::open(file, Span { start: locator, len: 20 })?;
    expect(stream.array()?, b"PK\x06\x07")?;
    stream.skip(4)?;
    let at = u64::from_le_bytes(stream.array()?);
    let rest = size.checked_sub(at).ok_or(Refusal::truncated())?;
    let mut stream = Stream::open(file, Span { start: at, len: rest })?;
    expect(stream.array()?, b"PK\x06\x06")?;
    stream.skip(36)?;
    let len = u64::from_le_bytes(stream.array()?);
    Ok(Span { start: u64::from_le_bytes(stream.array()?), len })
}

/// The next entry of the list.
fn entry(stream: &mut Stream) -> Result<(String, Entry)> {
    const STORED: u16 = 0;
    expect(stream.array()?, b"PK\x01\x02")?;
    stream.skip(4)?;
    let flags = u16::from_le_bytes(stream.array()?);
    let method = u16::from_le_bytes(stream.array()?);
    stream.skip(4)?;
    let crc = u32::from_le_bytes(stream.array()?);
    let [packed, len] = [u32::from_le_bytes(stream.array()?), u32::from_le_bytes(stream.array()?)];
    let [name, extra, comment] = [(); 3].map(|()| stream.array().map(u16::from_le_bytes));
    stream.skip(8)?;
    let header = u32::from_le_bytes(stream.array()?);
    let name =
        String::from_utf8(stream.bytes(name?.into())?).map_err(|_| Refusal::new("a name is not UTF-8"))?;
    let extra = stream.bytes(extra?.into())?;
    stream.skip(comment?.into())?;
    if method != STORED || flags & 1 != 0 {
        return Err(Refusal::new(format!("its entry `{name}` is compressed or encrypted")));
    }
    let mut large = large_numbers(&extra);
    let mut number = |small: u32| match small {
        u32::MAX => large.next().ok_or(Refusal::truncated()),
        small => Ok(small.into()),
    };
    let (len, packed, header) = (number(len)?, number(packed)?, number(header)?);
    if len != packed {
        return Err(Refusal::new(format!("its entry `{name}` has two lengths")));
    }
    Ok((name, Entry { header, len, crc }))
}

/// The numbers of an entry that are too large for 32 bits, in their order.
fn large_numbers(mut extra: &[u8]) -> impl Iterator<Item = u64> + use<'_> {
    const LARGE: u16 = 1;
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

fn expect(found: [u8; 4], wanted: &[u8; 4]) -> Result<()> {
    if found == *wanted { Ok(()) } else { Err(Refusal::new("its list of entries is broken")) }
}
