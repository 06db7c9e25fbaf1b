//! `mollify score`: how near sets of images come to a set of real ones.

use std::io::{self, IsTerminal};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use dataset::{Format, Source};
use indicatif::{ProgressBar, ProgressStyle};
use metrics::{
    Extractor, FeatureNetwork, Moments, Origin, Rows, Score, Statistics, digest, frechet_distance,
    kernel_distance, memorisation, precision_recall, ranges,
};
use pipeline::Feed;
use tensor::Device;

use crate::args::{Also, Score as Args};
use crate::device;
use crate::problem::{Problem, print};
use crate::stderr::say;

/// Pictures that a thread decodes at once, and how many times as many it may be ahead.
const TOGETHER: usize = 128;
const AHEAD: usize = 2;
/// Neighbours of precision and recall, as in their paper.
const NEIGHBOURS: usize = 3;
/// How images fall into blocks and halves.
const SEED: u64 = 0;

pub(crate) fn score(args: &Args) -> Result<(), Problem> {
    let earlier = args.beside.iter().map(|file| read_scores(file)).collect::<Result<Vec<_>, _>>()?.concat();
    let network = match &args.inception {
        Some(file) => FeatureNetwork::inception(file).map_err(Problem::new)?,
        None => FeatureNetwork::squeezenet(),
    };
    let opened = device::open(&args.hardware)?;
    say(opened.line());
    let mut looker =
        Looker { extractor: Extractor::new(network), device: opened.machine.0, threads: threads(args) };
    let keep = !args.also.is_empty();
    let sets =
        args.images.iter().map(|path| looker.generated(path, args, keep)).collect::<Result<Vec<_>, _>>()?;
    let (scores, floor) = compare(args, &mut looker, &sets)?;
    for score in scores.iter().chain(&earlier) {
        for other in &scores {
            if score.metric == other.metric {
                score.expect_comparable(other).map_err(Problem::new)?;
            }
        }
    }
    if let Some(file) = &args.to {
        write_scores(file, &scores)?;
    }
    let lines = scores.iter().chain(&earlier).map(|score| format!("{score}\n")).chain(floor);
    print(&lines.collect::<String>())
}

fn threads(args: &Args) -> usize {
    args.hardware.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get)
}

/// Every score of every set, with the floor where there are real images to make it of.
fn compare(
    args: &Args,
    looker: &mut Looker,
    sets: &[Looked],
) -> Result<(Vec<Score>, Option<String>), Problem> {
    let network = looker.extractor.network().clone();
    let mut scores = Vec::new();
    if args.against.extension().is_some_and(|end| end == "npz") && is_statistics(&args.against) {
        if !args.also.is_empty() {
            return Err(Problem::new(format!(
                "`{}` has only a mean and a covariance: `--also` needs the images",
                args.against.display()
            )));
        }
        let real = Statistics::read(&args.against).map_err(Problem::new)?;
        if real.network.is_none() {
            say(format!("note: `{}` does not say which network its features are of", args.against.display()));
        }
        say("note: there is no floor without the real images");
        for set in sets {
            scores.push(frechet(&network, set, &real)?);
        }
        return Ok((scores, None));
    }
    let source = open(&args.against)?;
    let n = sets.iter().map(|set| set.origin.n).min().unwrap_or(0);
    let real = looker.look(
        &source,
        &args.against,
        Choice { n: None, halve_at: Some(n), keep: !args.also.is_empty() },
    )?;
    let statistics = real.statistics()?;
    if let Some(file) = &args.save_statistics {
        statistics.write(file).map_err(Problem::new)?;
    }
    for set in sets {
        scores.push(frechet(&network, set, &statistics)?);
    }
    scores.extend(also(args, looker, sets, &real)?);
    let floor = floor(&network, &real).map_err(Problem::new)?;
    Ok((scores, floor))
}

fn frechet(network: &FeatureNetwork, set: &Looked, real: &Statistics) -> Result<Score, Problem> {
    let value = frechet_distance(&set.statistics()?, real).map_err(Problem::new)?;
    if set.origin.n <= network.width() {
        let (n, width) = (set.origin.n, network.width());
        say(format!("note: {n} images have no full covariance of {width} features: take more than {width}"));
    }
    Ok(Score::new(network.distance(), value, set.origin.clone(), real.count))
}

