//! Turns pictures from anywhere into a data set of PNGs that are all alike.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::Path;

use crate::Progress;
use crate::destination::Destination;
use crate::labels;
use crate::ordered::in_order;
use crate::picture::Format;
use crate::resize::Lanczos;
use crate::source::{Pictures, Source, open};
use crate::transform::Transform;

/// How many broken pictures are named before the rest is only counted.
const MOST_NAMED: usize = 100;

/// What may be asked for.
#[derive(Clone, Debug)]
pub struct Options {
    pub transform: Transform,
    /// Take no more pictures than this: the first ones, or with a seed any.
    pub max_images: Option<usize>,
    /// Chooses among the pictures if there are more than `max_images`.
    pub seed: Option<u64>,
    /// Leave out broken pictures instead of failing.
    pub skip_broken: bool,
    pub threads: NonZero<usize>,
}

/// What has been written.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    pub images: usize,
    pub format: Format,
    /// `10 classes`, `vectors of 4 numbers` or `no labels`.
    pub labels: String,
    /// What the user should know, a sentence each: pictures left out and why, sizes that others do not take.
    pub notes: Vec<String>,
}

/// Reads `source`, which is anything that [`open`] takes, and writes `dest`, an archive if it ends in `.zip`.
///
/// The same input, options and seed give the same bytes, whatever the number of threads.
pub fn convert(
    source: &Path,
    dest: &Path,
    options: &Options,
    progress: Progress,
) -> Result<Converted, String> {
    options.transform.check()?;
    let source = open(source)?;
    let chosen = choose(source.pictures.count(), options);
    let pictures = source.pictures.as_ref();
    let mut writing = Writing::new(pictures, &chosen, Destination::create(dest)?);
    let work = |lanczos: &mut Lanczos, place: usize| {
        Outcome::of(pictures, chosen[place], &options.transform, lanczos)
    };
    in_order(chosen.len(), options.threads, Lanczos::default, work, |place, outcome| {
        writing.take(place, outcome)?;
        progress(place + 1, chosen.len());
        Ok(())
    })?;
    writing.finish(&source, options.skip_broken)
}

/// The numbers of the pictures to take, in their order.
fn choose(count: usize, options: &Options) -> Vec<usize> {
    match (options.max_images, options.seed) {
        (Some(most), Some(seed)) if most < count => {
            let any: BTreeSet<usize> = (0..most).map(|i| philox::permute(seed, 0, count, i)).collect();
            any.into_iter().collect()
        }
        (most, _) => (0..count.min(most.unwrap_or(count))).collect(),
    }
}

/// What becomes of one picture.
enum Outcome {
    Made(Format, Vec<u8>),
    TooSmall,
    Broken(String),
}

impl Outcome {
    fn of(pictures: &dyn Pictures, number: usize, transform: &Transform, lanczos: &mut Lanczos) -> Self {
        let picture = match pictures.read(number) {
            Ok(picture) => picture,
            Err(what) => return Self::Broken(what),
        };
        match transform.apply(picture, lanczos).map(|picture| (picture.format, picture.encode())) {
            None => Self::TooSmall,
            Some((format, Ok(png))) => Self::Made(format, png),
            Some((_, Err(what))) => Self::Broken(what),
        }
    }
}

struct Writing<'a> {
    pictures: &'a dyn Pictures,
    chosen: &'a [usize],
    dest: Destination,
    /// What all pictures have to be like, and the number of the one that says so.
    like: Option<(Format, usize)>,
    /// New names, and the numbers of the pictures that have them.
    written: Vec<(String, usize)>,
    too_small: usize,
    broken: Vec<String>,
    unnamed: usize,
}

impl<'a> Writing<'a> {
    fn new(pictures: &'a dyn Pictures, chosen: &'a [usize], dest: Destination) -> Self {
        let (written, broken) = (Vec::new(), Vec::new());
        Self { pictures, chosen, dest, like: None, written, too_small: 0, broken, unnamed: 0 }
    }

    /// Pictures that are left out leave gaps in the numbers, as in the data sets of the paper's program.
    fn take(&mut self, place: usize, outcome: Outcome) -> Result<(), String> {
        let number = self.chosen[place];
        match outcome {
            Outcome::Made(format, png) => {
                let (like, first) = *self.like.get_or_insert((format, number));
                if format != like {
                    return Err(differs(self.pictures.name(number), format, self.pictures.name(first), like));
                }
                let digits = format!("{place:08}");
                let name = format!("{}/img{digits}.png", &digits[..5]);
                self.dest.add(&name, &png)?;
                self.written.push((name, number));
            }
            Outcome::TooSmall => self.too_small += 1,
            Outcome::Broken(_) if self.broken.len() == MOST_NAMED => self.unnamed += 1,
            Outcome::Broken(what) => self.broken.push(format!("`{}` {what}", self.pictures.name(number))),
        }
        Ok(())
    }

    fn finish(mut self, source: &Source, skip_broken: bool) -> Result<Converted, String> {
        let broken = self.broken_pictures();
        if !skip_broken && let Some(broken) = broken {
            return Err(format!("{broken}\n`--skip-broken` leaves such pictures out"));
        }
        let all = self.chosen.len();
        let Some((format, _)) = self.like else {
            let why =
                broken.unwrap_or(format!("{} are smaller than the transformation needs", self.too_small));
            return Err(format!("no picture of {all} is left: {why}"));
        };
        self.dest.add(labels::FILE, &source.labels.write(&self.written))?;
        let small = (self.too_small > 0).then(|| {
            format!(
                "{} of {all} pictures are smaller than the transformation needs and left out",
                self.too_small
            )
        });
        let notes = [broken, small, source.labels.note.clone(), not_for_all(format)];
        self.dest.finish()?;
        Ok(Converted {
            images: self.written.len(),
            format,
            labels: source.labels.describe(),
            notes: notes.into_iter().flatten().collect(),
        })
    }

    /// What is wrong with broken pictures, a line each, if there are any.
    fn broken_pictures(&self) -> Option<String> {
        let count = self.broken.len() + self.unnamed;
        let mut lines = vec![format!("{count} of {} pictures cannot be used:", self.chosen.len())];
        lines.extend(self.broken.iter().map(|what| format!("  {what}")));
        lines.extend((self.unnamed > 0).then(|| format!("  and {} more", self.unnamed)));
        (count > 0).then(|| lines.join("\n"))
    }
}

fn differs(name: String, found: Format, first: String, expected: Format) -> String {
    let hint = if found.channels != expected.channels {
        "all pictures have to have the same channels; `--transform center-crop` makes grey ones RGB"
    } else {
        "all pictures have to have one size; give `--resolution WxH`"
    };
    format!("`{name}` is {found}, but `{first}` is {expected}; {hint}")
}

/// The paper's program refuses what is not square or no power of two. mollify takes it.
fn not_for_all(format: Format) -> Option<String> {
    let Format { width, height, .. } = format;
    let what = match () {
        () if width != height => "square",
        () if !width.is_power_of_two() => "a power of two",
        () => return None,
    };
    Some(format!("{width}x{height} is not {what}, which mollify takes and NVIDIA's program does not"))
}
