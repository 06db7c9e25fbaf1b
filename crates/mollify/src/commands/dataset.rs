//! `mollify dataset`: makes data sets, and says what is in them.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::Instant;

use dataset::{Crop, Options, Stats, Transform, convert, proposals, stats};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{CropChoice, Dataset, Look};
use crate::problem::{Problem, print};
use crate::stderr::say;

/// How many classes are told one by one.
const MOST_CLASSES: usize = 20;

pub(crate) fn dataset(args: Dataset) -> Result<(), Problem> {
    match (args.look, args.source, args.dest) {
        (Some(Look::Stats { data, threads }), _, _) => look(&data, threads),
        (None, Some(source), Some(dest)) => {
            let crop = match args.transform {
                None => Crop::None,
                Some(CropChoice::CenterCrop) => Crop::Centre,
                Some(CropChoice::CenterCropWide) => Crop::CentreWide,
            };
            let options = Options {
                transform: Transform { resolution: args.resolution, crop },
                max_images: args.max_images.map(NonZero::get),
                seed: args.seed,
                skip_broken: args.skip_broken,
                threads: threads(args.threads),
            };
            make(&source, &dest, &options)
        }
        // Clap asks for both.
        (None, _, _) => Err(Problem::new("a data set needs a source and a destination")),
    }
}

fn threads(asked: Option<NonZero<usize>>) -> NonZero<usize> {
    asked.or(available_parallelism().ok()).unwrap_or(NonZero::<usize>::MIN)
}

fn make(source: &Path, dest: &Path, options: &Options) -> Result<(), Problem> {
    let (began, bar) = (Instant::now(), Bar::new());
    let made = convert(source, dest, options, &mut |done, of| bar.show(done, of));
    bar.0.finish_and_clear();
    let made = made.map_err(Problem::new)?;
    made.notes.iter().for_each(|note| say(format!("note: {note}")));
    let seconds = began.elapsed().as_secs_f64();
    let (images, rate) = (made.images, made.images as f64 / seconds);
    say(format!("{images} images in {seconds:.1} s, {rate:.0} images/s"));
    print(&format!("{}: {images} images of {}, {}\n", dest.display(), made.format, made.labels))
}

/// A progress bar where there is a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = if io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:40} {pos} of {len} images, {per_sec}, {eta} left");
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    fn show(&self, done: usize, of: usize) {
        self.0.set_length(of as u64);
        self.0.set_position(done as u64);
    }
}

fn look(data: &Path, asked: Option<NonZero<usize>>) -> Result<(), Problem> {
    let bar = Bar::new();
    let stats = stats(data, threads(asked), &mut |done, of| bar.show(done, of));
    bar.0.finish_and_clear();
    let stats = stats.map_err(Problem::new)?;
    print(&table(&stats).map_err(|error| Problem::new(error.to_string()))?)
}

fn table(stats: &Stats) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "images      {} of {}", stats.images, stats.format)?;
    writeln!(text, "labels      {}", stats.labels.describe())?;
    balance(stats, &mut text)?;
    writeln!(text, "pixels      mean {:+.4}, std {:.4} in [-1, 1]", stats.overall.mean, stats.overall.std)?;
    let names: &[&str] = if stats.channels.len() == 3 { &["red", "green", "blue"] } else { &[] };
    for (name, channel) in names.iter().zip(&stats.channels) {
        writeln!(text, "  {name:9} mean {:+.4}, std {:.4}", channel.mean, channel.std)?;
    }
    let first = stats.first_duplicate.as_ref();
    let first = first.map(|(one, other)| format!(", the first: `{other}` repeats `{one}`"));
    writeln!(text, "duplicates  {}{}", stats.duplicates, first.unwrap_or_default())?;
    writeln!(text, "\nproposals")?;
    for proposal in proposals(stats) {
        writeln!(text, "  {:10} {:6}  {}", proposal.setting, proposal.value, proposal.reason)?;
    }
    Ok(text)
}

/// How many pictures each class has, and how far apart the smallest and the largest are.
fn balance(stats: &Stats, text: &mut String) -> std::fmt::Result {
    let counts = stats.labels.counts();
    let (Some(least), Some(most)) = (counts.values().min(), counts.values().max()) else { return Ok(()) };
    for (class, count) in counts.iter().take(MOST_CLASSES) {
        let share = 100.0 * *count as f64 / stats.images as f64;
        let name = stats.labels.names.get(*class as usize).map_or("", String::as_str);
        writeln!(text, "  {class:<9} {count} ({share:.1} %) {name}")?;
    }
    if counts.len() > MOST_CLASSES {
        writeln!(text, "  and {} more", counts.len() - MOST_CLASSES)?;
    }
    writeln!(text, "balance     {least} to {most} images a class ({:.2}x)", *most as f64 / *least as f64)
}
