//! Holds every kernel against plain loops in f64, at every SIMD level of this machine, and checks that neither the batch
//! split nor the number of threads shows in a single bit.

mod convolution;
mod images;
mod matrices;
mod naive;
mod normalization;
mod numbers;
mod threads;

use mollify_cpu::{Level, Pool};

/// Every level with 1, 2 and 3 threads.
fn pools() -> impl Iterator<Item = Pool> {
    Level::available().flat_map(|level| (1..=3).map(move |threads| Pool::with_level(threads, level)))
}

/// Numbers between -1 and 1 that differ from seed to seed.
fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let row = [seed, 1, 2, 3];
    (0..len).map(|i| 2.0 * philox::uniform(row, i) - 1.0).collect()
}

/// A sum of `terms` random terms in f32 is off by about 2^-24 · √terms of its size; 16 times as much is allowed, and
/// a few roundings for what comes before and after the sum.
#[track_caller]
fn assert_near(actual: &[f32], expected: &[f64], terms: usize) {
    assert_eq!(actual.len(), expected.len(), "another length");
    let rms = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len().max(1) as f64).sqrt();
    let tolerance = rms * (2e-6 + (terms as f64).sqrt() * 1e-6) + 1e-30;
    for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(*actual) - expected).abs();
        assert!(
            error <= tolerance,
            "element {i}: {actual} instead of {expected}, more than {tolerance:.1e} off"
        );
    }
}

#[track_caller]
fn assert_same_bits(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}: another length");
    let differs = a.iter().zip(b).position(|(a, b)| a.to_bits() != b.to_bits());
    assert_eq!(differs, None, "{what}: the bits differ");
}
