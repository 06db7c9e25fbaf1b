use mollify_cpu::kernels::conv::{Conv, conv, conv_input_gradient};
use mollify_cpu::kernels::conv_weight::conv_weight_gradient;
use mollify_cpu::kernels::conv_weight::transformed::{self, Sums, To};
use mollify_cpu::kernels::load::{Affine, Load, Resize, Source};
use mollify_cpu::kernels::norm::{Norm, Statistics, group_stats};
use mollify_cpu::kernels::random::Dropout;
use mollify_cpu::kernels::store::Store;
use mollify_cpu::{Level, Pool};

use crate::naive::{self, wide};
use crate::{assert_near, assert_same_bits, numbers, pools};

/// `[n, h, w, cin, cout, taps]`: odd sizes, single channels, several blocks and panels, more threads than samples.
const SHAPES: &[[usize; 6]] = &[
    [3, 8, 8, 12, 20, 9],
    [1, 5, 7, 5, 3, 9],
    [2, 4, 4, 33, 40, 9],
    [2, 10, 8, 17, 33, 9],
    [2, 16, 12, 16, 18, 9],
    [2, 2, 2, 16, 64, 9],
    // images that end within a tile of Winograd's algorithm, some too small for it
    [2, 3, 5, 16, 17, 9],
    [1, 14, 13, 35, 24, 9],
    [1, 9, 4, 16, 48, 9],
    [1, 1, 1, 3, 1, 9],
    [1, 9, 16, 1, 70, 9],
    [5, 6, 6, 20, 12, 1],
    [1, 3, 8, 48, 32, 1],
    [2, 3, 5, 256, 17, 1],
    // few channels on a side
    [2, 5, 9, 36, 3, 9],
    [3, 12, 13, 2, 40, 9],
    // so many samples that weights are summed in strands
    [70, 3, 5, 17, 16, 9],
];

fn shapes() -> impl Iterator<Item = Conv> {
    SHAPES.iter().map(|&[n, h, w, cin, cout, taps]| Conv { n, h, w, cin, cout, taps })
}

#[test]
fn a_convolution_is_the_sum_of_its_products() {
    for mut pool in pools() {
        for shape in shapes() {
            let pixels = shape.n * shape.h * shape.w;
            let (x, weights) =
                (numbers(pixels * shape.cin, 1), numbers(shape.taps * shape.cin * shape.cout, 2));
            let mut y = vec![f32::NAN; pixels * shape.cout];
            let sources = [Source { x: (&x).into(), channels: shape.cin }];
            conv(&mut pool, shape, &Load::plain(&sources), &weights, &Store::plain(), &mut y);
            assert_near(&y, &naive::conv(shape, &wide(&x), &wide(&weights)), shape.taps * shape.cin);
        }
    }
}

/// The products of a 3x3 convolution added up in f32, one after the other.
fn direct_sums(shape: Conv, x: &[f32], weights: &[f32]) -> Vec<f32> {
    let Conv { n, h, w, cin, cout, .. } = shape;
    let mut y = vec![0.0f32; n * h * w * cout];
    for (i, y) in y.iter_mut().enumerate() {
        let (pixel, to) = (i / cout, i % cout);
        let (sample, row, column) = (pixel / (h * w), pixel / w % h, pixel % w);
        for tap in 0..9 {
            let (down, right) = (row + tap / 3, column + tap % 3);
            if (1..=h).contains(&down) && (1..=w).contains(&right) {
                let from = ((sample * h + down - 1) * w + right - 1) * cin;
                for channel in 0..cin {
                    *y += x[from + channel] * weights[(tap * cin + channel) * cout + to];
                }
            }
        }
    }
    y
}

