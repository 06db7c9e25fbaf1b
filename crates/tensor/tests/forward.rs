//! What the reference device computes, against formulas written another way.

use mollify_tensor::{
    Array, Bindings, Device, Distribution, Dropout, Fold, Graph, GroupNorm, Reference, Resample, Shape,
    Value, compile,
};

/// Numbers without a pattern.
fn numbers(shape: impl Into<Shape>) -> Array {
    let shape = shape.into();
    let wave = |at: usize| (1.7 * at as f64 + shape.rank() as f64).sin();
    Array::new(shape.clone(), (0..shape.len()).map(wave).collect::<Vec<f64>>())
}

/// The result of a graph on arrays, which are its inputs in order.
fn evaluate(arrays: &[&Array], build: impl Fn(&mut Graph, &[Value]) -> Value) -> Vec<f64> {
    let mut graph = Graph::new();
    let mut bindings = Bindings::new();
    let mut inputs = Vec::new();
    for (name, array) in ["a", "b", "c", "d"].into_iter().zip(arrays) {
        let keys = matches!(array.data, mollify_tensor::Data::U32(_));
        inputs.push(if keys {
            graph.keys(name, array.shape[0])
        } else {
            graph.input(name, array.shape.clone())
        });
        bindings = bindings.tensor(name, &Reference.upload(array).unwrap());
    }
    let y = build(&mut graph, &inputs);
    graph.output("y", y);
    let executable = Reference.prepare(compile(graph)).unwrap();
    let y = Reference.run(&executable, &bindings).unwrap().take("y").unwrap();
    Reference.download(&y).unwrap().f64s()
}

#[track_caller]
fn assert_close(is: &[f64], expected: &[f64]) {
    assert_eq!(is.len(), expected.len());
    for (is, expected) in is.iter().zip(expected) {
        assert!((is - expected).abs() < 1e-12, "{is}, expected {expected}");
    }
}

#[test]
fn a_convolution_adds_up_nine_shifted_products() {
    let (x, weight) = (numbers([2, 3, 4, 2]), numbers([9, 2, 3]));
    // The image in a frame of zeros, 5 x 6.
    let (xs, ws) = (x.f64s(), weight.f64s());
    let mut framed = vec![0.0; 2 * 5 * 6 * 2];
    for (at, x) in xs.iter().enumerate() {
        let (c, j, i, n) = (at % 2, at / 2 % 4, at / 8 % 3, at / 24);
        framed[((n * 5 + i + 1) * 6 + j + 1) * 2 + c] = *x;
    }
    let mut expected = vec![0.0; 2 * 3 * 4 * 3];
    for (at, y) in expected.iter_mut().enumerate() {
        let (o, j, i, n) = (at % 3, at / 3 % 4, at / 12 % 3, at / 36);
        for (row, column, c) in (0..18).map(|k| (k / 6, k / 2 % 3, k % 2)) {
            let pixel = framed[((n * 5 + i + row) * 6 + j + column) * 2 + c];
            *y += pixel * ws[((row * 3 + column) * 2 + c) * 3 + o];
        }
    }
    assert_close(&evaluate(&[&x, &weight], |graph, v| graph.conv(v[0], v[1], None)), &expected);
}

#[test]
fn a_convolution_with_one_tap_is_a_matrix_product() {
    let (x, weight) = (numbers([2, 3, 4, 2]), numbers([1, 2, 3]));
    let product = evaluate(&[&x, &weight], |graph, v| {
        let weight = graph.reshape(v[1], [2, 3]);
        graph.matmul(v[0], weight)
    });
    assert_close(&evaluate(&[&x, &weight], |graph, v| graph.conv(v[0], v[1], None)), &product);
}

