use mollify_cpu::kernels::attention::{Attention, attention, attention_gradient};
use mollify_cpu::kernels::gemm::{Finish, Gemm, View, gemm};
use mollify_cpu::kernels::softmax::{softmax, softmax_gradient};
use mollify_cpu::{Level, Pool};

use crate::naive::wide;
use crate::{assert_near, assert_same_bits, numbers, pools};

fn product(shape: Gemm, a: impl Fn([usize; 3]) -> f64, b: impl Fn([usize; 3]) -> f64) -> Vec<f64> {
    let Gemm { batch, m, n, k } = shape;
    let element = |i: usize| {
        let (product, row, column) = (i / (m * n), i / n % m, i % n);
        (0..k).map(|k| a([product, row, k]) * b([product, k, column])).sum()
    };
    (0..batch * m * n).map(element).collect()
}

#[test]
fn matrices_multiply_as_they_lie_and_transposed() {
    for mut pool in pools() {
        for (batch, m, n, k) in [(1, 1, 1, 1), (2, 5, 3, 7), (3, 17, 40, 20), (1, 9, 100, 33), (2, 64, 16, 1)]
        {
            let shape = Gemm { batch, m, n, k };
            let (a, b, bias) = (numbers(batch * m * k, 1), numbers(batch * k * n, 2), numbers(n, 3));
            let mut out = vec![f32::NAN; batch * m * n];
            let (left, right) = (View::rows(&a, k, m * k), View::rows(&b, n, k * n));
            gemm(&mut pool, shape, left, right, Finish::Scale(0.5), &mut out);
            let a_at = |[p, i, k_]: [usize; 3]| f64::from(a[(p * m + i) * k + k_]);
            let b_at = |[p, k_, j]: [usize; 3]| f64::from(b[(p * k + k_) * n + j]);
            let expected = product(shape, a_at, b_at);
            assert_near(&out, &expected.iter().map(|sum| sum * 0.5).collect::<Vec<_>>(), k);

            // the same numbers read as [k, m] and [n, k]
            let (left, right) =
                (View::rows(&a, m, m * k).transposed(), View::rows(&b, k, k * n).transposed());
            gemm(&mut pool, shape, left, right, Finish::Bias(&bias), &mut out);
            let a_at = |[p, i, k_]: [usize; 3]| f64::from(a[(p * k + k_) * m + i]);
            let b_at = |[p, k_, j]: [usize; 3]| f64::from(b[(p * n + j) * k + k_]);
            let expected = product(shape, a_at, b_at);
            let with_bias = expected.iter().enumerate().map(|(i, sum)| sum + f64::from(bias[i % n]));
            assert_near(&out, &with_bias.collect::<Vec<_>>(), k);
        }
    }
}

#[test]
fn a_product_over_rows_that_is_added_up_in_parts_has_the_same_bits() {
    let (rows, m, n) = (7, 19, 45);
    let (x, dy) = (numbers(rows * m, 1), numbers(rows * n, 2));
    for level in Level::available() {
        let run = |threads: usize, cuts: &[usize]| {
            let (mut pool, mut dw) = (Pool::with_level(threads, level), numbers(m * n, 3));
            for ends in cuts.windows(2) {
                let shape = Gemm { batch: 1, m, n, k: ends[1] - ends[0] };
                let left = View::rows(&x[ends[0] * m..ends[1] * m], m, 0).transposed();
                let right = View::rows(&dy[ends[0] * n..ends[1] * n], n, 0);
                gemm(&mut pool, shape, left, right, Finish::Accumulate, &mut dw);
            }
            dw
        };
        let whole = run(1, &[0, 7]);
        for threads in 1..=3 {
            assert_same_bits(&whole, &run(threads, &[0, 7]), "threads");
            assert_same_bits(&whole, &run(threads, &[0, 1, 2, 5, 7]), "parts");
        }
    }
}

#[test]
fn a_row_of_a_product_does_not_depend_on_how_many_rows_there_are() {
    let (m, n, k) = (23, 50, 40);
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    for mut pool in pools() {
        let mut whole = vec![0.0; m * n];
        let shape = Gemm { batch: 1, m, n, k };
        gemm(&mut pool, shape, View::rows(&a, k, 0), View::rows(&b, n, 0), Finish::Scale(1.0), &mut whole);
        for row in 0..m {
            let mut one = vec![0.0; n];
            let (shape, left) = (Gemm { m: 1, ..shape }, View::rows(&a[row * k..][..k], k, 0));
            gemm(&mut pool, shape, left, View::rows(&b, n, 0), Finish::Scale(1.0), &mut one);
            assert_same_bits(&one, &whole[row * n..][..n], "a row");
        }
    }
}

fn naive_softmax(x: &[f64]) -> Vec<f64> {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = x.iter().map(|x| (x - largest).exp()).sum();
    x.iter().map(|x| (x - largest).exp() / sum).collect()
}

