use mollify_cpu::kernels::math;
use mollify_cpu::kernels::numbers::{Numbers, NumbersMut};
use mollify_cpu::kernels::random::{Distribution, fill, fill_bits};
use mollify_cpu::{Kernel, Level, Simd};

use crate::{naive, pools};

#[derive(Clone, Copy, Debug)]
enum Function {
    Exp,
    Ln,
    Sin,
    Cos,
    Silu,
    SiluGradient,
    Sigmoid,
    IsFinite,
    IsNan,
}

/// A function applied to every number.
struct Apply<'a>(Function, &'a [f32]);

impl Kernel for Apply<'_> {
    type Output = Vec<f32>;

    fn run<S: Simd>(self, s: S) -> Vec<f32> {
        let mut out = vec![f32::NAN; self.1.len()];
        for i in (0..out.len()).step_by(S::LANES) {
            let x = s.read(self.1, i);
            let y = match self.0 {
                Function::Exp => math::exp(s, x),
                Function::Ln => math::ln(s, x),
                Function::Sin => math::sin_cos(s, x).0,
                Function::Cos => math::sin_cos(s, x).1,
                Function::Silu => math::silu(s, x),
                Function::SiluGradient => math::silu_gradient(s, x),
                Function::Sigmoid => math::sigmoid(s, x),
                Function::IsFinite => math::is_finite(s, x),
                Function::IsNan => math::is_nan(s, x),
            };
            s.write(&mut out, i, y);
        }
        out
    }
}

/// How many steps of f32 lie between a number and one in f64, rounded.
fn ulps(actual: f32, expected: f64) -> u64 {
    let order = |x: f32| {
        let magnitude = i64::from(x.to_bits() & 0x7fff_ffff);
        if x.is_sign_negative() { -magnitude } else { magnitude }
    };
    order(actual).abs_diff(order(expected as f32))
}

/// The largest distance in ulp over numbers from `low` to `high`.
fn worst(level: Level, function: Function, [low, high]: [f64; 2], exact: impl Fn(f64) -> f64) -> u64 {
    let x: Vec<f32> = (0..20_011).map(|i| (low + (high - low) * f64::from(i) / 20_010.0) as f32).collect();
    let y = level.run(Apply(function, &x));
    x.iter().zip(y).map(|(x, y)| ulps(y, exact(f64::from(*x)))).max().unwrap()
}

#[test]
fn functions_of_one_number_are_right_to_a_few_ulp() {
    type Case = (Function, [f64; 2], u64, fn(f64) -> f64);
    let cases: [Case; 7] = [
        (Function::Exp, [-103.0, 88.7], 2, f64::exp),
        (Function::Exp, [-1.0, 1.0], 2, f64::exp),
        (Function::Ln, [1e-6, 4.0], 2, f64::ln),
        (Function::Ln, [1e-42, 1e-38], 2, f64::ln),
        (Function::Ln, [4.0, 3e38], 2, f64::ln),
        (Function::Silu, [-20.0, 20.0], 4, naive::silu),
        (Function::Sigmoid, [-20.0, 20.0], 4, |x| 1.0 / (1.0 + (-x).exp())),
    ];
    for level in Level::available() {
        for (function, range, limit, exact) in cases {
            let worst = worst(level, function, range, exact);
            assert!(worst <= limit, "{function:?} on {range:?} at {level:?} is {worst} ulp off");
        }
    }
}

#[test]
fn functions_that_cross_zero_are_right_to_a_few_ulp_of_one() {
    let x: Vec<f32> = (-20_000..20_000).map(|i| i as f32 * 0.0537).collect();
    type Case = (Function, fn(f64) -> f64);
    let cases: [Case; 3] = [
        (Function::Sin, f64::sin),
        (Function::Cos, f64::cos),
        (Function::SiluGradient, naive::silu_gradient),
    ];
    for level in Level::available() {
        for (function, exact) in cases {
            let y = level.run(Apply(function, &x));
            let errors = x.iter().zip(&y).map(|(x, y)| (f64::from(*y) - exact(f64::from(*x))).abs());
            let worst = errors.fold(0.0, f64::max);
            assert!(worst < 2.4e-7, "{function:?} at {level:?} is {worst} off");
        }
    }
}

