//! Softmax and attention.

use super::view::{View, build};

/// Over the last axis of `x [rows, size]`.
pub fn softmax(x: View<2>) -> Vec<f64> {
    let [rows, size] = x.sizes;
    let row = |row| softmax_of((0..size).map(|at| x.at([row, at])).collect());
    (0..rows).flat_map(row).collect()
}

/// dx = y · (dy - Σ dy · y).
pub fn softmax_gradient(dy: View<2>, y: View<2>) -> Vec<f64> {
    build(y.sizes, |[row, at]| {
        let sum: f64 = (0..y.sizes[1]).map(|at| dy.at([row, at]) * y.at([row, at])).sum();
        y.at([row, at]) * (dy.at([row, at]) - sum)
    })
}

fn softmax_of(x: Vec<f64>) -> Vec<f64> {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = x.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|exp| exp / sum).collect()
}

/// One head of one sample.
struct Head<'a> {
    qkv: View<'a, 3>,
    sample: usize,
    first: usize,
    /// Channels of a head.
    width: usize,
}

/// The heads of `qkv [n, pixels, 3 c]`, sample by sample.
fn heads<'a>(qkv: View<'a, 3>, heads: usize) -> impl Iterator<Item = Head<'a>> {
    let [n, _, channels] = qkv.sizes;
    let width = channels / 3 / heads;
    (0..n)
        .flat_map(move |sample| (0..heads).map(move |head| Head { qkv, sample, first: head * width, width }))
}

impl Head<'_> {
    /// Channel `c` of this head, of q (0), k (1) or v (2).
    fn at(&self, which: usize, pixel: usize, c: usize) -> f64 {
        self.qkv.at([self.sample, pixel, which * self.qkv.sizes[2] / 3 + self.first + c])
    }

    fn channels(&self) -> std::ops::Range<usize> {
        0..self.width
    }

    fn pixels(&self) -> std::ops::Range<usize> {
        0..self.qkv.sizes[1]
    }

    /// Row by row, how much each pixel looks at each: softmax(q · k / √c).
    fn weights(&self) -> Vec<Vec<f64>> {
        let score = |i, j| {
            let products = self.channels().map(|c| self.at(0, i, c) * self.at(1, j, c));
            products.sum::<f64>() / (self.width as f64).sqrt()
        };
        self.pixels().map(|i| softmax_of(self.pixels().map(|j| score(i, j)).collect())).collect()
    }

    /// The gradient of the scores before their division by √c.
    fn score_gradient(&self, dy: View<3>, weights: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let row = |i: usize| {
            let dw = |j| self.channels().map(|c| self.dy(dy, i, c) * self.at(2, j, c)).sum::<f64>();
            let dws: Vec<f64> = self.pixels().map(dw).collect();
            let sum: f64 = dws.iter().zip(&weights[i]).map(|(dw, w)| dw * w).sum();
            let each = dws.iter().zip(&weights[i]).map(|(dw, w)| w * (dw - sum) / (self.width as f64).sqrt());
            each.collect::<Vec<f64>>()
        };
        self.pixels().map(row).collect()
    }

    fn dy(&self, dy: View<3>, pixel: usize, c: usize) -> f64 {
        dy.at([self.sample, pixel, self.first + c])
    }
}

pub fn attention(qkv: View<3>, count: usize) -> Vec<f64> {
    let [n, pixels, channels] = qkv.sizes;
    let c = channels / 3;
    let mut y = vec![0.0; n * pixels * c];
    for head in heads(qkv, count) {
        let weights = head.weights();
        for i in head.pixels() {
            for c_head in head.channels() {
                let sum = head.pixels().map(|j| weights[i][j] * head.at(2, j, c_head)).sum();
                y[(head.sample * pixels + i) * c + head.first + c_head] = sum;
            }
        }
    }
    y
}

pub fn attention_gradient(dy: View<3>, qkv: View<3>, count: usize) -> Vec<f64> {
    let [n, pixels, channels] = qkv.sizes;
    let mut dx = vec![0.0; n * pixels * channels];
    for head in heads(qkv, count) {
        let weights = head.weights();
        let ds = head.score_gradient(dy, &weights);
        for i in head.pixels() {
            for c in head.channels() {
                let dq = head.pixels().map(|j| ds[i][j] * head.at(1, j, c)).sum();
                let dk = head.pixels().map(|j| ds[j][i] * head.at(0, j, c)).sum();
                let dv = head.pixels().map(|j| weights[j][i] * head.dy(dy, j, c)).sum();
                for (which, d) in [dq, dk, dv].into_iter().enumerate() {
                    dx[(head.sample * pixels + i) * channels + which * channels / 3 + head.first + c] = d;
                }
            }
        }
    }
    dx
}
