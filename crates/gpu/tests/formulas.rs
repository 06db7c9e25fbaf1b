//! Formulas, folds, moves and random numbers beyond the operation table: large ones, by fours, in place, at the edges of
//! f32.

mod adapter;

use adapter::gpu;
use mollify_gpu::{Gpu, Mode};
use tensor::operation_table::{Input, Numbers, Row};
use tensor::{
    Array, Binary, Bindings, Device, Distribution, Dtype, Expr, Fold, Graph, Op, Outputs, Reference, Shape,
    Unary, Value, compile,
};

fn array(shape: impl Into<Shape>, numbers: impl IntoIterator<Item = f32>) -> Array {
    Array::new(shape, numbers.into_iter().collect::<Vec<f32>>())
}

fn noise(shape: impl Into<Shape>, seed: u64) -> Array {
    let shape = shape.into();
    let row = philox::Key { seed, stream: 0, step: 0 }.words();
    let numbers: Vec<f32> = (0..shape.len()).map(|i| philox::normal(row, i)).collect();
    Array::new(shape, numbers)
}

fn run(device: &dyn Device, graph: Graph, bindings: &Bindings) -> Outputs {
    device.run(&device.prepare(compile(graph)).unwrap(), bindings).unwrap()
}

fn real(shape: impl Into<Shape>) -> Input {
    Input { shape: shape.into(), numbers: Numbers::Signed }
}

/// The numbers of the only input's formula `y`, on a device.
fn formula(device: &dyn Device, expr: &Expr, x: &Array) -> Array {
    let mut graph = Graph::new();
    let input = graph.input("x", x.shape.clone());
    let y = graph.push(Op::Map { expr: expr.clone() }, &[input], None);
    graph.output("y", y);
    let bindings = Bindings::new().tensor("x", &device.upload(x).unwrap());
    device.download(&run(device, graph, &bindings).take("y").unwrap()).unwrap()
}

fn agrees(row: &Row, gpu: &Gpu) {
    let expected = row.run(&Reference).unwrap();
    for ((name, found), (_, expected)) in row.run(gpu).unwrap().iter().zip(&expected) {
        assert_eq!(found.shape, expected.shape);
        let (found, expected) = (found.f64s(), expected.f64s());
        let rms = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64).sqrt().max(1e-6);
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (found - expected).abs() / rms;
            assert!(error <= 2e-5, "`{name}` of {}: {found} instead of {expected} at {at}", row.name);
        }
    }
}

#[test]
fn functions_are_right_to_a_few_ulp() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let x = || Expr::Input(0);
    let spread = |from: f32, to: f32| (0..4003).map(move |i| from + (to - from) * i as f32 / 4002.0);
    // (formula, where it is tried, ulps of the result, or of 1 for small ones)
    let cases: [(Expr, f32, f32, f64); 8] = [
        (x().exp(), -87.0, 88.5, 4.0),
        (x().ln(), 1e-6, 3.0, 4.0),
        (x().ln(), 1e-30, 1e30, 4.0),
        (x().sin(), -30.0, 30.0, 4.0),
        (x().cos(), -5000.0, 5000.0, 4.0),
        (x().unary(Unary::Sigmoid), -30.0, 30.0, 8.0),
        (x().silu(), -20.0, 20.0, 8.0),
        (x().sqrt(), 0.0, 1e6, 4.0),
    ];
    for (expr, from, to, ulps) in cases {
        let bounded = matches!(expr, Expr::Unary(Unary::Sin | Unary::Cos, _));
        let x = array([4003], spread(from, to));
        let found = formula(&gpu, &expr, &x).f64s();
        for (x, found) in x.f64s().into_iter().zip(found) {
            let expected = expr.evaluate(&[x]);
            let unit = if bounded { 1.0 } else { expected.abs().max(f64::from(f32::MIN_POSITIVE)) };
            let error = (found - expected).abs() / (unit * f64::from(f32::EPSILON));
            assert!(error <= ulps, "{expr} of {x}: {found:e} instead of {expected:e}, {error:.1} ulp");
        }
    }
}