#[test]
fn special_numbers_stay_what_they_are() {
    let [inf, nan] = [f32::INFINITY, f32::NAN];
    const LEAST: f32 = 1.645_811_4e-38; // e^-87, where sigmoid stays
    let x = [0.0, -0.0, inf, -inf, nan, -1.0, 200.0, -200.0];
    let cases: [(Function, [f32; 8]); 5] = [
        (Function::Exp, [1.0, 1.0, inf, 0.0, nan, 0.367_879_45, inf, 0.0]),
        (Function::Ln, [-inf, -inf, inf, nan, nan, nan, 5.298_317_4, nan]),
        (Function::Sigmoid, [0.5, 0.5, 1.0, LEAST, nan, 0.268_941_43, 1.0, LEAST]),
        (Function::IsFinite, [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
        (Function::IsNan, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]),
    ];
    for level in Level::available() {
        for (function, expected) in cases {
            let y = level.run(Apply(function, &x));
            for (i, (y, expected)) in y.into_iter().zip(expected).enumerate() {
                let close =
                    y.is_nan() == expected.is_nan() && (y.is_nan() || ulps(y, f64::from(expected)) <= 1);
                assert!(close, "{function:?}({}) at {level:?} is {y} instead of {expected}", x[i]);
            }
        }
    }
}

#[test]
fn random_rows_are_those_of_philox() {
    let keys: [philox::Row; 3] = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9, 9]];
    for mut pool in pools() {
        for (lane, len) in [(0, 1), (1, 7), (2, 64), (0, 5001)] {
            let (mut normal, mut uniform) = (vec![0.0; 3 * len], vec![0.0; 3 * len]);
            let mut bits = vec![0; 3 * len];
            fill(&mut pool, Distribution::Normal, &keys, lane, &mut normal);
            fill(&mut pool, Distribution::Uniform, &keys, lane, &mut uniform);
            fill_bits(&mut pool, &keys, lane, &mut bits);
            for i in 0..3 * len {
                let (key, element) = (keys[i / len], i % len);
                let words = philox::lane_words(key, lane, (element / 4) as u32);
                assert_eq!(bits[i], words[element % 4]);
                assert_eq!(uniform[i], philox::unit(words[element % 4]));
                let error = (f64::from(normal[i]) - philox::normals_f64(words)[element % 4]).abs();
                assert!(error < 4e-6, "normal {i} of {len}: {} is {error} off", normal[i]);
            }
        }
    }
}

#[test]
fn sixteen_bits_hold_the_nearest_number_on_every_level() {
    let special = [0.0, -0.0, 1.0, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::NAN, 1e-40];
    // Between two numbers of 8 bits: to the even one, up or down.
    let between =
        [0x3f80_8000, 0x3f81_8000, 0xbf80_8000, 0x3f80_8001, 0x3f80_7fff, 0x7fff_ffff].map(f32::from_bits);
    let x: Vec<f32> = special.into_iter().chain(between).chain(crate::numbers(57, 1)).collect();
    for level in Level::available() {
        for len in [x.len(), 5] {
            let (mut halves, mut back) = (vec![0; len], vec![0.0; len]);
            Numbers::F32(&x[..len]).copy_to(level, NumbersMut::Bf16(&mut halves));
            Numbers::Bf16(&halves).copy_to(level, NumbersMut::F32(&mut back));
            for (i, (x, y)) in x.iter().zip(&back).enumerate() {
                assert_eq!(y.to_bits() & 0xffff, 0, "{level:?}");
                assert_eq!(x.is_nan(), y.is_nan(), "{level:?}: {x} became {y}");
                assert_eq!(Numbers::Bf16(&halves).get(i).to_bits(), y.to_bits());
                let mut single = [0];
                NumbersMut::Bf16(&mut single).set(0, *x);
                assert_eq!(single[0], halves[i], "{level:?}: {x} alone and in a vector");
                let below = f32::from_bits(x.to_bits() & !0xffff);
                let step = f64::from(f32::from_bits((x.to_bits() & !0xffff) + 0x1_0000)) - f64::from(below);
                if x.is_finite() && y.is_finite() {
                    assert!(
                        (f64::from(*y) - f64::from(*x)).abs() <= step.abs() / 2.0,
                        "{level:?}: {x} became {y}"
                    );
                }
            }
        }
    }
    let mut even = [0; 2];
    Numbers::F32(&between[..2]).copy_to(Level::Scalar, NumbersMut::Bf16(&mut even));
    assert_eq!(even, [0x3f80, 0x3f82]);
}
