use mollify_cpu::Level;
use mollify_cpu::kernels::elementwise::{Binary, Operand, Unary, binary, select, unary};
use mollify_cpu::kernels::random::{Distribution, fill, fill_bits};
use mollify_cpu::kernels::reduce::{Fold, add_rows, reduce};

use crate::naive;
use crate::{assert_near, assert_same_bits, numbers, pools};

/// How many steps of f32 lie between two numbers, or between one and a number in f64 rounded to f32.
fn ulps(actual: f32, expected: f64) -> u32 {
    let order = |x: f32| {
        if x.to_bits() >> 31 == 1 { -((x.to_bits() & 0x7fff_ffff) as i64) } else { x.to_bits() as i64 }
    };
    (order(actual) - order(expected as f32)).unsigned_abs() as u32
}

/// The largest distance in ulp over numbers from `low` to `high`.
fn worst(level: Level, op: Unary, [low, high]: [f64; 2], exact: impl Fn(f64) -> f64) -> u32 {
    let x: Vec<f32> = (0..20_011).map(|i| (low + (high - low) * f64::from(i) / 20_010.0) as f32).collect();
    let mut y = vec![0.0; x.len()];
    unary(level, op, &x, &mut y);
    x.iter().zip(y).map(|(x, y)| ulps(y, exact(f64::from(*x)))).max().unwrap()
}

#[test]
fn functions_of_one_number_are_right_to_a_few_ulp() {
    for level in Level::available() {
        let exact: [(Unary, [f64; 2], u32, fn(f64) -> f64); 12] = [
            (Unary::Exp, [-103.0, 88.7], 2, f64::exp),
            (Unary::Exp, [-1.0, 1.0], 2, f64::exp),
            (Unary::Ln, [1e-6, 4.0], 2, f64::ln),
            (Unary::Ln, [1e-42, 1e-38], 2, f64::ln),
            (Unary::Ln, [4.0, 3e38], 2, f64::ln),
            (Unary::Silu, [-20.0, 20.0], 4, naive::silu),
            (Unary::Sigmoid, [-20.0, 20.0], 4, |x| 1.0 / (1.0 + (-x).exp())),
            (Unary::Tanh, [-10.0, 10.0], 4, f64::tanh),
            (Unary::Sqrt, [0.0, 9.0], 0, f64::sqrt),
            (Unary::Recip, [0.1, 9.0], 0, |x| 1.0 / x),
            (Unary::Rsqrt, [0.1, 9.0], 1, |x| 1.0 / x.sqrt()),
            (Unary::Abs, [-1.0, 1.0], 0, f64::abs),
        ];
        for (op, range, limit, exact) in exact {
            let worst = worst(level, op, range, exact);
            assert!(worst <= limit, "{op:?} on {range:?} at {level:?} is {worst} ulp off");
        }
    }
}

#[test]
fn sine_and_cosine_are_right_to_a_few_ulp_of_one() {
    for level in Level::available() {
        let x: Vec<f32> = (-20_000..20_000).map(|i| i as f32 * 0.0537).collect();
        for (op, exact) in [(Unary::Sin, f64::sin as fn(f64) -> f64), (Unary::Cos, f64::cos)] {
            let mut y = vec![0.0; x.len()];
            unary(level, op, &x, &mut y);
            let errors = x.iter().zip(&y).map(|(x, y)| (f64::from(*y) - exact(f64::from(*x))).abs());
            let worst = errors.fold(0.0, f64::max);
            assert!(worst < 2.4e-7, "{op:?} at {level:?} is {worst} off");
        }
    }
}