/// How far as many real images are from the other real ones, which no score can fall below for long; a line.
fn floor(network: &FeatureNetwork, real: &Looked) -> Result<Option<String>, String> {
    let [some, rest] = &real.parts;
    if some.count() < 2 || rest.count() < 2 {
        say("note: too few real images for a floor");
        return Ok(None);
    }
    let value = frechet_distance(&some.statistics()?, &rest.statistics()?)?;
    let (name, n, others) = (network.distance(), some.count(), rest.count());
    Ok(Some(format!("floor of {name} {value:.6}: {n} real images against the other {others}\n")))
}

/// The scores that need all features.
fn also(args: &Args, looker: &mut Looker, sets: &[Looked], real: &Looked) -> Result<Vec<Score>, Problem> {
    let held_out = match &args.held_out {
        Some(path) => {
            Some(looker.look(&open(path)?, path, Choice { n: None, halve_at: None, keep: true })?)
        }
        None => None,
    };
    let mut scores = Vec::new();
    for set in sets {
        let (of, against) = (|| set.origin.clone(), Some(real.origin.n as u64));
        for also in &args.also {
            match also {
                Also::Kid => {
                    let kid = kernel_distance(&set.rows, &real.rows, SEED).map_err(Problem::new)?;
                    scores.push(Score::estimate("KID", kid, of(), against));
                }
                Also::PrecisionRecall => {
                    let found = precision_recall(&set.rows, &real.rows, NEIGHBOURS).map_err(Problem::new)?;
                    scores.push(Score::new("precision", found.precision, of(), against));
                    scores.push(Score::new("recall", found.recall, of(), against));
                }
                Also::Memorisation => {
                    let held_out = held_out.as_ref().ok_or_else(|| {
                        Problem::new(
                            "memorisation needs images that training has not seen: add `--held-out DATA`",
                        )
                    })?;
                    let found = memorisation(&set.rows, &real.rows, &held_out.rows).map_err(Problem::new)?;
                    scores.push(Score::new("nearest generated", found.generated, of(), against));
                    scores.push(Score::new("nearest held out", found.held_out, of(), against));
                    scores.push(Score::estimate("memorised", found.nearer, of(), against));
                }
            }
        }
    }
    Ok(scores)
}

fn is_statistics(path: &Path) -> bool {
    dataset::Zip::open(path).is_ok_and(|zip| zip.entries().iter().any(|entry| entry.name == "mu.npy"))
}

fn open(path: &Path) -> Result<Source, Problem> {
    dataset::open(path).map_err(Problem::new)
}

/// A network at work on sets of images.
struct Looker {
    extractor: Extractor,
    device: Arc<dyn Device>,
    threads: usize,
}

/// What is taken of a set.
struct Choice {
    /// Only so many images, spread evenly.
    n: Option<usize>,
    /// So many images, or half of them, make the first part.
    halve_at: Option<usize>,
    /// Whether features are kept.
    keep: bool,
}

/// A set that a network has looked at.
struct Looked {
    origin: Origin,
    all: Moments,
    /// The same images in two parts.
    parts: [Moments; 2],
    /// None unless they are kept.
    rows: Rows,
}

impl Looked {
    fn statistics(&self) -> Result<Statistics, Problem> {
        Ok(self.all.statistics().map_err(Problem::new)?.of_network(&self.origin.digest))
    }
}

impl Looker {
    /// A set of generated images, with what is known of its making.
    fn generated(&mut self, path: &Path, args: &Args, keep: bool) -> Result<Looked, Problem> {
        let source = open(path)?;
        let n = args.n.map(NonZero::get);
        let mut looked = self.look(&source, path, Choice { n, halve_at: None, keep })?;
        let count = source.pictures.count();
        looked.origin.seeds = match &args.seeds {
            Some(seeds) => seeds.clone(),
            None => seeds_of(chosen(count, looked.origin.n).map(|at| source.pictures.path(at)))
                .unwrap_or_default(),
        };
        if let Some(file) = &args.weights {
            let bytes = std::fs::read(file);
            let bytes = bytes
                .map_err(|error| Problem::new(format!("`{}` cannot be read: {error}", file.display())))?;
            looked.origin.weights = digest(&bytes);
        }
        Ok(looked)
    }

