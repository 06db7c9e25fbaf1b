use mollify_cpu::kernels::resample::{Resample, resample};

use crate::naive::wide;
use crate::{assert_near, assert_same_bits, numbers, pools};

/// A resampling along one axis as a matrix `[to, from]`.
fn matrix(how: &Resample, size: usize) -> Vec<Vec<f64>> {
    let taps = wide(how.taps);
    let weight = |to: usize, from: usize| -> f64 {
        let hit = |tap: usize| match how.up {
            true => to + tap + how.padding + 1 == 2 * from + taps.len(),
            false => 2 * to + tap == from + how.padding,
        };
        (0..taps.len()).filter(|tap| hit(*tap)).map(|tap| taps[tap]).sum()
    };
    (0..how.resized(size)).map(|to| (0..size).map(|from| weight(to, from)).collect()).collect()
}

const FILTERS: [&[f32]; 3] = [&[0.5, 0.5], &[0.125, 0.375, 0.375, 0.125], &[0.1, 0.2, 0.3, 0.4]];

fn cases() -> impl Iterator<Item = Resample<'static>> {
    let of_filter = |taps: &'static [f32]| {
        (0..=taps.len() / 2).flat_map(move |padding| {
            [true, false].map(|up| Resample { up, taps, padding, gain: if up { 4.0 } else { 1.0 } })
        })
    };
    FILTERS.into_iter().flat_map(of_filter)
}

#[test]
fn images_are_doubled_and_halved_by_any_filter_and_padding() {
    let (n, h, w, c) = (3, 6, 4, 5);
    let x = numbers(n * h * w * c, 1);
    for mut pool in pools() {
        for how in cases() {
            let (rows, columns) = (matrix(&how, h), matrix(&how, w));
            let mut expected = Vec::new();
            for i in 0..n * rows.len() * columns.len() * c {
                let (row, column) =
                    (&rows[i / (columns.len() * c) % rows.len()], &columns[i / c % columns.len()]);
                let (sample, channel) = (i / (rows.len() * columns.len() * c), i % c);
                let at = |y: usize, x_: usize| f64::from(x[((sample * h + y) * w + x_) * c + channel]);
                let terms = (0..h * w).map(|p| row[p / w] * column[p % w] * at(p / w, p % w));
                expected.push(terms.sum::<f64>() * f64::from(how.gain));
            }
            let mut out = vec![f32::NAN; expected.len()];
            resample(&mut pool, [n, h, w, c], how, &x, &mut out);
            assert_near(&out, &expected, 16);
            let one = &x[h * w * c..][..h * w * c];
            let mut alone = vec![0.0; out.len() / n];
            resample(&mut pool, [1, h, w, c], how, one, &mut alone);
            assert_same_bits(&alone, &out[alone.len()..][..alone.len()], "a sample alone");
        }
    }
}

#[test]
fn the_adjoint_of_a_resampling_is_the_other_with_its_taps_reversed() {
    let (n, h, w, c) = (1, 4, 6, 3);
    let x = numbers(n * h * w * c, 1);
    for mut pool in pools() {
        for how in cases().filter(|how| how.padding + 1 == how.taps.len() / 2) {
            let (rows, columns) = (how.resized(h), how.resized(w));
            let dy = numbers(rows * columns * c, 2);
            let reversed: Vec<f32> = how.taps.iter().rev().copied().collect();
            let back = Resample { up: !how.up, taps: &reversed, ..how };
            assert_eq!([back.resized(rows), back.resized(columns)], [h, w], "the adjoint leads back");
            let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
            resample(&mut pool, [n, h, w, c], how, &x, &mut y);
            resample(&mut pool, [n, rows, columns, c], back, &dy, &mut dx);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            assert!(
                (dot(&y, &dy) - dot(&x, &dx)).abs() < 1e-4,
                "{how:?}: {} and {}",
                dot(&y, &dy),
                dot(&x, &dx)
            );
        }
    }
}
