use mollify_cpu::Pool;
use mollify_cpu::kernels::load::{Affine, Load, Source};
use mollify_cpu::kernels::norm::{
    Backward, Norm, PerChannel, SourceGradient, group_stats, load_images, norm_affine, norm_backward,
    norm_gradient, norm_sums,
};
use mollify_cpu::kernels::random::Dropout;

use crate::naive::{self, wide};
use crate::{assert_near, assert_same_bits, numbers, pools};

/// Channels of two sources; a group reaches over both.
const CHANNELS: [usize; 2] = [9, 15];
const C: usize = 24;
const GROUPS: usize = 4;
const EPS: f32 = 1e-5;

struct Case {
    norm: Norm,
    x: [Vec<f32>; 2],
    dy: Vec<f32>,
    gain: Vec<f32>,
    bias: Vec<f32>,
    keys: Vec<philox::Row>,
}

struct Results {
    stats: Vec<f32>,
    y: Vec<f32>,
    sums: Vec<f32>,
    dx: [Vec<f32>; 2],
}

fn case(n: usize) -> Case {
    let norm = Norm { n, h: 5, w: 6, groups: GROUPS };
    // far from zero, so that a variance in one pass would lose its digits
    let x = CHANNELS.map(|c| numbers(n * 30 * c, c as u32).iter().map(|x| 20.0 + x).collect());
    let keys = (0..n as u32).map(|i| [i, 5, 6, 7]).collect();
    Case { norm, x, dy: numbers(n * 30 * C, 1), gain: numbers(n * C, 2), bias: numbers(C, 3), keys }
}

/// Samples `first..first + n` of a case.
fn run(pool: &mut Pool, case: &Case, first: usize, n: usize) -> Results {
    let norm = Norm { n, ..case.norm };
    let part = |x: &[f32], len: usize| x[first * len..][..n * len].to_vec();
    let (x, y) = (&case.x, &case.dy);
    let x = [part(&x[0], 30 * CHANNELS[0]), part(&x[1], 30 * CHANNELS[1])];
    let sources = [
        Source { x: (&x[0]).into(), channels: CHANNELS[0] },
        Source { x: (&x[1]).into(), channels: CHANNELS[1] },
    ];
    let mut stats = vec![0.0; n * GROUPS * 2];
    group_stats(pool, norm, &sources, EPS, &mut stats);
    let (mut scale, mut shift) = (vec![0.0; n * C], vec![0.0; n * C]);
    let gain = part(&case.gain, C);
    norm_affine(norm, &stats, PerChannel::Own(&gain), PerChannel::Shared(&case.bias), &mut scale, &mut shift);
    let keys = &case.keys[first..][..n];
    let dropout = Some(Dropout { keys, lane: 2, threshold: philox::threshold(0.25), scale: 1.0 / 0.75 });
    let affine = Some(Affine { scale: &scale, shift: &shift });
    let load = Load { affine, silu: true, dropout, ..Load::plain(&sources) };
    let mut out = vec![0.0; n * 30 * C];
    load_images(pool, [n, 5, 6], &load, &mut out);
    let dy = part(y, 30 * C);
    let backward = Backward { norm, load, stats: &stats, dy: (&dy).into() };
    let mut sums = vec![0.0; n * 2 * C];
    norm_sums(pool, backward, &mut sums);
    let mut dx = [vec![0.0; x[0].len()], vec![0.0; x[1].len()]];
    let residual = vec![2.0; x[1].len()];
    let [a, b] = &mut dx;
    let first = SourceGradient { dx: a.into(), residual: None, scale: 1.0 };
    let second = SourceGradient { dx: b.into(), residual: Some((&residual).into()), scale: 0.5 };
    norm_gradient(pool, backward, &sums, vec![first, second]);
    let mut together = (vec![0.0; sums.len()], [vec![0.0; x[0].len()], vec![0.0; x[1].len()]]);
    let [a, b] = &mut together.1;
    let first = SourceGradient { dx: a.into(), residual: None, scale: 1.0 };
    let second = SourceGradient { dx: b.into(), residual: Some((&residual).into()), scale: 0.5 };
    norm_backward(pool, backward, &mut together.0, vec![first, second]);
    assert_same_bits(&together.0, &sums, "the sums of both in one");
    assert_same_bits(&together.1[0], &dx[0], "the first gradient of both in one");
    assert_same_bits(&together.1[1], &dx[1], "the second gradient of both in one");
    Results { stats, y: out, sums, dx }
}