#[test]
fn numbers_that_are_not_finite_are_told_apart() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let x = array([8], [1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN, f32::MAX, 0.0, -0.0]);
    let of = |expr: Expr| formula(&gpu, &expr, &x).f32s();
    assert_eq!(of(Expr::Input(0).unary(Unary::IsFinite)), [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    assert_eq!(of(Expr::Input(0).unary(Unary::IsNan)), [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    let exp = of(Expr::Input(0).exp());
    assert_eq!(exp[1..3], [f32::INFINITY, 0.0]);
    assert!(exp[3].is_nan());
    let ln = of(Expr::Input(0).ln());
    assert_eq!([ln[1], ln[6]], [f32::INFINITY, f32::NEG_INFINITY]);
    assert!(ln[2].is_nan() && ln[3].is_nan());
    let infinite = Expr::select(Expr::Input(0).binary(Binary::Less, 2.0), f64::INFINITY, 0.5);
    assert_eq!(of(infinite)[..2], [f32::INFINITY, 0.5]);
}

#[test]
fn broadcasts_by_fours_agree_with_the_reference() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let shapes: [&[usize]; 8] = [
        &[2, 3, 5, 8],
        &[8],
        &[2, 1, 1, 8],
        &[2, 1, 1, 1],
        &[3, 1, 1],
        &[1, 1, 5, 8],
        &[5, 1],
        &[2, 3, 1, 8],
    ];
    for count in 2..=8 {
        let row = Row::new(
            format!("{count} shapes"),
            shapes[..count].iter().map(|shape| real(*shape)).collect::<Vec<_>>(),
            {
                move |graph: &mut Graph, v: &[Value]| {
                    graph.map(v, |x| (1..count).fold(x(0), |sum, i| sum + x(i) * (0.5 + i as f64)))
                }
            },
        );
        agrees(&row, &gpu);
    }
    // Runs of a multiple of four that are no last axis, and operands that stay along them.
    let row = Row::new("samples", [real([3, 2, 2, 1]), real([3, 1, 1, 1])], |graph, v| graph.mul(v[0], v[1]));
    agrees(&row, &gpu);
}

#[test]
fn large_folds_agree_with_the_reference() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let cases: [(&[usize], &[usize]); 8] = [
        (&[3, 40_000], &[1]),
        (&[2, 20_001], &[1]),
        (&[3, 2500, 12], &[1]),
        (&[2, 2500, 5], &[1]),
        (&[200_000], &[0]),
        (&[5, 3, 4001], &[0, 2]),
        (&[300, 2, 8], &[0]),
        (&[2, 33, 70, 100], &[1, 2]),
    ];
    for (shape, axes) in cases {
        for by in [Fold::Sum, Fold::Mean, Fold::Max, Fold::LogSumExp] {
            let axes = axes.to_vec();
            let row =
                Row::new(format!("{by:?} over {axes:?} of {shape:?}"), [real(shape)], move |graph, v| {
                    let shifted = graph.map(&[v[0]], |v| v(0) * 3.0 + 1.0);
                    graph.reduce(by, shifted, &axes)
                });
            agrees(&row, &gpu);
        }
    }
}

#[test]
fn a_log_of_a_sum_may_be_of_zeros() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let mut graph = Graph::new();
    let x = graph.input("x", [3, 4]);
    let y = graph.reduce(Fold::LogSumExp, x, &[1]);
    graph.output("y", y);
    let least = f32::NEG_INFINITY;
    let numbers = [1000.0, least, 1000.0, least, least, least, least, least, -2.0, least, least, least];
    let bindings = Bindings::new().tensor("x", &gpu.upload(&array([3, 4], numbers)).unwrap());
    let y = gpu.download(&run(&gpu, graph, &bindings).take("y").unwrap()).unwrap().f32s();
    assert!((y[0] - 1000.6931).abs() < 1e-3, "{}", y[0]);
    assert_eq!(y[1..], [least, -2.0]);
}