#[test]
fn sums_by_winograds_algorithm_err_little_more_than_direct_sums() {
    let shape = Conv { n: 2, h: 16, w: 16, cin: 32, cout: 32, taps: 9 };
    let (x, weights) = (numbers(2 * 256 * 32, 1), numbers(9 * 32 * 32, 2));
    let exact = naive::conv(shape, &wide(&x), &wide(&weights));
    let error = |y: &[f32]| -> f64 {
        let squares = y.iter().zip(&exact).map(|(y, exact)| (f64::from(*y) - exact).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let direct = error(&direct_sums(shape, &x, &weights));
    for mut pool in pools() {
        let mut y = vec![0.0; x.len()];
        let sources = [Source { x: (&x).into(), channels: 32 }];
        conv(&mut pool, shape, &Load::plain(&sources), &weights, &Store::plain(), &mut y);
        let times = error(&y) / direct;
        assert!(times < 2.5, "the error is {times} times that of direct sums");
    }
}

#[test]
fn what_is_fused_into_loads_and_stores_is_as_if_done_apart() {
    [37, 3].into_iter().for_each(fused_into_a_convolution_to);
}

/// To so many channels.
fn fused_into_a_convolution_to(cout: usize) {
    let shape = Conv { n: 3, h: 4, w: 6, cin: 20, cout, taps: 9 };
    let (pixels, outputs) = (3 * 4 * 6, 3 * 4 * 6 * cout);
    let weights = numbers(9 * 20 * cout, 1);
    let [scale, shift] = [2, 3].map(|seed| numbers(3 * 20, seed));
    let (bias, embedding, residual) = (numbers(cout, 4), numbers(3 * cout, 5), numbers(outputs, 6));
    let keys: Vec<philox::Row> = (0..3).map(|i| [i, 7, 8, 9]).collect();
    let dropout = Dropout { keys: &keys, lane: 3, threshold: philox::threshold(0.25), scale: 1.0 / 0.75 };
    for mut pool in pools() {
        for (resize, from) in [(Resize::Same, pixels), (Resize::Up, pixels / 4), (Resize::Down, pixels * 4)] {
            let [first, second] = [(13, 10), (7, 11)].map(|(channels, seed)| numbers(from * channels, seed));
            let sources =
                [Source { x: (&first).into(), channels: 13 }, Source { x: (&second).into(), channels: 7 }];
            let affine = Some(Affine { scale: &scale, shift: &shift });
            let load =
                Load { sources: &sources, affine, silu: true, dropout: Some(dropout), scale: 0.7, resize };
            let [b, shift, r] = [&bias, &embedding, &residual].map(|values| Some(values.into()));
            let store = Store { bias: b, shift, residual: r, scale: 0.5, accumulate: true, statistics: None };
            let mut y = numbers(outputs, 12);
            let mut expected = naive::conv(shape, &naive::load([3, 4, 6], &load), &wide(&weights));
            for (i, value) in expected.iter_mut().enumerate() {
                let extra = bias[i % cout] + residual[i] + embedding[i / (24 * cout) * cout + i % cout];
                *value = (*value + f64::from(extra)) * 0.5 + f64::from(y[i]);
            }
            conv(&mut pool, shape, &load, &weights, &store, &mut y);
            assert_near(&y, &expected, 9 * 20);
        }
    }
}

#[test]
fn the_gradients_of_a_convolution_are_the_sums_of_their_products() {
    for mut pool in pools() {
        for shape in shapes() {
            let pixels = shape.n * shape.h * shape.w;
            let (x, dy) = (numbers(pixels * shape.cin, 1), numbers(pixels * shape.cout, 2));
            let weights = numbers(shape.taps * shape.cin * shape.cout, 3);
            let gradients = [Source { x: (&dy).into(), channels: shape.cout }];
            let mut dx = vec![f32::NAN; x.len()];
            conv_input_gradient(
                &mut pool,
                shape,
                &Load::plain(&gradients),
                &weights,
                &Store::plain(),
                &mut dx,
            );
            let expected = naive::conv_input_gradient(shape, &wide(&dy), &wide(&weights));
            assert_near(&dx, &expected, shape.taps * shape.cout);

            let sources = [Source { x: (&x).into(), channels: shape.cin }];
            let (mut dw, mut sums) = (vec![1.0; weights.len()], vec![f32::NAN; shape.n * shape.cout]);
            conv_weight_gradient(&mut pool, shape, &Load::plain(&sources), &dy, &mut dw, Some(&mut sums));
            let expected = naive::conv_weight_gradient(shape, &wide(&x), &wide(&dy));
            assert_near(&dw, &expected.iter().map(|dw| 1.0 + dw).collect::<Vec<_>>(), pixels);
            let mut expected = vec![0.0; sums.len()];
            for (i, dy) in wide(&dy).iter().enumerate() {
                expected[i / (shape.h * shape.w * shape.cout) * shape.cout + i % shape.cout] += dy;
            }
            assert_near(&sums, &expected, shape.h * shape.w);
        }
    }
}

/// Everything that a convolution gives for a batch that is cut at `cuts`, gradients of weights added up.
fn all(pool: &mut Pool, shape: Conv, cuts: &[usize]) -> Vec<f32> {
    let per = shape.h * shape.w;
    let (x, dy) = (numbers(shape.n * per * shape.cin, 1), numbers(shape.n * per * shape.cout, 2));
    let weights = numbers(shape.taps * shape.cin * shape.cout, 3);
    let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
    let (mut dw, mut pixel_sums) = (vec![0.0; weights.len()], vec![0.0; shape.n * shape.cout]);
    let mut numbers = vec![f32::NAN; Sums::len(pool.level(), shape.cin, shape.cout)];
    let mut samples = 0;
    for ends in cuts.windows(2) {
        let part = Conv { n: ends[1] - ends[0], ..shape };
        let [of_x, of_y] =
            [shape.cin, shape.cout].map(|channels| ends[0] * per * channels..ends[1] * per * channels);
        let sources = [Source { x: (&x[of_x.clone()]).into(), channels: shape.cin }];
        let gradients = [Source { x: (&dy[of_y.clone()]).into(), channels: shape.cout }];
        let (load, plain) = (Load { silu: true, ..Load::plain(&sources) }, Store::plain());
        conv(pool, part, &load, &weights, &plain, &mut y[of_y]);
        conv_input_gradient(pool, part, &Load::plain(&gradients), &weights, &plain, &mut dx[of_x]);
        let pixel_sums = Some(&mut pixel_sums[ends[0] * shape.cout..ends[1] * shape.cout]);
        if transformed::suits(shape) && part.n < shape.n {
            let sums = Sums { numbers: &mut numbers, samples: &mut samples };
            let to = if ends[1] < shape.n { To::Sums(sums) } else { To::Last(sums, &mut dw) };
            transformed::add_samples(pool, part, &load, gradients[0].x, to, pixel_sums);
        } else {
            conv_weight_gradient(pool, part, &load, gradients[0].x, &mut dw, pixel_sums);
        }
    }
    assert_eq!(samples, 0, "sums are left");
    [y, dx, dw, pixel_sums].concat()
}

#[test]
fn neither_threads_nor_the_batch_split_change_a_bit_of_a_convolution() {
    let shapes = [
        [7, 16, 16, 17, 16, 9],
        [7, 8, 8, 40, 72, 9],
        [7, 8, 8, 16, 8, 9],
        [7, 4, 4, 40, 72, 9],
        [7, 2, 3, 33, 65, 9],
        [7, 8, 8, 40, 40, 1],
        [7, 4, 4, 40, 40, 1],
        [7, 8, 8, 40, 3, 9],
        [7, 3, 3, 40, 12, 9],
        [7, 8, 8, 3, 40, 9],
    ];
    for shape in shapes {
        Level::available().for_each(|level| expect_bits_of_the_whole(level, shape));
    }
}

#[test]
fn nor_do_they_where_there_are_many_weights() {
    // by Winograd's algorithm and directly
    for shape in [[7, 13, 13, 182, 184, 9], [7, 4, 4, 182, 184, 9]] {
        expect_bits_of_the_whole(Level::detect(), shape);
    }
}

#[test]
fn nor_do_they_where_samples_are_summed_in_strands() {
    let shape = [70, 3, 5, 40, 16, 9];
    Level::available().for_each(|level| expect_bits_of_the_whole(level, shape));
}

fn expect_bits_of_the_whole(level: Level, [n, h, w, cin, cout, taps]: [usize; 6]) {
    let shape = Conv { n, h, w, cin, cout, taps };
    let whole = all(&mut Pool::with_level(1, level), shape, &[0, n]);
    let single: Vec<usize> = (0..=n).collect();
    for threads in 1..=3 {
        for cuts in [&[0, n][..], &single, &[0, n / 7 * 3, n / 7 * 6, n]] {
            let parts = all(&mut Pool::with_level(threads, level), shape, cuts);
            assert_same_bits(&whole, &parts, &format!("{shape:?} {level:?} {threads} threads {cuts:?}"));
        }
    }
}

#[test]
fn an_image_too_large_for_the_cache_is_computed_in_bands() {
    let shape = Conv { n: 1, h: 48, w: 64, cin: 160, cout: 4, taps: 9 };
    let (x, weights) = (numbers(48 * 64 * 160, 1), numbers(9 * 160 * 4, 2));
    let sources = [Source { x: (&x).into(), channels: 160 }];
    let mut results = [1, 2, 3].map(|threads| {
        let mut y = vec![f32::NAN; 48 * 64 * 4];
        conv(&mut Pool::new(threads), shape, &Load::plain(&sources), &weights, &Store::plain(), &mut y);
        y
    });
    let [one, two, three] = &mut results;
    assert_same_bits(one, two, "two threads");
    assert_same_bits(one, three, "three threads");
    assert_near(one, &naive::conv(shape, &wide(&x), &wide(&weights)), 9 * 160);
}

#[test]
fn statistics_made_with_a_convolution_have_the_bits_of_those_made_of_its_result() {
    // tasks of whole samples, bands of one, parts of the channels, one tap
    let shapes = [
        [7, 8, 8, 16, 32, 9],
        [2, 64, 64, 64, 16, 9],
        [1, 4, 4, 16, 128, 9],
        [7, 5, 3, 8, 16, 9],
        [7, 8, 8, 40, 40, 1],
    ];
    for [n, h, w, cin, cout, taps] in shapes {
        let shape = Conv { n, h, w, cin, cout, taps };
        let (x, weights) = (numbers(n * h * w * cin, 1), numbers(taps * cin * cout, 2));
        let sources = [Source { x: (&x).into(), channels: cin }];
        for level in mollify_cpu::Level::available() {
            for threads in 1..=3 {
                let mut pool = Pool::with_level(threads, level);
                let [mut made, mut expected] = [(); 2].map(|()| vec![f32::NAN; n * 8 * 2]);
                let mut y = vec![f32::NAN; n * h * w * cout];
                let store = Store { statistics: Some(Statistics::new(8, 1e-5, &mut made)), ..Store::plain() };
                conv(&mut pool, shape, &Load::plain(&sources), &weights, &store, &mut y);
                let written = [Source { x: (&y).into(), channels: cout }];
                group_stats(&mut pool, Norm { n, h, w, groups: 8 }, &written, 1e-5, &mut expected);
                assert_eq!(made, expected, "{shape:?}, {level:?}, {threads} threads");
            }
        }
    }
}
