//! Reads a stretch of a file byte by byte, and never past its end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::{Refusal, Result};

/// A stretch of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: u64,
    pub len: u64,
}

/// A reader of one span.
pub struct Stream<'a> {
    reader: BufReader<&'a File>,
    at: u64,
    end: u64,
}

impl<'a> Stream<'a> {
    pub fn open(file: &'a File, span: Span) -> Result<Self> {
        let end = span.start.checked_add(span.len).ok_or(Refusal::truncated())?;
        let mut file = file;
        file.seek(SeekFrom::Start(span.start))?;
        Ok(Self { reader: BufReader::with_capacity(1 << 12, file), at: span.start, end })
    }

    /// Where the next byte is.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// How many bytes are left.
    pub fn left(&self) -> u64 {
        self.end - self.at
    }

    pub fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.advance(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads `len` bytes, which the caller has found to be few.
    pub fn bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.advance(len)?;
        let mut bytes = vec![0; len as usize];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Passes over `len` bytes and says where they are.
    pub fn skip(&mut self, len: u64) -> Result<Span> {
        let span = Span { start: self.at, len };
        self.advance(len)?;
        let offset = i64::try_from(len).map_err(|_| Refusal::truncated())?;
        self.reader.seek_relative(offset)?;
        Ok(span)
    }

    /// Reads up to the next line feed, which is not a part of the line.
    pub fn line(&mut self, longest: u64) -> Result<String> {
        let mut line = Vec::new();
        let most = self.left().min(longest + 1);
        (&mut self.reader).take(most).read_until(b'\n', &mut line)?;
        self.at += line.len() as u64;
        match line.pop() {
            Some(b'\n') => {}
            _ if most > longest => {
                return Err(Refusal::new(format!("a name is longer than {longest} bytes")));
            }
            _ => return Err(Refusal::truncated()),
        }
        String::from_utf8(line).map_err(|_| Refusal::new("a name is not UTF-8"))
    }

    fn advance(&mut self, len: u64) -> Result<()> {
        if len > self.left() {
            return Err(Refusal::truncated());
        }
        self.at += len;
        Ok(())
    }
}

/// Reads all of a span, which the caller has found to be small.
pub fn read(mut file: &File, span: Span) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(span.start))?;
    let mut bytes = vec![0; span.len as usize];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
