//! Products, convolutions and their gradients at every size of tile, in groups of samples, and by matrix units.

mod adapter;

use adapter::gpu;
use mollify_gpu::self_test::{difference, graph, results};
use mollify_gpu::{Mode, Offer, Paper};
use tensor::operation_table::output_names;
use tensor::{Array, Bindings, Device, Graph, Op, Reference, Value, compile, gradients};

fn noise(seed: u64, shape: &[usize]) -> Array {
    let row = philox::Key { seed, stream: 0, step: 0 }.words();
    let len: usize = shape.iter().product();
    Array::new(shape.to_vec(), (0..len).map(|i| philox::normal(row, i)).collect::<Vec<f32>>())
}

/// Binds noise to every input of a graph that has no array yet; what is handed out, in the order of its names.
fn run(device: &dyn Device, graph: Graph, mut bindings: Bindings) -> Vec<Vec<f64>> {
    for (at, value) in graph.values().enumerate() {
        if let Op::Input { name } = &graph.operation(value).op
            && bindings.expect(name, graph.shape(value), tensor::Dtype::Real).is_err()
        {
            bindings = bindings.tensor(name, &device.upload(&noise(at as u64, graph.shape(value))).unwrap());
        }
    }
    let names: Vec<String> = output_names(&graph).map(str::to_owned).collect();
    let mut outputs = device.run(&device.prepare(compile(graph)).unwrap(), &bindings).unwrap();
    names.iter().map(|name| device.download(&outputs.take(name).unwrap()).unwrap().f64s()).collect()
}

fn expect_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let rms = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64).sqrt();
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs() / rms;
        // Comparing this way round lets NaN count.
        assert!(error <= 2e-5, "{what}: element {at} is {found}, expected {expected}");
    }
}

fn sum_of_squares(graph: &mut Graph, value: Value) -> Value {
    let squares = graph.map(&[value], |v| v(0).square());
    let axes: Vec<usize> = (0..graph.shape(value).rank()).collect();
    let sum = graph.sum(squares, &axes);
    graph.reshape(sum, [1])
}

fn convolved(cin: usize, cout: usize) -> Graph {
    let mut graph = Graph::new();
    let (x, w) = (graph.input("x", [2, 9, 10, cin]), graph.input("w", [9, cin, cout]));
    let y = graph.conv(x, w, None);
    graph.output("y", y);
    let loss = sum_of_squares(&mut graph, y);
    for (i, gradient) in gradients(&mut graph, loss, &[x, w]).into_iter().enumerate() {
        graph.output(&format!("d{i}"), gradient.expect("the loss depends on it"));
    }
    graph
}

#[test]
fn every_size_of_tile_makes_the_convolutions_of_the_reference() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    // Channels that are few, fill a narrow tile, and fill a large one; by fours or not.
    for (cin, cout) in [(12, 124), (60, 12), (6, 61), (125, 3)] {
        let found = run(&gpu, convolved(cin, cout), Bindings::new());
        let expected = run(&Reference, convolved(cin, cout), Bindings::new());
        for (name, (found, expected)) in ["y", "dx", "dw"].iter().zip(found.iter().zip(&expected)) {
            expect_close(&format!("{name} of {cin} to {cout}"), found, expected);
        }
    }
}

/// Two convolutions of the same result, one with an embedding, and a layer; with the gradients of all parameters.
const PARAMETERS: [(&str, &[usize]); 6] =
    [("w0", &[9, 4, 8]), ("b0", &[8]), ("w1", &[1, 4, 8]), ("b1", &[8]), ("w2", &[6, 8]), ("b2", &[8])];

fn summed(n: usize) -> Graph {
    let mut graph = Graph::new();
    let (x, embedding) = (graph.input("x", [n, 3, 5, 4]), graph.input("embedding", [n, 6]));
    let [w0, b0, w1, b1, w2, b2] = PARAMETERS.map(|(name, shape)| graph.input(name, shape.to_vec()));
    let embedded = graph.linear(embedding, w2, Some(b2));
    let embedded = graph.reshape(embedded, [n, 1, 1, 8]);
    let h = graph.conv(x, w0, Some(b0));
    let h = graph.add(h, embedded);
    let skip = graph.conv(x, w1, Some(b1));
    let y = graph.add(h, skip);
    let loss = graph.map(&[y], |v| v(0).square());
    let loss = graph.sum(loss, &[1, 2, 3]);
    let loss = graph.sum(loss, &[0]);
    for (gradient, (name, shape)) in
        gradients(&mut graph, loss, &[w0, b0, w1, b1, w2, b2]).into_iter().zip(PARAMETERS)
    {
        let to = graph.input(&format!("d{name}"), shape.to_vec());
        graph.accumulate(to, 0, gradient.expect("the loss depends on it"));
    }
    graph
}