/// Several formulas stored over their own inputs, with numbers that come with the run: len 12 goes by fours.
fn stored(device: &dyn Device, len: usize) -> Vec<Vec<f64>> {
    let mut graph = Graph::new();
    let [p, m, g] = ["p", "m", "g"].map(|name| graph.input(name, [len]));
    let rate = graph.scalar("rate");
    let new_m = graph.map(&[m, g], |v| v(0) + (v(1) - v(0)) * 0.1);
    let new_p = graph.map(&[p, new_m, rate], |v| v(0) - v(2) * v(1));
    let zero = graph.map(&[g], |_| Expr::Constant(0.0));
    for (input, value) in [(p, new_p), (m, new_m), (g, zero)] {
        graph.store(input, 0, value);
    }
    let tensors = [1, 2, 3].map(|seed| device.upload(&noise([len], seed)).unwrap());
    let bindings = ["p", "m", "g"]
        .iter()
        .zip(&tensors)
        .fold(Bindings::new().scalar("rate", 0.25), |bindings, (name, tensor)| bindings.tensor(name, tensor));
    run(device, graph, &bindings);
    tensors.iter().map(|tensor| device.download(tensor).unwrap().f64s()).collect()
}

#[test]
fn formulas_are_stored_over_their_inputs() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    for len in [12, 7] {
        for (found, expected) in
            stored(&gpu, len).into_iter().flatten().zip(stored(&Reference, len).into_iter().flatten())
        {
            assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
        }
    }
}

#[test]
fn parts_of_a_tensor_are_read_before_they_are_overwritten() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let mut graph = Graph::new();
    let arena = graph.input("arena", [3000]);
    let from = graph.window(arena, 0, [2999]);
    graph.store(arena, 1, from);
    let numbers = noise([3000], 5);
    let tensor = gpu.upload(&numbers).unwrap();
    run(&gpu, graph, &Bindings::new().tensor("arena", &tensor));
    let (before, after) = (numbers.f32s(), gpu.download(&tensor).unwrap().f32s());
    assert_eq!(after[0], before[0]);
    assert_eq!(after[1..], before[..2999]);
}

#[test]
fn sums_over_samples_have_the_same_bits_in_parts() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    for width in [8, 5, 1] {
        let sum = |parts: &[usize]| {
            let x = gpu.upload(&noise([7, width], 9)).unwrap();
            let to = gpu.upload(&noise([width], 10)).unwrap();
            let mut start = 0;
            for n in parts {
                let mut graph = Graph::new();
                let (x_part, total) = (graph.input("x", [*n, width]), graph.input("to", [width]));
                let squares = graph.map(&[x_part], |v| v(0).square());
                let squares = graph.sum(squares, &[0]);
                graph.accumulate(total, 0, squares);
                let bindings = Bindings::new().tensor("x", &x.rows(start..start + n)).tensor("to", &to);
                run(&gpu, graph, &bindings);
                start += n;
            }
            gpu.download(&to).unwrap().f32s()
        };
        let whole = sum(&[7]);
        assert_eq!(sum(&[1, 4, 2]), whole);
        let x = noise([7, width], 9).f32s();
        let first = (0..7).fold(noise([width], 10).f32s()[0], |sum, n| sum + x[n * width] * x[n * width]);
        assert!((whole[0] - first).abs() <= 1e-5 * first.abs(), "{} instead of {first}", whole[0]);
    }
}

#[test]
fn samples_from_any_row_on_are_read_right() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let x = noise([9], 11);
    let tensor = gpu.upload(&x).unwrap();
    let mut graph = Graph::new();
    let input = graph.input("x", [4]);
    let y = graph.scale(input, 2.0);
    graph.output("y", y);
    let y = run(&gpu, graph, &Bindings::new().tensor("x", &tensor.rows(3..7))).take("y").unwrap();
    let expected: Vec<f32> = x.f32s()[3..7].iter().map(|x| 2.0 * x).collect();
    assert_eq!(gpu.download(&y).unwrap().f32s(), expected);
}

