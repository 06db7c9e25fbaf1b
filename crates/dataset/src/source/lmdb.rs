//! Reads the file of an LMDB environment: its main database, in the order of the keys. Nothing is ever written.
//!
//! The file is a row of pages. Two of them say where the tree of the last transaction begins; its branches point to
//! pages, and its leaves hold keys with values, or with the pages where a large value lies. The numbers are those of
//! 64-bit little-endian machines, on which such files are made.

use std::path::Path;

use crate::bytes::Bytes;
use crate::positioned::Positioned;

const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;
/// A page begins with its number, flags and bounds.
const HEADER: u64 = 16;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const META: u16 = 8;
/// Flags of a value: it lies on pages of its own; it is a database itself, or several values.
const BIG: u16 = 1;
const NESTED: u16 = 2 | 4;

/// A value in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub key: Vec<u8>,
    pub start: u64,
    pub len: u64,
}

/// The head of a tree.
#[derive(Clone, Copy)]
struct Meta {
    page: u64,
    entries: u64,
    root: u64,
    transaction: u64,
}

/// Where all values lie, in the order of their keys; fails with what follows the file's name in a sentence.
pub fn list(file: &Positioned) -> Result<Vec<Stored>, String> {
    let first = meta(file, 0)?;
    // The second one is older, newer or torn.
    let second = meta(file, first.page).ok();
    let newest = second.filter(|second| second.transaction > first.transaction).unwrap_or(first);
    let mut tree = Tree { file, page: first.page, left: file.len() / first.page, found: Vec::new() };
    if newest.root != u64::MAX {
        tree.walk(newest.root)?;
    }
    if tree.found.len() as u64 != newest.entries {
        return Err(format!("has {} entries where it claims {}", tree.found.len(), newest.entries));
    }
    Ok(tree.found)
}

fn meta(file: &Positioned, start: u64) -> Result<Meta, String> {
    let page = file.read(start, 152)?;
    let mut bytes = Bytes::new(&page);
    bytes.skip(10)?;
    let flags = bytes.u16()?;
    bytes.skip(4)?;
    let (magic, version) = (bytes.u32()?, bytes.u32()?);
    if magic != MAGIC || version != VERSION || flags & META == 0 {
        return Err("is no LMDB file of version 1 for 64-bit little-endian machines".into());
    }
    bytes.skip(16)?;
    let page = u64::from(bytes.u32()?);
    if !page.is_power_of_two() || !(512..=1 << 16).contains(&page) {
        return Err(format!("claims pages of {page} bytes"));
    }
    bytes.skip(44 + 32)?;
    let (entries, root) = (bytes.u64()?, bytes.u64()?);
    bytes.skip(8)?;
    Ok(Meta { page, entries, root, transaction: bytes.u64()? })
}

struct Tree<'a> {
    file: &'a Positioned,
    page: u64,
    /// How many pages may still be visited: each of a tree's pages is visited once.
    left: u64,
    found: Vec<Stored>,
}

impl Tree<'_> {
    /// Visits pages depth first, without recursion.
    fn walk(&mut self, root: u64) -> Result<(), String> {
        let mut waiting = vec![root];
        while let Some(number) = waiting.pop() {
            self.left = self.left.checked_sub(1).ok_or("has a tree that goes round in circles")?;
            let start = number.checked_mul(self.page).ok_or("points outside of itself")?;
            let page = self.file.read(start, self.page)?;
            let mut header = Bytes::new(&page[10..]);
            let (flags, lower) = (header.u16()?, header.u16()?);
            let count = usize::from(lower).saturating_sub(HEADER as usize) / 2;
            let places = (0..count).map(|i| page.get(HEADER as usize + 2 * i..).ok_or("has a broken page"));
            let places = places.map(|bytes| Bytes::new(bytes?).u16().map(usize::from));
            let places = places.collect::<Result<Vec<usize>, String>>()?;
            match flags & (BRANCH | LEAF) {
                LEAF => places.into_iter().try_for_each(|place| self.leaf(&page, start, place))?,
                BRANCH => {
                    let pages = places.into_iter().rev().map(|place| child(&page, place));
                    waiting.extend(pages.collect::<Result<Vec<u64>, String>>()?);
                }
                _ => return Err(format!("has no page of its tree at {start}")),
            }
            if waiting.len() as u64 > self.left {
                return Err("has a tree that goes round in circles".into());
            }
        }
        Ok(())
    }

    fn leaf(&mut self, page: &[u8], start: u64, place: usize) -> Result<(), String> {
        let mut node = Bytes::new(page.get(place..).ok_or("has a broken page")?);
        let len = u64::from(node.u32()?);
        let (flags, key_len) = (node.u16()?, node.u16()?);
        let key = node.take(key_len.into())?.to_vec();
        if flags & NESTED != 0 {
            return Err("has databases inside its database".into());
        }
        let start = if flags & BIG != 0 {
            let first = node.u64()?.checked_mul(self.page).and_then(|start| start.checked_add(HEADER));
            first.ok_or("points outside of itself")?
        } else {
            start + (place + 8) as u64 + u64::from(key_len)
        };
        self.found.push(Stored { key, start, len });
        Ok(())
    }
}

/// The page that an entry of a branch points to: 48 bits in three parts.
fn child(page: &[u8], place: usize) -> Result<u64, String> {
    let mut node = Bytes::new(page.get(place..).ok_or("has a broken page")?);
    Ok(u64::from(node.u32()?) | u64::from(node.u16()?) << 32)
}

/// Opens the file of an environment.
pub fn open(path: &Path) -> Result<(Positioned, Vec<Stored>), String> {
    let file = Positioned::open(path)?;
    let list = list(&file).map_err(|what| format!("`{}` {what}", path.display()))?;
    Ok((file, list))
}
