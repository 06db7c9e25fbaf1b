//! Finite sets of pictures, and the endless shuffled order in which a run sees them.

use std::ops::Range;

use bevy_ecs::prelude::*;
use philox::{Key, bits, permute, stream};
use pipeline::keep_plain;
use ports::{Compute, Fact, Images, Labels};
use serde::{Deserialize, Serialize};
use tensor::Array;

/// Pictures of one size, perhaps with classes.
pub trait Pictures: Send + Sync {
    fn count(&self) -> usize;

    /// Height, width and channels.
    fn shape(&self) -> [usize; 3];

    /// The length of a picture's label: the number of classes, or of numbers; 0 where pictures have none.
    fn labels(&self) -> usize;

    /// Writes a picture's label into zeros of that length, and says which class it is if it is one.
    fn label(&self, picture: usize, row: &mut [f32]) -> Option<u32>;

    /// Appends the pixels of a picture, in [-1, 1], row by row.
    fn read(&self, picture: usize, pixels: &mut Vec<f32>) -> Result<(), String>;
}

/// How many pictures a node has handed out: all that a resumed run needs to go on in the same order.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen(pub u64);

keep_plain!(Seen);

/// Which pictures come when: each once in an epoch, every epoch in another order.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub seed: u64,
    /// Whether a fair coin mirrors each picture, another one every time it comes.
    pub mirror: bool,
}

/// Pictures on their way to the device.
#[derive(Debug, PartialEq)]
pub struct Batch {
    /// `[n, h, w, c]`.
    pub pixels: Array,
    /// `[n, length of a label]`.
    pub labels: Array,
    /// The classes, where labels are classes.
    pub classes: Option<Vec<u32>>,
}

impl Order {
    /// The pictures at these positions of the run, counted over all epochs.
    pub fn batch(self, set: &dyn Pictures, positions: Range<u64>) -> Result<Batch, String> {
        let [h, w, c] = set.shape();
        let n = (positions.end - positions.start) as usize;
        let (mut pixels, mut classes) = (Vec::with_capacity(n * h * w * c), Vec::with_capacity(n));
        let length = set.labels();
        let mut labels = vec![0.0f32; n * length];
        for (at, position) in positions.enumerate() {
            let picture = self.picture(set.count(), position);
            let start = pixels.len();
            set.read(picture, &mut pixels)?;
            if self.mirrors(position) {
                pixels[start..].chunks_exact_mut(w * c).for_each(|row| mirror(row, c));
            }
            classes.extend(set.label(picture, &mut labels[at * length..][..length]));
        }
        let classes = (length > 0 && classes.len() == n).then_some(classes);
        let (pixels, labels) = (Array::new([n, h, w, c], pixels), Array::new([n, length], labels));
        Ok(Batch { pixels, labels, classes })
    }

    /// Which of `count` pictures comes at a position.
    fn picture(self, count: usize, position: u64) -> usize {
        let (epoch, place) = (position / count as u64, position % count as u64);
        permute(self.seed, epoch, count, place as usize)
    }

    fn mirrors(self, position: u64) -> bool {
        let key = Key { seed: self.seed, stream: stream::MIRROR, step: position };
        self.mirror && bits(key.words(), 0) & 1 == 1
    }
}

/// Turns a row of pixels around.
fn mirror(row: &mut [f32], channels: usize) {
    row.reverse();
    row.chunks_exact_mut(channels).for_each(<[f32]>::reverse);
}

impl Batch {
    /// Brings the batch to the device; a set without labels gives labels of length 0.
    pub fn upload(self, before: u64, compute: &Compute) -> Result<(Images, Labels, Seen)> {
        let n = self.pixels.shape[0] as u64;
        let images = Images::clean(compute.upload(&self.pixels)?, before);
        let labels = Labels { rows: compute.upload(&self.labels)?, classes: self.classes };
        Ok((images, labels, Seen(before + n)))
    }
}

/// The standard deviation of pictures, spread over the whole set, as a node may tell it.
pub(crate) fn spread(set: &dyn Pictures) -> Vec<Fact> {
    const MOST: usize = 2000;
    const MOST_PIXELS: usize = 1 << 25;
    let of_one = set.shape().iter().product::<usize>().max(1);
    let pictures = set.count().min(MOST).min((MOST_PIXELS / of_one).max(1));
    let mut pixels = Vec::new();
    for i in 0..pictures {
        if set.read(i * set.count() / pictures, &mut pixels).is_err() {
            return Vec::new();
        }
    }
    let count = pixels.len().max(1) as f64;
    let mean = pixels.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let variance = pixels.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
    vec![Fact::Data { std: variance.sqrt(), pictures }]
}
