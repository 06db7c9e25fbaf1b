//! Random numbers of samples.

use philox::{lane_words, normals_f64, unit_f64};

use super::Numbers;
use crate::{Distribution, Dropout, Shape};

pub fn random(keys: &[u32], distribution: Distribution, lane: u32, shape: &Shape) -> Numbers {
    let width = shape[1..].iter().product::<usize>();
    let places = || (0..shape[0]).flat_map(|n| (0..width).map(move |element| (n, element)));
    let words = |n, element: usize| words(keys, n, element / 4, lane);
    match distribution {
        Distribution::Normal => {
            Numbers::Real(places().map(|(n, e)| normals_f64(words(n, e))[e % 4]).collect())
        }
        Distribution::Uniform => Numbers::Real(places().map(|(n, e)| unit_f64(words(n, e)[e % 4])).collect()),
        Distribution::Bits => Numbers::Bits(places().map(|(n, e)| words(n, e)[e % 4]).collect()),
    }
}

/// What dropout multiplies an element of a sample by: 0 or 1/(1 - p). Each word decides on two elements.
pub fn dropout(keys: &[u32], n: usize, element: usize, dropout: Dropout) -> f64 {
    let word = words(keys, n, element / 8, dropout.lane)[element % 8 / 2];
    let half = word >> (element % 2 * 16) & 0xffff;
    if half < dropout.threshold() { 0.0 } else { dropout.scale() }
}

/// The random words of one block of sample `n`.
fn words(keys: &[u32], n: usize, index: usize, lane: u32) -> [u32; 4] {
    let row = [keys[4 * n], keys[4 * n + 1], keys[4 * n + 2], keys[4 * n + 3]];
    lane_words(row, lane, index as u32)
}