#[test]
fn moves_by_fours_agree_with_the_reference() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let widths = [8, 4, 12, 4, 16];
    let inputs: Vec<Input> = widths.iter().map(|width| real([2, 3, *width])).collect();
    agrees(&Row::new("concat of five", inputs, |graph, v| graph.concat(v, 2)), &gpu);
    agrees(&Row::new("slice", [real([2, 3, 20])], |graph, v| graph.slice(v[0], 2, 4..16)), &gpu);
    agrees(&Row::new("slice off a four", [real([2, 3, 20])], |graph, v| graph.slice(v[0], 2, 6..18)), &gpu);
    agrees(
        &Row::new("pad", [real([2, 3, 4, 8])], |graph, v| graph.pad(v[0], &[(0, 0), (1, 1), (2, 0), (0, 0)])),
        &gpu,
    );
    agrees(
        &Row::new("pad samples", [real([2, 3, 8])], |graph, v| graph.pad(v[0], &[(1, 2), (0, 0), (4, 0)])),
        &gpu,
    );
    agrees(
        &Row::new("turn rows", [real([2, 3, 5, 8])], |graph, v| graph.transpose(v[0], &[2, 0, 1, 3])),
        &gpu,
    );
}

#[test]
fn random_numbers_are_those_of_philox() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let rows: Vec<philox::Row> =
        (0..3).map(|seed| philox::Key { seed, stream: 4, step: 7 << 33 }.words()).collect();
    let keys = gpu.upload(&Array::new([3, 4], rows.concat())).unwrap();
    for width in [1024, 1027, 3] {
        let draw = |distribution, lane| {
            let mut graph = Graph::new();
            let keys_value = graph.keys("keys", 3);
            let op = Op::Random { distribution, lane };
            let y = graph.push(op, &[keys_value], Some([3, width].into()));
            graph.output("y", y);
            let y = run(&gpu, graph, &Bindings::new().tensor("keys", &keys)).take("y").unwrap();
            gpu.download(&y).unwrap()
        };
        let element = |i: usize| (rows[i / width], i % width);
        let words = |i, lane| philox::lane_words(element(i).0, lane, (element(i).1 / 4) as u32);
        let bits = draw(Distribution::Bits, 5);
        assert_eq!(bits.dtype(), Dtype::Bits);
        let expected: Vec<u32> = (0..3 * width).map(|i| words(i, 5)[element(i).1 % 4]).collect();
        assert_eq!(bits, Array::new([3, width], expected));
        let uniform = draw(Distribution::Uniform, 0).f32s();
        assert!((0..3 * width).all(|i| uniform[i] == philox::uniform(element(i).0, element(i).1)));
        for (i, normal) in draw(Distribution::Normal, 0).f64s().into_iter().enumerate() {
            let expected = philox::normal_f64(element(i).0, element(i).1);
            assert!(
                (normal - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                "{normal} instead of {expected}"
            );
        }
    }
}

#[test]
fn formulas_over_places_of_their_own_are_stored_in_place() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let stored = |device: &dyn Device| {
        let mut graph = Graph::new();
        let (m, x) = (graph.input("m", [300]), graph.input("x", [3, 100]));
        for at in 0..3 {
            let rows = graph.slice(x, 0, at..at + 1);
            let squares = graph.matmul_transposed(rows, x);
            let own = graph.window(m, at * 100 + 3, [1, 3]);
            let mean = graph.map(&[own, squares], |v| v(0) * 0.5 + v(1));
            graph.store(m, at * 100 + 3, mean);
        }
        let tensor = device.upload(&noise([300], 1)).unwrap();
        let x = device.upload(&noise([3, 100], 2)).unwrap();
        run(device, graph, &Bindings::new().tensor("m", &tensor).tensor("x", &x));
        device.download(&tensor).unwrap().f64s()
    };
    let (found, expected) = (stored(&gpu), stored(&Reference));
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        // Sums of a hundred products that reach about a hundred: some ulp of 8e-6.
        assert!((found - expected).abs() < 1e-4, "{found} instead of {expected} at {at}");
    }
}
