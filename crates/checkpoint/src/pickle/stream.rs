//! Reads a stretch of a file byte by byte, and never past its end.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::{Refusal, Result};

/// How much is read at a time.
const AHEAD: u64 = 1 << 12;

/// A stretch of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: u64,
    pub len: u64,
}

/// A reader of one span. It says where it reads each time, so that several may share one file.
pub struct Stream<'a> {
    file: &'a File,
    /// What was read ahead, of which `used` bytes are behind.
    ahead: Vec<u8>,
    used: usize,
    at: u64,
    end: u64,
}

impl<'a> Stream<'a> {
    pub fn open(file: &'a File, span: Span) -> Result<Self> {
        let end = span.start.checked_add(span.len).ok_or(Refusal::truncated())?;
        Ok(Self { file, ahead: Vec::new(), used: 0, at: span.start, end })
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
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads `len` bytes, which the caller has found to be few.
    pub fn bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.expect(len)?;
        let mut bytes = vec![0; len as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Passes over `len` bytes and says where they are.
    pub fn skip(&mut self, len: u64) -> Result<Span> {
        self.expect(len)?;
        let span = Span { start: self.at, len };
        self.at += len;
        let ahead = (self.ahead.len() - self.used) as u64;
        self.used += len.min(ahead) as usize;
        Ok(span)
    }

    /// Reads up to the next line feed, which is not a part of the line.
    pub fn line(&mut self, longest: usize) -> Result<String> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                _ if line.len() == longest => {
                    return Err(Refusal::new(format!("a name is longer than {longest} bytes")));
                }
                byte => line.push(byte),
            }
        }
        String::from_utf8(line).map_err(|_| Refusal::new("a name is not UTF-8"))
    }

    fn expect(&self, len: u64) -> Result<()> {
        if len > self.left() { Err(Refusal::truncated()) } else { Ok(()) }
    }

    fn fill(&mut self, mut bytes: &mut [u8]) -> Result<()> {
        self.expect(bytes.len() as u64)?;
        while !bytes.is_empty() {
            if self.used == self.ahead.len() {
                self.read_ahead()?;
            }
            let count = bytes.len().min(self.ahead.len() - self.used);
            let (now, later) = bytes.split_at_mut(count);
            now.copy_from_slice(&self.ahead[self.used..][..count]);
            self.used += count;
            self.at += count as u64;
            bytes = later;
        }
        Ok(())
    }

    fn read_ahead(&mut self) -> Result<()> {
        self.ahead.resize(self.left().min(AHEAD) as usize, 0);
        self.file.seek(SeekFrom::Start(self.at))?;
        self.file.read_exact(&mut self.ahead)?;
        self.used = 0;
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