#[test]
fn matrices_multiply_row_by_column() {
    let left = Array::new([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let right = Array::new([3, 2], vec![1.0, 0.0, -1.0, 2.0, 0.5, 1.0]);
    assert_close(&evaluate(&[&left, &right], |graph, v| graph.matmul(v[0], v[1])), &[0.5, 7.0, 2.0, 16.0]);
    let turned = evaluate(&[&left, &right], |graph, v| {
        let right = graph.transpose(v[1], &[1, 0]);
        graph.matmul_transposed(v[0], right)
    });
    assert_close(&turned, &[0.5, 7.0, 2.0, 16.0]);
}

#[test]
fn softmax_divides_exponentials_by_their_sum_and_survives_large_numbers() {
    let x = Array::new([2, 3], vec![0.0, 2.0_f64.ln(), 0.0, 1000.0, 1000.0, -1000.0]);
    let y = evaluate(&[&x], |graph, v| graph.softmax(v[0]));
    assert_close(&y, &[0.25, 0.5, 0.25, 0.5, 0.5, 0.0]);
    let folded = evaluate(&[&x], |graph, v| graph.reduce(Fold::LogSumExp, v[0], &[1]));
    assert_close(&folded, &[4.0_f64.ln(), 1000.0 + 2.0_f64.ln()]);
}

#[test]
fn group_norm_leaves_each_group_of_channels_with_mean_0_and_variance_1() {
    let (x, scale, shift) = (numbers([2, 3, 5, 6]), numbers([2, 6]), numbers([6]));
    let norm = GroupNorm { groups: 3, eps: 0.0, silu: false, dropout: None };
    let (one, zero) = (Array::new([6], vec![1.0; 6]), Array::new([6], vec![0.0; 6]));
    let plain = evaluate(&[&x, &one, &zero], |graph, v| graph.group_norm(v[0], v[1], v[2], norm));
    for (n, group) in (0..6).map(|at| (at / 3, at % 3)) {
        let of_group = |at: &usize| at / 90 == n && at % 6 / 2 == group;
        let members: Vec<f64> = (0..180).filter(of_group).map(|at| plain[at]).collect();
        let squares: Vec<f64> = members.iter().map(|x| x * x).collect();
        let mean = |of: &[f64]| of.iter().sum::<f64>() / 30.0;
        assert_close(&[mean(&members), mean(&squares)], &[0.0, 1.0]);
        assert!(members.iter().zip(&x.f64s()).any(|(y, x)| y != x));
    }
    let silu = |z: f64| z / (1.0 + (-z).exp());
    let (scales, shifts) = (scale.f64s(), shift.f64s());
    let adapted = |(at, x): (usize, &f64)| silu(x * scales[at / 90 * 6 + at % 6] + shifts[at % 6]);
    let expected: Vec<f64> = plain.iter().enumerate().map(adapted).collect();
    let norm = GroupNorm { silu: true, ..norm };
    assert_close(
        &evaluate(&[&x, &scale, &shift], |graph, v| graph.group_norm(v[0], v[1], v[2], norm)),
        &expected,
    );
}

#[test]
fn attention_is_two_products_around_a_softmax_for_each_head() {
    let qkv = numbers([2, 5, 18]);
    let expected = evaluate(&[&qkv], |graph, v| {
        let head = |graph: &mut Graph, first: usize| {
            let [q, k, value] = [0, 6, 12].map(|part| graph.slice(v[0], 2, part + first..part + first + 3));
            let scores = graph.matmul_transposed(q, k);
            let scores = graph.scale(scores, 1.0 / 3.0_f64.sqrt());
            let weights = graph.softmax(scores);
            graph.matmul(weights, value)
        };
        let heads = [head(graph, 0), head(graph, 3)];
        graph.concat(&heads, 2)
    });
    assert_close(&evaluate(&[&qkv], |graph, v| graph.attention(v[0], 2)), &expected);
}

#[test]
fn resampling_spreads_a_pixel_over_the_filter_and_averages_it_back() {
    let pixel = Array::new([1, 1, 1, 1], vec![64.0]);
    let up = Resample::up(&[1.0, 3.0, 3.0, 1.0]);
    let spread = evaluate(&[&pixel], |graph, v| graph.resample(v[0], up.clone().with_padding(0)));
    let taps = [1.0, 3.0, 3.0, 1.0];
    let expected: Vec<f64> = (0..16).map(|at| 4.0 * taps[at / 4] * taps[at % 4]).collect();
    assert_close(&spread, &expected);
    let twice = evaluate(&[&pixel], |graph, v| graph.resample(v[0], Resample::up(&[1.0, 1.0])));
    assert_close(&twice, &[64.0; 4]);
    let image = Array::new([1, 2, 2, 1], vec![1.0, 2.0, 3.0, 6.0]);
    assert_close(&evaluate(&[&image], |graph, v| graph.resample(v[0], Resample::down(&[1.0, 1.0]))), &[3.0]);
}

#[test]
fn random_numbers_depend_on_the_key_of_their_sample_alone() {
    let keys: Vec<u32> = (0..12).map(|at| at * 77 + 5).collect();
    let draw = |keys: &[u32], lane| {
        let n = keys.len() / 4;
        let keys = Array::new([n, 4], keys.to_vec());
        evaluate(&[&keys], |graph, v| graph.random(Distribution::Normal, v[0], lane, [n, 5]))
    };
    let together = draw(&keys, 0);
    assert_eq!(together[5..10], draw(&keys[4..8], 0));
    assert_ne!(together, draw(&keys, 1));
    let row = [keys[8], keys[9], keys[10], keys[11]];
    assert_eq!(together[10..], [0, 1, 2, 3, 4].map(|element| philox::normal_f64(row, element)));
}

#[test]
fn dropout_zeroes_a_share_of_the_elements_and_keeps_the_mean() {
    let (one, zero) = (Array::new([4], vec![0.0; 4]), Array::new([4], vec![1.0; 4]));
    let x = numbers([2, 50, 20, 4]);
    let keys = Array::new([2, 4], vec![1_u32, 2, 3, 4, 5, 6, 7, 8]);
    let draw = |lane| {
        evaluate(&[&x, &one, &zero, &keys], |graph, v| {
            let dropout = Some((Dropout { p: 0.25, lane }, v[3]));
            graph.group_norm(v[0], v[1], v[2], GroupNorm { groups: 1, eps: 1e-6, silu: false, dropout })
        })
    };
    let y = draw(0);
    assert!(y.iter().all(|y| *y == 0.0 || (y - 4.0 / 3.0).abs() < 1e-12));
    let dropped = y.iter().filter(|y| **y == 0.0).count() as f64 / y.len() as f64;
    assert!((dropped - 0.25).abs() < 0.02, "{dropped} dropped");
    assert_ne!(y, draw(1));
}

#[test]
fn stores_happen_after_all_reads_and_sums_are_added_in_place() {
    let mut graph = Graph::new();
    let (a, b, sum) = (graph.input("a", [3]), graph.input("b", [3]), graph.input("sum", [4]));
    let head = graph.window(a, 0, [2]);
    graph.store(a, 0, b);
    graph.store(b, 1, head);
    graph.accumulate(sum, 2, head);
    graph.output("old", a);
    let executable = Reference.prepare(compile(graph)).unwrap();
    let [a, b, sum] = [vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0], vec![1.0; 4]]
        .map(|values| Reference.upload(&Array::new([values.len()], values)).unwrap());
    let bindings = Bindings::new().tensor("a", &a).tensor("b", &b).tensor("sum", &sum);
    let old = Reference.run(&executable, &bindings).unwrap().take("old").unwrap();
    let read = |tensor| Reference.download(tensor).unwrap().f64s();
    assert_eq!(read(&old), [1.0, 2.0, 3.0]);
    assert_eq!(read(&a), [4.0, 5.0, 6.0]);
    assert_eq!(read(&b), [4.0, 1.0, 2.0]);
    assert_eq!(read(&sum), [1.0, 1.0, 2.0, 3.0]);
}

#[test]
fn what_is_uploaded_comes_back_exactly_whole_or_in_rows() {
    let array = Array::new([3, 2], vec![0.1, 1.0 / 3.0, 1e-300, -0.0, 5.0, f64::INFINITY]);
    let tensor = Reference.upload(&array).unwrap();
    assert_eq!(Reference.download(&tensor).unwrap(), array);
    assert_eq!(Reference.download(&tensor.rows(1..2)).unwrap(), Array::new([1, 2], vec![1e-300, -0.0]));
}

#[test]
fn a_missing_or_misshapen_tensor_is_an_error_that_names_it() {
    let mut graph = Graph::new();
    let x = graph.input("x", [2]);
    let y = graph.silu(x);
    graph.output("y", y);
    let executable = Reference.prepare(compile(graph)).unwrap();
    let error = |bindings| Reference.run(&executable, &bindings).unwrap_err().to_string();
    assert_eq!(error(Bindings::new()), "no tensor is bound to `x`");
    let wrong = Reference.upload(&numbers([3])).unwrap();
    assert_eq!(error(Bindings::new().tensor("x", &wrong)), "`x` is [3] Real, expected [2] Real");
}
