//! The pictures of a folder or zip file that a run uses: which of them, with which labels, kept decoded once read.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use dataset::{Format, Label, Picture, Source};
use philox::words;
use serde::Deserialize;

use crate::pictures::Pictures;

/// Longer labels are a slip: every picture of a batch has a row of that length.
const LONGEST_LABEL: usize = 1 << 16;

/// Which part of a set that has some pictures held out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Split {
    /// What is left to train with.
    #[default]
    Train,
    /// What was held out.
    HeldOut,
}

/// Which pictures of a folder or zip file are used, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// The share of pictures that is held out, from 0 to less than 1.
    pub held_out: f64,
    pub split: Split,
    /// Only so many of them, spread evenly.
    pub max_images: Option<usize>,
    /// How many bytes of decoded pictures are kept in memory.
    pub cache: usize,
}

/// Pictures of one size.
pub struct PictureSet {
    source: Source,
    /// Which pictures of the source are used.
    chosen: Vec<usize>,
    /// The length of a label, 0 where there are none.
    label: usize,
    format: Format,
    cache: Cache,
}

impl PictureSet {
    /// Lists the pictures and reads the size of the first; looks at no other.
    pub fn list(path: &Path, choice: Choice) -> Result<Self, String> {
        let source = dataset::open(path)?;
        let count = source.pictures.count();
        let of_split = |i: &usize| held_out(&source.pictures.path(*i), choice.held_out) == choice.split;
        let chosen: Vec<usize> = (0..count).filter(of_split).collect();
        let chosen = thin_out(chosen, choice.max_images);
        let first = *chosen.first().ok_or_else(|| none_left(path, choice, count))?;
        let format = source.pictures.format(first).map_err(|what| wrong(&source, first, &what))?;
        let label = label_length(path, &source)?;
        let cache = Cache::new(chosen.len(), choice.cache);
        Ok(Self { source, chosen, label, format, cache })
    }

    /// Lists the pictures and makes sure that all are alike, on a few threads.
    pub fn open(path: &Path, choice: Choice, threads: usize) -> Result<Self, String> {
        let set = Self::list(path, choice)?;
        let check = |pictures: &[usize]| pictures.iter().try_for_each(|picture| set.check(*picture));
        let shares = set.chosen.chunks(set.chosen.len().div_ceil(threads.max(1)));
        thread::scope(|scope| {
            let threads: Vec<_> = shares.map(|share| scope.spawn(move || check(share))).collect();
            let ended = |_| Err("a thread that looked at pictures has panicked".to_owned());
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(ended))
        })?;
        Ok(set)
    }

    /// The names of the classes, in the order of their numbers; none where only `dataset.json` tells of them.
    pub fn class_names(&self) -> &[String] {
        &self.source.labels.names
    }

    fn check(&self, picture: usize) -> Result<(), String> {
        let found =
            self.source.pictures.format(picture).map_err(|what| wrong(&self.source, picture, &what))?;
        self.expect(picture, found)
    }

    fn decode(&self, picture: usize) -> Result<Vec<u8>, String> {
        let read = self.source.pictures.read(picture);
        let Picture { format, bytes } = read.map_err(|what| wrong(&self.source, picture, &what))?;
        self.expect(picture, format)?;
        Ok(bytes)
    }

    fn expect(&self, picture: usize, found: Format) -> Result<(), String> {
        let expected = self.format;
        if found == expected {
            return Ok(());
        }
        let [file, first] = [picture, self.chosen[0]].map(|picture| self.source.pictures.name(picture));
        Err(if found.channels == expected.channels {
            let [f, e] = [found, expected].map(|format| format!("{}x{}", format.width, format.height));
            let help = "all pictures have to have one size, which `mollify dataset --resolution` gives them";
            format!("`{file}` is {f} pixels, but `{first}` is {e}; {help}")
        } else {
            let [f, e] = [found, expected].map(Format::colours);
            format!("`{file}` is {f}, but `{first}` is {e}; all pictures have to have the same channels")
        })
    }
}