/// The gradients after a batch in parts.
fn accumulated(device: &dyn Device, parts: &[usize]) -> Vec<Vec<f64>> {
    let n = parts.iter().sum();
    let [x, embedding] = [(100, vec![n, 3, 5, 4]), (101, vec![n, 6])]
        .map(|(seed, shape)| device.upload(&noise(seed, &shape)).unwrap());
    let mut bindings = Bindings::new();
    let mut sums = Vec::new();
    for (at, (name, shape)) in PARAMETERS.iter().enumerate() {
        let sum = device.upload(&noise(at as u64, shape)).unwrap();
        let parameter = device.upload(&noise(10 + at as u64, shape)).unwrap();
        bindings = bindings.tensor(name, &parameter).tensor(&format!("d{name}"), &sum);
        sums.push(sum);
    }
    let mut start = 0;
    for part in parts {
        let rows = start..start + part;
        let bindings = bindings.clone().tensor("x", &x.rows(rows.clone()));
        run(device, summed(*part), bindings.tensor("embedding", &embedding.rows(rows)));
        start += part;
    }
    sums.iter().map(|sum| device.download(sum).unwrap().f64s()).collect()
}

#[test]
fn gradients_add_up_to_the_same_bits_in_parts_of_whole_groups() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let whole = accumulated(&gpu, &[39]);
    let expected = accumulated(&Reference, &[39]);
    for ((name, _), (found, expected)) in PARAMETERS.iter().zip(whole.iter().zip(&expected)) {
        expect_close(name, found, expected);
    }
    for parts in [&[16, 23][..], &[32, 7], &[16, 16, 7]] {
        assert_eq!(accumulated(&gpu, parts), whole, "{parts:?}");
    }
}

#[test]
fn the_gradient_of_a_bias_takes_no_dispatch_of_its_own() {
    let count = |of: &[&str]| {
        let mut graph = Graph::new();
        let x = graph.input("x", [4, 3, 5, 4]);
        let (w, b) = (graph.input("w", [9, 4, 8]), graph.input("b", [8]));
        let y = graph.conv(x, w, Some(b));
        let loss = sum_of_squares(&mut graph, y);
        let named: Vec<Value> = of.iter().map(|name| if *name == "w" { w } else { b }).collect();
        for (at, gradient) in gradients(&mut graph, loss, &named).into_iter().enumerate() {
            let gradient = gradient.expect("the loss depends on it");
            let to = graph.input(&format!("to{at}"), graph.shape(gradient).clone());
            graph.accumulate(to, 0, gradient);
        }
        let paper = Paper::new(Offer { largest_binding: 1 << 27, halves: false, cooperative: false });
        run(&paper, graph, Bindings::new());
        paper.counts().0
    };
    // Another tensor that is added to is another fold.
    assert_eq!(count(&["w", "b"]), count(&["w"]) + 1);
}

#[test]
fn gradients_in_halves_come_close() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let [found, expected] = [results(&gpu).unwrap(), results(&Reference).unwrap()];
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        let (found, expected) = (found.f64s(), expected.f64s());
        let square = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>();
        let error = square(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
        let error = (error / square(&mut expected.iter().copied())).sqrt();
        // A few roundings of 5e-4 between there and back.
        assert!(error <= 3e-3, "{name} is off by {error:.1e}");
    }
}

#[test]
fn the_self_test_tells_what_is_off() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let zeros = Paper::new(Offer { largest_binding: 1 << 30, halves: true, cooperative: true });
    assert_eq!(difference(&gpu, &gpu), Ok(None));
    let flaw = difference(&zeros, &gpu).unwrap().expect("zeros are wrong");
    assert!(flaw.starts_with("the gradient of images is off by"), "{flaw}");
}

#[test]
fn matrix_units_take_halves_through_valid_shaders() {
    let paper = Paper::new(Offer { largest_binding: 1 << 30, halves: true, cooperative: true });
    paper.prepare(compile(graph())).unwrap();
    let shaders = paper.shaders();
    let flaws: Vec<String> =
        shaders.iter().filter_map(|s| s.text().err()).map(|flaw| flaw.to_string()).collect();
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
    let names: Vec<&str> = shaders.iter().map(|shader| shader.source.name).collect();
    for name in ["conv_cooperative", "conv_weight_gradient_cooperative", "matmul_cooperative"] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
}
