//! Convolutions and resampling.

use super::view::{View, build};
use crate::Resample;

/// Row and column of a tap relative to the centre.
fn offset(tap: usize, taps: usize) -> (isize, isize) {
    if taps == 1 { (0, 0) } else { (tap as isize / 3 - 1, tap as isize % 3 - 1) }
}

pub fn conv(x: View<4>, weight: View<3>) -> Vec<f64> {
    let ([n, h, w, _], [taps, cin, cout]) = (x.sizes, weight.sizes);
    build([n, h, w, cout], |[n, i, j, o]| {
        let tap = |tap| {
            let (di, dj) = offset(tap, taps);
            let product = |c| x.padded([n, c], i as isize + di, j as isize + dj) * weight.at([tap, c, o]);
            (0..cin).map(product).sum::<f64>()
        };
        (0..taps).map(tap).sum()
    })
}

pub fn conv_input_gradient(dy: View<4>, weight: View<3>) -> Vec<f64> {
    let ([n, h, w, _], [taps, cin, cout]) = (dy.sizes, weight.sizes);
    build([n, h, w, cin], |[n, i, j, c]| {
        let tap = |tap| {
            let (di, dj) = offset(tap, taps);
            let product = |o| dy.padded([n, o], i as isize - di, j as isize - dj) * weight.at([tap, c, o]);
            (0..cout).map(product).sum::<f64>()
        };
        (0..taps).map(tap).sum()
    })
}

pub fn conv_weight_gradient(x: View<4>, dy: View<4>, taps: usize) -> Vec<f64> {
    let [n, h, w, _] = x.sizes;
    build([taps, x.sizes[3], dy.sizes[3]], |[tap, c, o]| {
        let (di, dj) = offset(tap, taps);
        let mut sum = 0.0;
        for n in 0..n {
            for i in 0..h {
                for j in 0..w {
                    sum += x.padded([n, c], i as isize + di, j as isize + dj) * dy.at([n, i, j, o]);
                }
            }
        }
        sum
    })
}

pub fn resample(x: View<4>, resample: &Resample) -> Vec<f64> {
    let [n, h, w, c] = x.sizes;
    let sum: f64 = resample.taps.iter().sum();
    let taps: Vec<f64> = resample.taps.iter().map(|tap| tap / sum).collect();
    build([n, resample.resized(h), resample.resized(w), c], |[n, i, j, c]| {
        let mut sum = 0.0;
        for (a, row) in taps.iter().enumerate() {
            for (b, column) in taps.iter().enumerate() {
                if let (Some(i), Some(j)) = (resample.source(i as isize, a), resample.source(j as isize, b)) {
                    sum += row * column * x.padded([n, c], i, j);
                }
            }
        }
        sum * resample.gain
    })
}

impl Resample {
    /// The row or column, possibly outside the image, that a tap of the filter sees; `None` between pixels.
    pub fn source(&self, to: isize, tap: usize) -> Option<isize> {
        let (tap, padding) = (tap as isize, self.padding as isize);
        if !self.up {
            return Some(2 * to + tap - padding);
        }
        let spread = to + tap + padding + 1 - self.taps.len() as isize;
        (spread % 2 == 0).then_some(spread.div_euclid(2))
    }
}
