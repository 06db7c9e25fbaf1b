//! The loader: the pixels, labels, mirroring and selection of the oracle's cases, and what its endless sampler promises.
//!
//! Three things differ by design, and what is compared is what holds for both. The paper's program shuffles within a
//! moving window of one list, so a picture may come twice in an epoch; here every epoch is a permutation of its own,
//! computed by counter. Its `max_size` draws pictures by a seed, `max_images` spreads them evenly. Its `xflip` doubles the
//! set, `mirror` tosses a coin each time a picture comes.

use std::collections::BTreeSet;

use data::{Choice, Order, PictureSet, Pictures};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::fixtures::Oracle;
use crate::report::{Checks, Failure, Report};

#[derive(Deserialize)]
struct Case {
    name: String,
    zip: String,
    kwargs: Settings,
    /// How many items there are, mirrored ones included.
    length: usize,
    /// Channels, height and width.
    image_shape: [usize; 3],
    label_dim: usize,
    items: Vec<Item>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Settings {
    use_labels: bool,
    xflip: bool,
    max_size: Option<usize>,
    cache: bool,
}

#[derive(Deserialize)]
struct Item {
    raw_idx: usize,
    xflip: bool,
    sha256_chw: String,
    label: Vec<f32>,
}

#[derive(Deserialize)]
struct Streams {
    infinite_sampler: Vec<Stream>,
}

/// What one of `num_replicas` processes draws.
#[derive(Deserialize)]
struct Stream {
    dataset_len: usize,
    seed: u64,
    rank: usize,
    num_replicas: usize,
    window_size: f64,
    first: Vec<usize>,
}

pub fn run(oracle: &Oracle, report: &mut Report) {
    if oracle.folder().join("dataset").exists() {
        let cases: Vec<Case> = oracle.json("dataset/loader_cases.json");
        for case in &cases {
            report
                .case("dataset", &format!("loader {}", case.name), "-", |checks| hold(oracle, case, checks));
        }
    }
    if oracle.folder().join("rng").exists() {
        let streams: Streams = oracle.json("rng/rng.json");
        for (at, stream) in streams.infinite_sampler.iter().enumerate() {
            report.case("dataset", &format!("infinite_sampler {at}"), "-", |checks| stream.hold(checks));
        }
    }
}

fn hold(oracle: &Oracle, case: &Case, checks: &mut Checks) -> Result<(), Failure> {
    let Settings { use_labels, xflip, max_size, cache } = case.kwargs;
    let open = |max_images| {
        let choice = Choice { max_images, cache: if cache { 1 << 20 } else { 0 }, ..Choice::default() };
        PictureSet::open(&oracle.folder().join(&case.zip), choice, 1)
    };
    let (all, chosen) = (open(None)?, open(max_size)?);
    let [c, h, w] = case.image_shape;
    checks.hold("the shape of images", all.shape() == [h, w, c]);
    let items = case.items.iter().filter(|item| !item.xflip).count();
    checks.hold(
        "how many pictures",
        chosen.count() == items && items * (1 + usize::from(xflip)) == case.length,
    );
    let digests = |set: &PictureSet| -> Result<Vec<String>, String> {
        let straight = |picture| {
            let mut pixels = Vec::new();
            set.read(picture, &mut pixels)?;
            Ok(digest(&pixels, c))
        };
        (0..set.count()).map(straight).collect()
    };
    let of_all = digests(&all)?;
    for item in case.items.iter().filter(|item| !item.xflip) {
        checks.hold(&format!("pixels of {}", item.raw_idx), of_all[item.raw_idx] == item.sha256_chw);
    }
    if use_labels {
        labels(case, &all, checks);
    }
    let mut rest = of_all.iter();
    let in_order = digests(&chosen)?.iter().all(|picture| rest.any(|other| other == picture));
    checks.hold("chosen pictures are some of all, in their order", in_order);
    if xflip { mirrored(case, &all, checks) } else { Ok(()) }
}

fn labels(case: &Case, set: &PictureSet, checks: &mut Checks) {
    checks.hold("the length of labels", set.labels() == case.label_dim);
    for item in &case.items {
        let mut row = vec![0.0; set.labels()];
        let class = set.label(item.raw_idx, &mut row);
        let expected = item.label.iter().position(|number| *number == 1.0).map(|class| class as u32);
        checks.hold(&format!("label of {}", item.raw_idx), row == item.label && class == expected);
    }
}

/// Sooner or later every picture comes as it is and mirrored, and nothing else comes.
fn mirrored(case: &Case, set: &PictureSet, checks: &mut Checks) -> Result<(), Failure> {
    const EPOCHS: usize = 20;
    let order = Order { seed: 0, mirror: true };
    let batch = order.batch(set, 0..(EPOCHS * set.count()) as u64)?;
    let [h, w, c] = set.shape();
    let pixels: Vec<f32> = batch.pixels.f64s().iter().map(|pixel| *pixel as f32).collect();
    let came: BTreeSet<String> = pixels.chunks(h * w * c).map(|image| digest(image, c)).collect();
    let items: BTreeSet<String> = case.items.iter().map(|item| item.sha256_chw.clone()).collect();
    checks.hold("every item comes", came.is_superset(&items));
    checks.hold("nothing else comes", came.len() == 2 * set.count());
    Ok(())
}

/// The digest of an image's bytes, channel by channel.
fn digest(pixels: &[f32], channels: usize) -> String {
    let byte = |pixel: &f32| ((pixel + 1.0) * 127.5).round() as u8;
    let planes = (0..channels).flat_map(|channel| pixels.iter().skip(channel).step_by(channels).map(byte));
    Sha256::digest(planes.collect::<Vec<u8>>()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Pictures of one pixel, each of its own shade.
struct Shades(usize);

impl Pictures for Shades {
    fn count(&self) -> usize {
        self.0
    }

    fn shape(&self) -> [usize; 3] {
        [1, 1, 1]
    }

    fn labels(&self) -> usize {
        0
    }

    fn label(&self, _: usize, _: &mut [f32]) -> Option<u32> {
        None
    }

    fn read(&self, picture: usize, pixels: &mut Vec<f32>) -> Result<(), String> {
        pixels.push(picture as f32);
        Ok(())
    }
}

impl Stream {
    /// Without a window, the reference too brings each picture once in an epoch. Processes share one stream, each taking
    /// every n-th place of it, and a stream goes on from any position: ours needs nothing else for either.
    fn hold(&self, checks: &mut Checks) -> Result<(), Failure> {
        let Stream { dataset_len: len, seed, rank, num_replicas: replicas, window_size, ref first } = *self;
        if window_size == 0.0 {
            checks.hold("each of its epochs is a permutation", each_once(first, len));
        }
        let order = Order { seed, mirror: false };
        let places = |from: usize, to: usize| -> Result<Vec<usize>, String> {
            let batch = order.batch(&Shades(len), from as u64..to as u64)?;
            Ok(batch.pixels.f64s().iter().map(|shade| *shade as usize).collect())
        };
        let end = first.len() * replicas;
        let ours = places(0, end)?;
        checks.hold("each of our epochs is a permutation", each_once(&ours, len));
        checks.hold("it is the same from any position", places(end / 3, end)? == ours[end / 3..]);
        let share: Result<Vec<_>, _> =
            (rank..end).step_by(replicas).map(|place| places(place, place + 1)).collect();
        let expected: Vec<usize> = ours.iter().copied().skip(rank).step_by(replicas).collect();
        checks.hold("a process can take every n-th place", share?.concat() == expected);
        let epochs: BTreeSet<&[usize]> = ours.chunks_exact(len).collect();
        checks.hold("epochs differ", len < 4 || epochs.len() > ours.len() / len / 2);
        Ok(())
    }
}

/// Whether every whole epoch of a stream has each picture once.
fn each_once(stream: &[usize], len: usize) -> bool {
    stream.chunks_exact(len).all(|epoch| epoch.iter().collect::<BTreeSet<_>>().len() == len)
}