impl Pictures for PictureSet {
    fn count(&self) -> usize {
        self.chosen.len()
    }

    fn shape(&self) -> [usize; 3] {
        self.format.shape()
    }

    fn labels(&self) -> usize {
        self.label
    }

    fn label(&self, picture: usize, row: &mut [f32]) -> Option<u32> {
        match self.source.labels.each.get(self.chosen[picture])? {
            Label::Class(class) => {
                row[*class as usize] = 1.0;
                Some(*class)
            }
            Label::Vector(numbers) => {
                row.iter_mut().zip(numbers).for_each(|(place, number)| *place = *number as f32);
                None
            }
        }
    }

    fn read(&self, picture: usize, pixels: &mut Vec<f32>) -> Result<(), String> {
        let mut append =
            |bytes: &[u8]| pixels.extend(bytes.iter().map(|byte| f32::from(*byte) / 127.5 - 1.0));
        match self.cache.get(picture) {
            Some(bytes) => append(bytes),
            None => {
                let bytes = self.decode(self.chosen[picture])?;
                append(&bytes);
                self.cache.keep(picture, bytes);
            }
        }
        Ok(())
    }
}

/// Decoded pictures, until there is no room left. Every epoch wants each picture once, so that dropping one for another
/// would gain nothing.
#[derive(Debug)]
struct Cache {
    pictures: Vec<OnceLock<Box<[u8]>>>,
    room: AtomicUsize,
}

impl Cache {
    fn new(pictures: usize, room: usize) -> Self {
        let pictures = if room > 0 { pictures } else { 0 };
        Self { pictures: std::iter::repeat_with(OnceLock::new).take(pictures).collect(), room: room.into() }
    }

    fn get(&self, picture: usize) -> Option<&[u8]> {
        self.pictures.get(picture)?.get().map(AsRef::as_ref)
    }

    fn keep(&self, picture: usize, bytes: Vec<u8>) {
        let Some(place) = self.pictures.get(picture) else { return };
        let len = bytes.len();
        let less = |room: usize| room.checked_sub(len);
        let taken = self.room.try_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        if taken && place.set(bytes.into()).is_err() {
            // Another thread was faster.
            self.room.fetch_add(len, Ordering::Relaxed);
        }
    }
}

/// Which part a picture belongs to: a hash of its path, so that it stays there when others come and go.
fn held_out(name: &str, share: f64) -> Split {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    let [word, ..] = words([hash as u32, (hash >> 32) as u32, 0, 0], 0);
    if f64::from(word) < share * 2f64.powi(32) { Split::HeldOut } else { Split::Train }
}

/// Keeps `at_most` pictures, spread evenly, so that every class keeps its share.
fn thin_out(pictures: Vec<usize>, at_most: Option<usize>) -> Vec<usize> {
    match at_most {
        Some(keep) if keep < pictures.len() => {
            (0..keep).map(|i| pictures[i * pictures.len() / keep]).collect()
        }
        _ => pictures,
    }
}

fn none_left(path: &Path, choice: Choice, count: usize) -> String {
    let Choice { held_out, split, .. } = choice;
    format!(
        "none of the {count} pictures of `{}` are left in the split {split:?} with {held_out} of them held out",
        path.display()
    )
}

fn wrong(source: &Source, picture: usize, what: &str) -> String {
    format!("`{}` {what}", source.pictures.name(picture))
}

/// How many classes there are, those without a picture included, or how many numbers a label has.
fn label_length(path: &Path, source: &Source) -> Result<usize, String> {
    let length = |label: &Label| match label {
        Label::Class(class) => *class as usize + 1,
        Label::Vector(numbers) => numbers.len(),
    };
    let longest = source.labels.each.iter().map(length).max().unwrap_or(0).max(source.labels.names.len());
    if longest > LONGEST_LABEL {
        let path = path.display();
        return Err(format!(
            "the labels of `{path}` have {longest} classes, expected at most {LONGEST_LABEL}"
        ));
    }
    Ok(longest)
}
