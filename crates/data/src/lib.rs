#![doc = include_str!("../README.md")]

mod array;
mod dataset;
mod digits;
mod first;
mod load;
mod loader;
mod picture_set;
mod pictures;
mod repeat;
mod save;

pub use array::{from_file, to_file};
pub use dataset::{Dataset, dataset};
pub use digits::{Digits, digits};
pub use first::{First, Held, first};
pub use load::{
    LoadDenoised, LoadImages, LoadLabels, LoadSigmas, load_denoised, load_images, load_labels, load_sigmas,
};
pub use picture_set::{Choice, PictureSet, Split};
pub use pictures::{Batch, Order, Pictures, Seen};
pub use repeat::{Repeat, repeat};
pub use save::{Paths, SaveDenoised, SaveImages, save_denoised, save_images};

use pipeline::{Engine, Mistake};
use ports::explain;

/// Teaches the kinds of this crate.
pub fn plugin(engine: &mut Engine) {
    engine.node::<Digits, _>(digits).node::<Dataset, _>(dataset).node::<First, _>(first);
    engine.node::<LoadImages, _>(load_images).node::<LoadLabels, _>(load_labels);
    engine.node::<LoadSigmas, _>(load_sigmas).node::<LoadDenoised, _>(load_denoised);
    engine.node::<SaveImages, _>(save_images).node::<SaveDenoised, _>(save_denoised);
    engine.node::<Repeat, _>(repeat);
    explain::<Digits>(engine);
    explain::<Dataset>(engine);
    engine.keep::<Seen>().keep::<Held>();
}

const ANY_STD: (&str, &str) = (
    "any_std",
    "true if `sigma_data` is meant to be far from the pictures' standard deviation, so that nobody is warned",
);

/// A batch beyond this is a slip of the keyboard; each image of it needs memory at once.
const LARGEST_BATCH: usize = 1 << 20;

fn batch_size(count: usize) -> Result<(), Mistake> {
    positive("batch", count)?;
    if count <= LARGEST_BATCH {
        return Ok(());
    }
    Err(Mistake::new("batch", format!("`batch` is {count}, expected at most {LARGEST_BATCH}")))
}

/// Wants at least 1 of something.
fn positive(field: &str, count: usize) -> Result<(), Mistake> {
    if count > 0 {
        return Ok(());
    }
    Err(Mistake::new(field, format!("`{field}` is 0, expected at least 1")))
}
