//! `cargo xtask bench augment`: what augmenting a batch costs beside the training step that it is for.

use super::options::Options;
use super::result::{Measured, median};
use super::{Job, QUIET, over};

/// The share of a training step that is aimed at.
const TARGET: f64 = 0.05;

pub(crate) fn augment(options: &Options) -> Result<(), String> {
    let batch = options.batch.unwrap_or(if options.on_gpu() { 512 } else { 16 });
    let job = |mode| Job { config: "small32", mode, batch };
    let (mut steps, mut augmentations) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        steps.push(job("train").ask_ours(options)?);
        augmentations.push(job("augment").ask_ours(options)?);
    }
    let ms = |rounds: &[Measured]| over(rounds, |measured| measured.median_ms);
    // Of each round by itself, since both halves of a round saw the machine in the same mood.
    let shares = steps.iter().zip(&augmentations).map(|(step, own)| own.median_ms / step.median_ms);
    let share = median(shares.collect());
    println!("\n| batch of small32 | ms |\n|---|--:|");
    println!("| training step, {batch} images | {:.1} |", ms(&steps));
    println!("| augmentation of them | {:.2} |", ms(&augmentations));
    println!("\n{:.1} % of a step, at most {:.0} % is aimed at", 100.0 * share, 100.0 * TARGET);
    let disturbed = steps.iter().chain(&augmentations).any(|measured| measured.other_cores > QUIET);
    if disturbed && !options.on_gpu() {
        println!("{}", super::DISTURBED);
    }
    Ok(())
}
