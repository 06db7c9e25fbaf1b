//! Draws have the distributions they claim, and rows are independent of each other.

use std::collections::HashSet;

use mollify_philox::{
    Key, half, normal, normal_f64, normals, permute, stream, threshold, uniform, uniform_f64, unit, unit_f64,
    words,
};

const COUNT: usize = 200_000;

fn row(seed: u64, stream: u32, step: u64) -> [u32; 4] {
    Key { seed, stream, step }.words()
}

/// The largest distance between the draws' empirical distribution and `cdf`, times the root of their count.
fn kolmogorov_smirnov(mut draws: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    draws.sort_by(f64::total_cmp);
    let n = draws.len() as f64;
    let distance = |(i, x): (usize, &f64)| {
        let expected = cdf(*x);
        (expected - i as f64 / n).abs().max(((i + 1) as f64 / n - expected).abs())
    };
    draws.iter().enumerate().map(distance).fold(0.0, f64::max) * n.sqrt()
}

/// The normal distribution function, to 1e-7 (Abramowitz and Stegun 26.2.17).
fn normal_cdf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.2316419 * x.abs());
    let factors = [0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429];
    let series = factors.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    let tail = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt() * series;
    if x < 0.0 { tail } else { 1.0 - tail }
}

fn moment(draws: &[f64], power: i32) -> f64 {
    draws.iter().map(|x| x.powi(power)).sum::<f64>() / draws.len() as f64
}

fn correlation(a: impl Iterator<Item = f64>, b: impl Iterator<Item = f64>) -> f64 {
    let products: Vec<f64> = a.zip(b).map(|(a, b)| a * b).collect();
    moment(&products, 1)
}

#[test]
fn uniforms_are_uniform_and_strictly_inside_the_unit_interval() {
    let row = row(1, stream::LABEL, 0);
    let draws: Vec<f64> = (0..COUNT).map(|i| f64::from(uniform(row, i))).collect();
    assert!(kolmogorov_smirnov(draws.clone(), |x| x) < 1.63);
    assert!((moment(&draws, 1) - 0.5).abs() < 3e-3);
    assert!((moment(&draws, 2) - 1.0 / 3.0).abs() < 3e-3);
    assert!((0..COUNT).all(|i| f64::from(uniform(row, i)) == uniform_f64(row, i)));
    for extreme in [0, 0xff, u32::MAX] {
        assert!(0.0 < unit(extreme) && unit(extreme) < 1.0);
        assert_eq!(f64::from(unit(extreme)), unit_f64(extreme));
    }
    assert_eq!(unit_f64(u32::MAX) + unit_f64(0), 1.0);
}

#[test]
fn normals_are_normal() {
    let row = row(2, stream::NOISE, 3);
    let draws: Vec<f64> = (0..COUNT).map(|i| f64::from(normal(row, i))).collect();
    assert!(kolmogorov_smirnov(draws.clone(), normal_cdf) < 1.63);
    for (power, expected, tolerance) in [(1, 0.0, 0.01), (2, 1.0, 0.015), (3, 0.0, 0.04), (4, 3.0, 0.12)] {
        let found = moment(&draws, power);
        assert!((found - expected).abs() < tolerance, "moment {power} is {found}");
    }
}

#[test]
fn f32_and_f64_normals_agree_to_f32_rounding() {
    let row = row(3, stream::LATENT, 0);
    for i in 0..COUNT {
        let (single, double) = (f64::from(normal(row, i)), normal_f64(row, i));
        assert!((single - double).abs() < 2e-6, "element {i}: {single} and {double}");
    }
}

#[test]
fn normals_stay_finite_at_the_ends() {
    for extreme in [[0; 4], [u32::MAX; 4], [0, u32::MAX, u32::MAX, 0]] {
        assert!(normals(extreme).iter().all(|normal| normal.is_finite() && normal.abs() < 5.8));
    }
}

#[test]
fn neighbouring_elements_are_uncorrelated() {
    let row = row(4, stream::CHURN, 9);
    for shift in [1, 2, 3, 4, 8] {
        let found = correlation(
            (0..COUNT).map(|i| f64::from(normal(row, i))),
            (shift..COUNT + shift).map(|i| f64::from(normal(row, i))),
        );
        assert!(found.abs() < 0.01, "shift {shift}: {found}");
    }
}

#[test]
fn a_row_is_independent_of_its_neighbours_in_seed_stream_and_step() {
    let here = row(5, stream::NOISE, 7);
    let neighbours = [
        row(6, stream::NOISE, 7),
        row(5 + (1 << 32), stream::NOISE, 7),
        row(5, stream::SIGMA, 7),
        row(5, stream::NOISE, 8),
        row(5, stream::NOISE, 7 + (1 << 32)),
    ];
    for there in neighbours {
        let found = correlation(
            (0..COUNT).map(|i| f64::from(normal(here, i))),
            (0..COUNT).map(|i| f64::from(normal(there, i))),
        );
        assert!(found.abs() < 0.01, "{there:?}: {found}");
    }
}

#[test]
fn no_two_keys_share_a_block() {
    let mut seen = HashSet::new();
    for seed in 0..16 {
        for stream in [stream::SHUFFLE, stream::LATENT, stream::CHURN, stream::DROPOUT, stream::MIRROR] {
            for step in [0, 1, 2, 1 << 32, 2 << 32, 3 << 32] {
                for index in 0..8 {
                    assert!(seen.insert(words(row(seed, stream, step), index)));
                }
            }
        }
    }
}

#[test]
fn dropout_hits_its_probability() {
    let row = row(7, stream::DROPOUT, 0);
    for p in [0.0, 0.13, 0.5, 1.0] {
        let dropped = (0..COUNT).filter(|i| u32::from(half(row, *i)) < threshold(p)).count();
        assert!((dropped as f64 / COUNT as f64 - p).abs() < 4e-3, "{dropped} of {COUNT} at {p}");
    }
    assert_eq!([threshold(-1.0), threshold(2.0), threshold(f64::NAN)], [0, 65536, 0]);
}

#[test]
fn a_permutation_meets_every_element_once() {
    for n in [1, 2, 3, 4, 5, 16, 17, 64, 1000, 1797] {
        let order: HashSet<usize> = (0..n).map(|i| permute(11, 2, n, i)).collect();
        assert_eq!(order.len(), n);
        assert!(order.iter().all(|place| *place < n));
    }
    assert_eq!(permute(11, 2, 0, 0), 0);
    assert_eq!(permute(11, 2, 5, 9), 9);
}

#[test]
fn permutations_differ_by_seed_and_epoch_and_put_every_element_everywhere() {
    let order = |seed, epoch| (0..1797).map(|i| permute(seed, epoch, 1797, i)).collect::<Vec<_>>();
    let fixed = |a: &[usize], b: &[usize]| a.iter().zip(b).filter(|(a, b)| a == b).count();
    let start = order(1, 0);
    assert!(fixed(&start, &order(1, 1)) < 10);
    assert!(fixed(&start, &order(2, 0)) < 10);
    assert!(fixed(&start, &(0..1797).collect::<Vec<_>>()) < 10);

    let mut counts = [[0usize; 5]; 5];
    for seed in 0..5000 {
        (0..5).for_each(|i| counts[i][permute(seed, 0, 5, i)] += 1);
    }
    assert!(counts.as_flattened().iter().all(|count| (880..1120).contains(count)), "{counts:?}");
}

#[test]
fn a_permutation_of_a_huge_set_stays_inside_it() {
    let n = usize::MAX;
    assert!((0..100).map(|i| permute(1, 1, n, i)).collect::<HashSet<_>>().len() == 100);
}