    /// Decodes pictures on threads while the network looks at those before.
    fn look(&mut self, source: &Source, path: &Path, choice: Choice) -> Result<Looked, Problem> {
        let count = source.pictures.count();
        let n = choice.n.unwrap_or(count);
        if n > count {
            let what = format!("`{}` has {count} images, but {n} are to be scored", path.display());
            return Err(Problem::new(what));
        }
        let first = choice.halve_at.map_or(0, |at| if 2 * at <= n { at } else { n / 2 });
        let format = source.pictures.format(0).map_err(|what| named(source, 0, &what))?;
        let bar = bar(n);
        let origin = Origin::seen_by(self.extractor.network(), n);
        let mut looked =
            Looked { origin, all: Moments::default(), parts: Default::default(), rows: Rows::default() };
        if choice.keep {
            looked.rows = Rows::new(self.extractor.network().width(), Vec::new());
        }
        let mut batches = decoded(path, n, count, format, self.threads)?;
        for start in (0..n).step_by(TOGETHER) {
            let bytes =
                batches.take().map_err(|error| Problem::new(error.to_string().trim_end().to_owned()))?;
            let rows = self.extractor.rows(self.device.as_ref(), format.shape(), &bytes)?;
            looked.all.add(&rows).map_err(Problem::new)?;
            if first > 0 {
                // Any images make the first part, whatever order they lie in.
                let (some, rest): (Vec<usize>, Vec<usize>) =
                    (0..rows.count()).partition(|at| philox::permute(SEED, 0, n, start + at) < first);
                let [one, other] = &mut looked.parts;
                one.add(&rows.pick(some)).and_then(|()| other.add(&rows.pick(rest))).map_err(Problem::new)?;
            }
            if choice.keep {
                looked.rows.append(&rows);
            }
            bar.set_position((start + rows.count()) as u64);
        }
        bar.finish_and_clear();
        Ok(looked)
    }
}

/// The numbers of `n` pictures of `count`, spread evenly.
fn chosen(count: usize, n: usize) -> impl Iterator<Item = usize> {
    (0..n).map(move |at| at * count / n.max(1))
}

/// Batches of pictures' bytes, decoded ahead of time.
fn decoded(
    path: &Path,
    n: usize,
    count: usize,
    format: Format,
    threads: usize,
) -> Result<Feed<Vec<u8>>, Problem> {
    let source = Arc::new(open(path)?);
    Ok(Feed::start(threads, AHEAD, 0, move |batch| {
        let start = batch as usize * TOGETHER;
        let mut bytes = Vec::new();
        for at in chosen(count, n).take(n.min(start + TOGETHER)).skip(start) {
            let picture = source.pictures.read(at).map_err(|what| named_text(&source, at, &what))?;
            if picture.format != format {
                let (found, first) = (picture.format, source.pictures.name(0));
                let what = format!(
                    "is {found}, but `{first}` is {format}; `mollify dataset` makes all pictures alike"
                );
                return Err(named_text(&source, at, &what).into());
            }
            bytes.extend(picture.bytes);
        }
        Ok(bytes)
    }))
}

fn named(source: &Source, at: usize, what: &str) -> Problem {
    Problem::new(named_text(source, at, what))
}

fn named_text(source: &Source, at: usize, what: &str) -> String {
    format!("`{}` {what}", source.pictures.name(at))
}

/// The seeds of files whose names are nothing else, as `Png` names them.
fn seeds_of(paths: impl Iterator<Item = String>) -> Option<String> {
    let seed = |path: String| Path::new(&path).file_stem()?.to_str()?.parse::<u64>().ok();
    let mut seeds = paths.map(seed).collect::<Option<Vec<u64>>>()?;
    seeds.sort_unstable();
    Some(ranges(seeds))
}

fn bar(n: usize) -> ProgressBar {
    let bar = if io::stderr().is_terminal() { ProgressBar::new(n as u64) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} images, {per_sec}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn read_scores(file: &Path) -> Result<Vec<Score>, Problem> {
    let wrong = |what: String| Problem::new(format!("`{}` {what}", file.display()));
    let text = std::fs::read(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    serde_json::from_slice(&text).map_err(|error| wrong(format!("holds no scores of `--to`: {error}")))
}

fn write_scores(file: &Path, scores: &[Score]) -> Result<(), Problem> {
    let text = serde_json::to_string_pretty(scores).map_err(|error| Problem::new(error.to_string()))?;
    Ok(checkpoint::write_whole(file, |file| writeln!(file, "{text}"))?)
}
