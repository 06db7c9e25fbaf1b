//! The random numbers of training images.

use philox::Key;
use ports::{Compute, Images};
use tensor::{Result, Tensor};

/// The keys of a batch: those of the run's 1000th image are the same in every batch size.
pub fn sample_keys(images: &Images, seed: u64, stream: u32, compute: &Compute) -> Result<Tensor> {
    let steps = images.before..images.before + images.batch() as u64;
    compute.keys(steps.map(|step| Key { seed, stream, step }))
}
