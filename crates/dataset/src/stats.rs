//! What is in a data set: sizes, classes, the distribution of its pixels, duplicates, distances.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZero;
use std::path::Path;

use crate::Progress;
use crate::labels::Labels;
use crate::ordered::in_order;
use crate::picture::{Format, Picture};
use crate::source::{Pictures, open};

/// Among how many pictures, and of how many bytes in all, the largest distance is looked for.
const MOST_COMPARED: usize = 512;
const MOST_COMPARED_BYTES: usize = 32 << 20;

/// What is in a data set. Pixels are in [-1, 1], as networks see them: `byte / 127.5 - 1`.
#[derive(Clone, Debug)]
pub struct Stats {
    pub images: usize,
    pub format: Format,
    pub labels: Labels,
    /// Mean and standard deviation of each channel.
    pub channels: Vec<Moments>,
    /// Those of all channels together.
    pub overall: Moments,
    /// How many pictures repeat an earlier one pixel by pixel.
    pub duplicates: usize,
    /// The first such pair, the repetition last.
    pub first_duplicate: Option<(String, String)>,
    /// The largest distance between two pictures among `compared` that are spread evenly.
    pub largest_distance: f64,
    pub compared: usize,
}

/// Mean and standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    pub mean: f64,
    pub std: f64,
}

/// Sums of bytes and of their squares, which 128 bits hold exactly for any data set.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: u64,
    bytes: u128,
    squares: u128,
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.squares += other.squares;
    }

    fn moments(self) -> Moments {
        let mean = self.bytes as f64 / self.count as f64;
        let spread = self.count as u128 * self.squares - self.bytes * self.bytes;
        Moments { mean: mean / 127.5 - 1.0, std: (spread as f64).sqrt() / self.count as f64 / 127.5 }
    }
}

/// What a thread finds out about one picture.
struct Seen {
    format: Format,
    sums: Vec<Sums>,
    hash: u64,
    /// The picture itself if it is to be compared.
    bytes: Option<Vec<u8>>,
}

/// Looks at every picture of anything that [`open`] takes. A broken picture, or one that differs, is an error.
pub fn stats(data: &Path, threads: NonZero<usize>, progress: Progress) -> Result<Stats, String> {
    let source = open(data)?;
    let pictures = source.pictures.as_ref();
    let count = pictures.count();
    let format = read(pictures, 0)?.format;
    let size = format.width * format.height * format.channels;
    let compared = count.min(MOST_COMPARED).min((MOST_COMPARED_BYTES / size).max(2));
    // Every so many-th picture, so that every class is among them.
    let is_compared = |i: usize| i * compared / count != (i + 1) * compared / count;
    let mut gathered = Gathered::new(pictures, format);
    let work = |(): &mut (), i: usize| read(pictures, i).map(|picture| Seen::of(picture, is_compared(i)));
    in_order(
        count,
        threads,
        || (),
        work,
        |i, seen| {
            gathered.take(i, seen?)?;
            progress(i + 1, count);
            Ok(())
        },
    )?;
    Ok(gathered.finish(source.labels.clone()))
}

fn read(pictures: &dyn Pictures, number: usize) -> Result<Picture, String> {
    pictures.read(number).map_err(|what| format!("`{}` {what}", pictures.name(number)))
}

impl Seen {
    fn of(picture: Picture, keep: bool) -> Self {
        let channels = picture.format.channels;
        let mut small = vec![(0u64, 0u64); channels];
        for pixel in picture.bytes.chunks_exact(channels) {
            for ((bytes, squares), byte) in small.iter_mut().zip(pixel) {
                *bytes += u64::from(*byte);
                *squares += u64::from(*byte) * u64::from(*byte);
            }
        }
        let count = (picture.bytes.len() / channels) as u64;
        let sums =
            |(bytes, squares): (u64, u64)| Sums { count, bytes: bytes.into(), squares: squares.into() };
        let mut hasher = DefaultHasher::new();
        picture.bytes.hash(&mut hasher);
        Self {
            format: picture.format,
            sums: small.into_iter().map(sums).collect(),
            hash: hasher.finish(),
            bytes: keep.then_some(picture.bytes),
        }
    }
}

struct Gathered<'a> {
    pictures: &'a dyn Pictures,
    format: Format,
    images: usize,
    channels: Vec<Sums>,
    first_with: HashMap<u64, usize>,
    duplicates: usize,
    first_duplicate: Option<(String, String)>,
    compared: Vec<Vec<u8>>,
}

impl<'a> Gathered<'a> {
    fn new(pictures: &'a dyn Pictures, format: Format) -> Self {
        Self {
            pictures,
            format,
            images: 0,
            channels: vec![Sums::default(); format.channels],
            first_with: HashMap::new(),
            duplicates: 0,
            first_duplicate: None,
            compared: Vec::new(),
        }
    }

    fn take(&mut self, number: usize, seen: Seen) -> Result<(), String> {
        let name = |number| self.pictures.name(number);
        if seen.format != self.format {
            let hint = "`mollify dataset` makes all pictures alike";
            let (found, expected) = (seen.format, self.format);
            return Err(format!("`{}` is {found}, but `{}` is {expected}; {hint}", name(number), name(0)));
        }
        self.images += 1;
        self.channels.iter_mut().zip(seen.sums).for_each(|(all, sums)| all.add(sums));
        let first = *self.first_with.entry(seen.hash).or_insert(number);
        if first != number {
            self.duplicates += 1;
            self.first_duplicate
                .get_or_insert_with(|| (self.pictures.name(first), self.pictures.name(number)));
        }
        self.compared.extend(seen.bytes);
        Ok(())
    }

    fn finish(self, labels: Labels) -> Stats {
        let mut overall = Sums::default();
        self.channels.iter().for_each(|channel| overall.add(*channel));
        Stats {
            images: self.images,
            format: self.format,
            labels,
            channels: self.channels.iter().map(|sums| sums.moments()).collect(),
            overall: overall.moments(),
            duplicates: self.duplicates,
            first_duplicate: self.first_duplicate,
            largest_distance: largest_distance(&self.compared),
            compared: self.compared.len(),
        }
    }
}

/// The largest Euclidean distance of any two, in the units of pixels.
fn largest_distance(pictures: &[Vec<u8>]) -> f64 {
    let square = |one: &[u8], other: &[u8]| -> u64 {
        let difference = |(a, b): (&u8, &u8)| u32::from(a.abs_diff(*b)).pow(2);
        // A row of 4096 squares of bytes fits 32 bits, which is several times as fast.
        let rows = one.chunks(4096).zip(other.chunks(4096));
        rows.map(|(a, b)| u64::from(a.iter().zip(b).map(difference).sum::<u32>())).sum()
    };
    let pairs =
        pictures.iter().enumerate().flat_map(|(i, one)| pictures[..i].iter().map(move |other| (one, other)));
    let largest = pairs.map(|(one, other)| square(one, other)).max().unwrap_or(0);
    (largest as f64).sqrt() / 127.5
}