#[test]
fn softmax_and_its_gradient_follow_their_formulas() {
    for mut pool in pools() {
        for len in [1, 3, 16, 35, 64] {
            let x: Vec<f32> = numbers(19 * len, 1).iter().map(|x| x * 9.0).collect();
            let dy = numbers(x.len(), 2);
            let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            softmax(&mut pool, len, &x, &mut y);
            let expected: Vec<f64> = wide(&x).chunks(len).flat_map(naive_softmax).collect();
            assert_near(&y, &expected, len);
            softmax_gradient(&mut pool, len, &dy, &y, &mut dx);
            let rows = expected.chunks(len).zip(dy.chunks(len));
            let gradient = rows.flat_map(|(y, dy)| {
                let sum: f64 = y.iter().zip(dy).map(|(y, dy)| y * f64::from(*dy)).sum();
                y.iter().zip(dy).map(|(y, dy)| y * (f64::from(*dy) - sum)).collect::<Vec<_>>()
            });
            assert_near(&dx, &gradient.collect::<Vec<_>>(), len);
        }
    }
}

/// Output and `dqkv` of attention, in f64.
fn naive_attention(shape: Attention, qkv: &[f32], dy: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let Attention { n, pixels, c, heads } = shape;
    let depth = c / heads;
    let (mut out, mut dqkv) = (vec![0.0; n * pixels * c], vec![0.0; n * pixels * 3 * c]);
    for (sample, head) in (0..n).flat_map(|sample| (0..heads).map(move |head| (sample, head))) {
        let at = |part: usize, pixel: usize, i: usize| {
            (sample * pixels + pixel) * 3 * c + part * c + head * depth + i
        };
        let read = |part: usize, pixel: usize, i: usize| f64::from(qkv[at(part, pixel, i)]);
        let scale = 1.0 / (depth as f64).sqrt();
        for q in 0..pixels {
            let logits =
                (0..pixels).map(|k| (0..depth).map(|i| read(0, q, i) * read(1, k, i)).sum::<f64>() * scale);
            let weights = naive_softmax(&logits.collect::<Vec<_>>());
            let to = (sample * pixels + q) * c + head * depth;
            let dw = |k: usize| -> f64 { (0..depth).map(|i| f64::from(dy[to + i]) * read(2, k, i)).sum() };
            let mean: f64 = (0..pixels).map(|k| weights[k] * dw(k)).sum();
            for k in 0..pixels {
                let dl = weights[k] * (dw(k) - mean) * scale;
                for i in 0..depth {
                    out[to + i] += weights[k] * read(2, k, i);
                    dqkv[at(0, q, i)] += dl * read(1, k, i);
                    dqkv[at(1, k, i)] += dl * read(0, q, i);
                    dqkv[at(2, k, i)] += weights[k] * f64::from(dy[to + i]);
                }
            }
        }
    }
    (out, dqkv)
}

#[test]
fn attention_and_its_gradient_follow_their_formulas() {
    for mut pool in pools() {
        for (n, pixels, c, heads) in [(2, 9, 12, 1), (1, 16, 24, 3), (3, 4, 5, 1), (1, 53, 90, 2)] {
            let shape = Attention { n, pixels, c, heads };
            let (qkv, dy) = (numbers(n * pixels * 3 * c, 1), numbers(n * pixels * c, 2));
            let (mut out, mut dqkv) = (vec![f32::NAN; dy.len()], vec![f32::NAN; qkv.len()]);
            attention(&mut pool, shape, &qkv, &mut out);
            attention_gradient(&mut pool, shape, &qkv, &dy, &mut dqkv);
            let expected = naive_attention(shape, &qkv, &dy);
            assert_near(&out, &expected.0, pixels + c);
            assert_near(&dqkv, &expected.1, pixels + c);
        }
    }
}

#[test]
fn a_sample_of_attention_does_not_see_its_neighbours() {
    let (pixels, c) = (70, 18);
    let (qkv, dy) = (numbers(7 * pixels * 3 * c, 1), numbers(7 * pixels * c, 2));
    for mut pool in pools() {
        let mut run = |first: usize, n: usize| {
            let shape = Attention { n, pixels, c, heads: 2 };
            let (qkv, dy) = (
                &qkv[first * pixels * 3 * c..][..n * pixels * 3 * c],
                &dy[first * pixels * c..][..n * pixels * c],
            );
            let (mut out, mut dqkv) = (vec![0.0; dy.len()], vec![0.0; qkv.len()]);
            attention(&mut pool, shape, qkv, &mut out);
            attention_gradient(&mut pool, shape, qkv, dy, &mut dqkv);
            (out, dqkv)
        };
        let whole = run(0, 7);
        for sample in 0..7 {
            let one = run(sample, 1);
            assert_same_bits(&one.0, &whole.0[sample * pixels * c..][..pixels * c], "output");
            assert_same_bits(&one.1, &whole.1[sample * pixels * 3 * c..][..pixels * 3 * c], "gradient");
        }
    }
}