/// The same in f64: x̂, y, and the gradient of Σ y · dy by the chain rule, element by element.
fn expected(case: &Case) -> [Vec<f64>; 5] {
    let n = case.norm.n;
    let joined: Vec<f64> = (0..n * 30 * C)
        .map(|i| {
            let (pixel, c) = (i / C, i % C);
            f64::from(if c < 9 { case.x[0][pixel * 9 + c] } else { case.x[1][pixel * 15 + c - 9] })
        })
        .collect();
    let group = |i: usize| i / (30 * C) * GROUPS + i % C / (C / GROUPS);
    let fold = |f: &dyn Fn(usize) -> f64| {
        let mut sums = vec![0.0; n * GROUPS];
        (0..joined.len()).for_each(|i| sums[group(i)] += f(i) / (30 * C / GROUPS) as f64);
        sums
    };
    let mean = fold(&|i| joined[i]);
    let variance = fold(&|i| (joined[i] - mean[group(i)]).powi(2));
    let rstd: Vec<f64> = variance.iter().map(|v| 1.0 / (v + f64::from(EPS)).sqrt()).collect();
    let hat = |i: usize| (joined[i] - mean[group(i)]) * rstd[group(i)];
    let gain = |i: usize| f64::from(case.gain[i / (30 * C) * C + i % C]);
    let z = |i: usize| hat(i) * gain(i) + f64::from(case.bias[i % C]);
    let kept = |i: usize| {
        let stays = naive::keeps(case.keys[i / (30 * C)], 2, i % (30 * C), philox::threshold(0.25));
        if stays { 1.0 / 0.75 } else { 0.0 }
    };
    let dz = |i: usize| f64::from(case.dy[i]) * kept(i) * naive::silu_gradient(z(i));
    let (first, second) = (fold(&|i| gain(i) * dz(i)), fold(&|i| gain(i) * dz(i) * hat(i)));
    let dx = |i: usize| rstd[group(i)] * (gain(i) * dz(i) - first[group(i)] - hat(i) * second[group(i)]);
    let mut sums = vec![0.0; n * 2 * C];
    for i in 0..joined.len() {
        let at = i / (30 * C) * 2 * C + i % C;
        sums[at] += dz(i);
        sums[at + C] += dz(i) * hat(i);
    }
    let stats = mean.iter().zip(&rstd).flat_map(|(mean, rstd)| [*mean, *rstd]).collect();
    let y = (0..joined.len()).map(|i| naive::silu(z(i)) * kept(i)).collect();
    let [a, b] = [0..9, 9..24].map(|channels| {
        (0..joined.len()).filter(|i| channels.contains(&(i % C))).map(dx).collect::<Vec<_>>()
    });
    [stats, y, sums, a, b.iter().map(|dx| (dx + 2.0) * 0.5).collect()]
}

#[test]
fn group_norm_and_its_gradients_follow_their_formulas() {
    let case = case(3);
    let [stats, y, sums, dx0, dx1] = expected(&case);
    // x is 20 ± 1: its own rounding is 20 to 40 times that of x - mean, hence the generous number of terms.
    let terms = 1000;
    for mut pool in pools() {
        let results = run(&mut pool, &case, 0, 3);
        assert_near(&results.stats, &stats, 30);
        assert_near(&results.y, &y, terms);
        assert_near(&results.sums, &sums, terms);
        assert_near(&results.dx[0], &dx0, terms);
        assert_near(&results.dx[1], &dx1, terms);
    }
}

#[test]
fn a_sample_of_group_norm_does_not_see_its_neighbours() {
    let case = case(7);
    for mut pool in pools() {
        let whole = run(&mut pool, &case, 0, 7);
        let parts = [(0, 3), (3, 1), (4, 3)].map(|(first, n)| run(&mut pool, &case, first, n));
        let joined =
            |f: &dyn Fn(&Results) -> &Vec<f32>| parts.iter().flat_map(f).copied().collect::<Vec<f32>>();
        assert_same_bits(&whole.stats, &joined(&|r| &r.stats), "statistics");
        assert_same_bits(&whole.y, &joined(&|r| &r.y), "images");
        assert_same_bits(&whole.sums, &joined(&|r| &r.sums), "sums");
        assert_same_bits(&whole.dx[0], &joined(&|r| &r.dx[0]), "first gradient");
        assert_same_bits(&whole.dx[1], &joined(&|r| &r.dx[1]), "second gradient");
    }
}

#[test]
fn a_large_mean_does_not_spoil_the_variance() {
    let x: Vec<f32> = numbers(2 * 64 * 8, 1).iter().map(|x| 1000.0 + x).collect();
    let norm = Norm { n: 2, h: 8, w: 8, groups: 2 };
    for mut pool in pools() {
        let mut stats = vec![0.0; 8];
        group_stats(&mut pool, norm, &[Source { x: (&x).into(), channels: 8 }], 0.0, &mut stats);
        for (i, group) in stats.chunks(2).enumerate() {
            let members = (0..x.len()).filter(|j| j / 512 == i / 2 && j % 8 / 4 == i % 2);
            let values: Vec<f64> = members.map(|j| wide(&x[j..j + 1])[0]).collect();
            let mean = values.iter().sum::<f64>() / 256.0;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 256.0;
            assert!((f64::from(group[0]) - mean).abs() < 1e-3, "mean {} instead of {mean}", group[0]);
            let rstd = 1.0 / variance.sqrt();
            assert!((f64::from(group[1]) / rstd - 1.0).abs() < 1e-5, "1/std {} instead of {rstd}", group[1]);
        }
    }
}