#[test]
fn special_numbers_stay_what_they_are() {
    let [inf, nan] = [f32::INFINITY, f32::NAN];
    let x = [0.0, -0.0, inf, -inf, nan, -1.0, 200.0, -200.0];
    let cases: [(Unary, [f32; 8]); 6] = [
        (Unary::Exp, [1.0, 1.0, inf, 0.0, nan, 0.367_879_45, inf, 0.0]),
        (Unary::Ln, [-inf, -inf, inf, nan, nan, nan, 5.298_317_4, nan]),
        (Unary::Neg, [-0.0, 0.0, -inf, inf, nan, 1.0, -200.0, 200.0]),
        (Unary::Sigmoid, [0.5, 0.5, 1.0, 0.0, nan, 0.268_941_43, 1.0, 0.0]),
        (Unary::IsFinite, [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
        (Unary::IsNan, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]),
    ];
    for level in Level::available() {
        for (op, expected) in cases {
            let mut y = [9.0; 8];
            unary(level, op, &x, &mut y);
            for (i, (y, expected)) in y.iter().zip(expected).enumerate() {
                let same =
                    y.is_nan() == expected.is_nan() && (y.is_nan() || ulps(*y, f64::from(expected)) <= 1);
                assert!(same, "{op:?}({}) at {level:?} is {y} instead of {expected}", x[i]);
            }
        }
    }
}

#[test]
fn functions_of_two_numbers_take_blocks_and_single_numbers() {
    let (a, b) = (numbers(37, 1), numbers(37, 2));
    type Case = (Binary, fn(f32, f32) -> f32);
    let truth: [Case; 9] = [
        (Binary::Add, |a, b| a + b),
        (Binary::Sub, |a, b| a - b),
        (Binary::Mul, |a, b| a * b),
        (Binary::Div, |a, b| a / b),
        (Binary::Min, f32::min),
        (Binary::Max, f32::max),
        (Binary::Less, |a, b| f32::from(u8::from(a < b))),
        (Binary::LessEqual, |a, b| f32::from(u8::from(a <= b))),
        (Binary::Equal, |a, b| f32::from(u8::from(a == b))),
    ];
    for level in Level::available() {
        let mut out = vec![0.0; 37];
        for (op, exact) in truth {
            binary(level, op, Operand::Block(&a), Operand::Block(&b), &mut out);
            let expected: Vec<f32> = a.iter().zip(&b).map(|(a, b)| exact(*a, *b)).collect();
            assert_same_bits(&out, &expected, &format!("{op:?}"));
            binary(level, op, Operand::Number(a[3]), Operand::Block(&a), &mut out);
            let expected: Vec<f32> = a.iter().map(|b| exact(a[3], *b)).collect();
            assert_same_bits(&out, &expected, &format!("{op:?} of a number"));
        }
        let condition: Vec<f32> = (0..37).map(|i| (i % 3) as f32).collect();
        select(level, Operand::Block(&condition), Operand::Block(&a), Operand::Number(7.0), &mut out);
        let expected: Vec<f32> = (0..37).map(|i| if i % 3 == 0 { 7.0 } else { a[i] }).collect();
        assert_same_bits(&out, &expected, "select");
    }
}

#[test]
fn folds_of_first_middle_and_last_axes_follow_their_formulas() {
    for mut pool in pools() {
        for (outer, len, inner) in [(1, 9, 40), (3, 7, 5), (11, 100, 1), (2, 1, 1), (1, 1000, 1)] {
            let x: Vec<f32> = numbers(outer * len * inner, 1).iter().map(|x| x * 4.0).collect();
            for fold in [Fold::Sum, Fold::Mean, Fold::Max, Fold::LogSumExp] {
                let mut out = vec![f32::NAN; outer * inner];
                reduce(&mut pool, fold, [outer, len, inner], &x, &mut out);
                let element = |i: usize| {
                    let of = |j: usize| f64::from(x[(i / inner * len + j) * inner + i % inner]);
                    let values = (0..len).map(of);
                    match fold {
                        Fold::Sum => values.sum(),
                        Fold::Mean => values.sum::<f64>() / len as f64,
                        Fold::Max => values.fold(f64::NEG_INFINITY, f64::max),
                        Fold::LogSumExp => values.map(f64::exp).sum::<f64>().ln(),
                    }
                };
                // the terms of a sum are larger than the sum
                assert_near(&out, &(0..outer * inner).map(element).collect::<Vec<_>>(), 10 * len);
            }
        }
    }
}

#[test]
fn rows_that_are_added_in_parts_give_the_same_bits() {
    let x = numbers(7 * 300, 1);
    for mut pool in pools() {
        let mut run = |cuts: &[usize]| {
            let mut out = numbers(300, 2);
            cuts.windows(2)
                .for_each(|ends| add_rows(&mut pool, 300, &x[ends[0] * 300..ends[1] * 300], &mut out));
            out
        };
        let whole = run(&[0, 7]);
        assert_same_bits(&whole, &run(&[0, 1, 4, 7]), "parts");
        let expected =
            |i: usize| f64::from(numbers(300, 2)[i]) + (0..7).map(|r| f64::from(x[r * 300 + i])).sum::<f64>();
        assert_near(&whole, &(0..300).map(expected).collect::<Vec<_>>(), 10);
    }
}

#[test]
fn random_rows_are_those_of_philox() {
    let keys: [philox::Row; 3] = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9, 9]];
    for mut pool in pools() {
        for len in [1, 7, 64, 5001] {
            let (mut normal, mut uniform) = (vec![0.0; 3 * len], vec![0.0; 3 * len]);
            let mut bits = vec![0; 3 * len];
            fill(&mut pool, Distribution::Normal, &keys, len, &mut normal);
            fill(&mut pool, Distribution::Uniform, &keys, len, &mut uniform);
            fill_bits(&mut pool, &keys, len, &mut bits);
            for i in 0..3 * len {
                let (key, element) = (keys[i / len], i % len);
                assert_eq!(bits[i], philox::bits(key, element));
                assert_eq!(uniform[i], philox::uniform(key, element));
                let error = (f64::from(normal[i]) - philox::normal_f64(key, element)).abs();
                assert!(error < 4e-6, "normal {i} of {len}: {} is {error} off", normal[i]);
            }
        }
    }
}
