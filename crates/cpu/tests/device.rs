//! The device against the reference interpreter: every operation, fused or not, at every level.

use mollify_cpu::{Cpu, Level};
use tensor::operation_table::rows;
use tensor::{Array, Bindings, Device, Graph, GroupNorm, Normalize, Op, Reference, Resample, compile};

/// The largest deviation, in units of the expected numbers' root mean square.
fn deviation(found: &Array, expected: &Array) -> f64 {
    assert_eq!(found.shape, expected.shape);
    let (found, expected) = (found.f64s(), expected.f64s());
    let rms = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64).sqrt().max(1e-6);
    found
        .iter()
        .zip(&expected)
        .map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() / rms })
        // NaN has to count.
        .fold(0.0, |most, next| if next <= most { most } else { next })
}

#[test]
fn every_operation_agrees_with_the_reference_on_every_level() {
    for level in Level::available() {
        let cpu = Cpu::with_level(2, level);
        for row in rows() {
            let expected = row.run(&Reference).unwrap();
            let found = row.run(&cpu).unwrap();
            assert_eq!(found.len(), expected.len());
            for ((name, found), (_, expected)) in found.iter().zip(&expected) {
                let error = deviation(found, expected);
                // 2e-5: a thousand roundings of 6e-8 at most, in random directions, and cancellation in norms.
                assert!(error <= 2e-5, "{level:?}: `{name}` of {} is off by {error:.1e}", row.name);
            }
        }
    }
}

#[test]
fn every_operation_in_halves_agrees_with_the_reference_on_every_level() {
    for level in Level::available() {
        let cpu = Cpu::with_level(2, level);
        for row in rows().into_iter().map(|row| row.in_halves()) {
            let expected = row.run(&Reference).unwrap();
            let found = row.run(&cpu).unwrap();
            // The terms of a loss cancel: what they are made of is compared.
            let compared = found.iter().zip(&expected).filter(|((name, _), _)| name != "loss");
            for ((name, found), (_, expected)) in compared {
                let error = deviation(found, expected);
                // A rounding to 8 bits is off by 2^-9 of a number at most; the largest numbers are some times their root
                // mean square, and inputs, results and gradients are rounded.
                assert!(error <= 4e-2, "{level:?}: `{name}` of {} is off by {error:.1e}", row.name);
            }
        }
    }
}

fn noise(seed: u64, shape: &[usize]) -> Array {
    let row = philox::Key { seed, stream: 0, step: 0 }.words();
    let len: usize = shape.iter().product();
    Array::new(shape.to_vec(), (0..len).map(|i| philox::normal(row, i)).collect::<Vec<f32>>())
}

const PARAMETERS: [(&str, &[usize]); 9] = [
    ("w0", &[9, 8, 8]),
    ("w1", &[9, 8, 8]),
    ("skip", &[1, 8, 8]),
    ("b0", &[8]),
    ("b1", &[8]),
    ("gain0", &[8]),
    ("bias0", &[8]),
    ("gain1", &[8]),
    ("bias1", &[8]),
];

/// A residual block down and up again, with everything that fuses, and the gradients of all it reads; in mixed
/// precision or not.
fn block(graph: &mut Graph, n: usize, halves: bool) {
    let (x, keys) = (graph.input("x", [n, 8, 8, 8]), graph.keys("keys", n));
    let [w0, w1, skip, b0, b1, gain0, bias0, gain1, bias1] =
        PARAMETERS.map(|(name, shape)| graph.input(name, shape.to_vec()));
    let embedding = graph.input("embedding", [n, 1, 1, 8]);
    let norm = GroupNorm { groups: 2, eps: 1e-6, silu: true, dropout: None };
    let build = |graph: &mut Graph| {
        let h = graph.group_norm(x, gain0, bias0, norm);
        let h = graph.resample(h, Resample::down(&[1.0, 1.0]));
        let h = graph.conv(h, w0, Some(b0));
        let h = graph.add(h, embedding);
        let dropout = Some((tensor::Dropout { p: 0.2, lane: 3 }, keys));
        let h = graph.group_norm(h, gain1, bias1, GroupNorm { dropout, ..norm });
        let h = graph.resample(h, Resample::up(&[1.0, 1.0]));
        let h = graph.conv(h, w1, Some(b1));
        let s = graph.conv(x, skip, None);
        let h = graph.add(h, s);
        graph.scale(h, 0.5f64.sqrt())
    };
    let y = if halves { graph.halves(build) } else { build(graph) };
    graph.output("y", y);
    let loss = graph.map(&[y], |v| v(0).square());
    let loss = graph.sum(loss, &[1, 2, 3]);
    let loss = graph.sum(loss, &[0]);
    let of = [x, embedding, w0, w1, skip, b0, b1, gain0, bias0, gain1, bias1];
    let gradients = tensor::gradients(graph, loss, &of);
    for (i, gradient) in gradients.into_iter().enumerate() {
        let gradient = gradient.expect("the loss depends on everything");
        match i {
            0 | 1 => graph.output(&format!("d{i}"), gradient),
            _ => {
                let into = graph.input(&format!("d{i}"), graph.shape(gradient).clone());
                graph.accumulate(into, 0, gradient);
            }
        }
    }
}

/// The block's outputs and gradients with its batch of `n` in parts.
fn run_block(device: &dyn Device, n: usize, part: usize, halves: bool) -> Vec<Vec<f64>> {
    let mut weights = Bindings::new();
    let mut sums = Vec::new();
    for (i, (name, shape)) in PARAMETERS.iter().enumerate() {
        let sum = device.zeros(&shape.to_vec().into(), tensor::Dtype::Real).unwrap();
        weights = weights.tensor(name, &device.upload(&noise(i as u64, shape)).unwrap());
        weights = weights.tensor(&format!("d{}", i + 2), &sum);
        sums.push(sum);
    }
    let x = device.upload(&noise(10, &[n, 8, 8, 8])).unwrap();
    let embedding = device.upload(&noise(11, &[n, 1, 1, 8])).unwrap();
    let keys: Vec<u32> = (0..n as u32).flat_map(|i| [i, 7, 0, 1]).collect();
    let keys = device.upload(&Array::new([n, 4], keys)).unwrap();
    let mut results = vec![Vec::new(); 3];
    for start in (0..n).step_by(part) {
        let rows = start..(start + part).min(n);
        let mut graph = Graph::new();
        block(&mut graph, rows.len(), halves);
        let executable = device.prepare(compile(graph)).unwrap();
        let bindings =
            weights.clone().tensor("x", &x.rows(rows.clone())).tensor("keys", &keys.rows(rows.clone()));
        let bindings = bindings.tensor("embedding", &embedding.rows(rows));
        let mut outputs = device.run(&executable, &bindings).unwrap();
        for (result, name) in results.iter_mut().zip(["y", "d0", "d1"]) {
            result.extend(device.download(&outputs.take(name).unwrap()).unwrap().f64s());
        }
    }
    results.extend(sums.iter().map(|sum| device.download(sum).unwrap().f64s()));
    results
}

fn block_deviations(cpu: &Cpu, halves: bool) -> Vec<f64> {
    let as_array = |numbers: &Vec<f64>| Array::new([numbers.len()], numbers.clone());
    let expected = run_block(&Reference, 3, 3, false);
    let found = run_block(cpu, 3, 3, halves);
    found.iter().zip(&expected).map(|(a, b)| deviation(&as_array(a), &as_array(b))).collect()
}

#[test]
fn a_fused_block_agrees_with_the_reference() {
    for (i, error) in block_deviations(&Cpu::new(2), false).iter().enumerate() {
        assert!(*error < 1e-5, "result {i} is off by {error:.1e}");
    }
}

#[test]
fn a_fused_block_in_halves_is_near_the_reference_on_every_level() {
    for level in Level::available() {
        for (i, error) in block_deviations(&Cpu::with_level(2, level), true).iter().enumerate() {
            // Half a dozen roundings to 8 bits in a row, each off by 2^-9 of a number at most.
            assert!(*error <= 4e-2, "{level:?}: result {i} is off by {error:.1e}");
            assert!(
                *error > 1e-5,
                "{level:?}: result {i} is right to {error:.1e}: nothing was stored in halves"
            );
        }
    }
}

#[test]
fn halves_take_half_the_memory() {
    let scratch = |halves: bool| {
        let mut graph = Graph::new();
        block(&mut graph, 2, halves);
        compile(graph).scratch as f64
    };
    let ratio = scratch(true) / scratch(false);
    assert!((0.5..0.6).contains(&ratio), "{ratio}");
}

#[test]
fn a_block_is_fused_into_few_steps() {
    let mut graph = Graph::new();
    block(&mut graph, 2, false);
    let program = compile(graph);
    let plain = |step: &&tensor::Step| {
        matches!(
            &step.kernel,
            tensor::Kernel::Plain { op: Op::Normalize(Normalize { .. }) | Op::Resample(_), .. }
        )
    };
    // Normalised images are worked out on the way into convolutions, and never kept; the two resamplings are the
    // gradients of those on the way in.
    assert_eq!(program.steps.iter().filter(plain).count(), 2, "{program}");
}

#[test]
fn batches_and_threads_do_not_change_a_bit() {
    for level in Level::available() {
        for halves in [false, true] {
            let whole = run_block(&Cpu::with_level(2, level), 7, 7, halves);
            for (threads, part) in [(1, 7), (3, 7), (2, 3), (1, 1)] {
                assert_eq!(
                    run_block(&Cpu::with_level(threads, level), 7, part, halves),
                    whole,
                    "{threads} threads, parts of {part}, halves: {halves}"
                );
            }
        }
    }
}

/// Runs a graph on the CPU and on the reference with the same inputs: all outputs, then the inputs as they are left.
fn on_both(inputs: &[(&str, Array)], build: impl Fn(&mut Graph)) -> [Vec<Array>; 2] {
    let run = |device: &dyn Device| {
        let mut graph = Graph::new();
        build(&mut graph);
        let names: Vec<String> = compile(graph.clone()).named().map(|(name, _)| name.to_owned()).collect();
        let tensors: Vec<_> = inputs.iter().map(|(_, array)| device.upload(array).unwrap()).collect();
        let bind =
            |bindings: Bindings, ((name, _), tensor): (&(&str, Array), _)| bindings.tensor(name, tensor);
        let bindings = inputs.iter().zip(&tensors).fold(Bindings::new(), bind);
        let mut outputs = device.run(&device.prepare(compile(graph)).unwrap(), &bindings).unwrap();
        let made = names.iter().map(|name| outputs.take(name).unwrap());
        made.chain(tensors.iter().cloned()).map(|tensor| device.download(&tensor).unwrap()).collect()
    };
    [run(&Cpu::new(2)), run(&Reference)]
}

fn expect_alike([found, expected]: [Vec<Array>; 2]) {
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let error = deviation(found, expected);
        assert!(error <= 1e-5, "array {at} is off by {error:.1e}");
    }
}

#[test]
fn stores_read_what_was_there_before_any_of_them() {
    let inputs = [("a", noise(1, &[300])), ("b", noise(2, &[300])), ("c", noise(3, &[300]))];
    expect_alike(on_both(&inputs, |graph| {
        let [a, b, c] = ["a", "b", "c"].map(|name| graph.input(name, [300]));
        let moved = graph.map(&[a, b], |v| v(0) + v(1) * 0.5);
        graph.store(a, 0, moved);
        graph.store(c, 0, a);
        graph.store(b, 0, c);
    }));
}

#[test]
fn only_a_row_of_channels_for_each_sample_is_fused_as_one() {
    let (n, h) = (4, 4);
    for shape in [vec![h, 1, 8], vec![4, 8], vec![n, 1, 1, 8]] {
        let inputs = [("x", noise(1, &[n, h, 4, 8])), ("w", noise(2, &[1, 8, 8])), ("a", noise(3, &shape))];
        expect_alike(on_both(&inputs, |graph| {
            let (x, w) = (graph.input("x", [n, h, 4, 8]), graph.input("w", [1, 8, 8]));
            let added = graph.input("a", shape.clone());
            let y = graph.conv(x, w, None);
            let y = graph.add(y, added);
            graph.output("y", y);
        }));
    }
}

#[test]
fn a_norm_may_be_scaled_by_what_it_normalises() {
    let inputs = [("x", noise(1, &[2, 4, 4, 8])), ("shift", noise(2, &[8]))];
    expect_alike(on_both(&inputs, |graph| {
        let (x, shift) = (graph.input("x", [2, 4, 4, 8]), graph.input("shift", [8]));
        let images = graph.map(&[x], |v| v(0) * v(0) + 1.0);
        let squares = graph.map(&[images], |v| v(0).square());
        let mean = graph.reduce(tensor::Fold::Mean, squares, &[1, 2]);
        let scale = graph.reshape(mean, [2, 8]);
        let norm = GroupNorm { groups: 2, eps: 1e-5, silu: true, dropout: None };
        let y = graph.group_norm(images, scale, shift, norm);
        let loss = graph.map(&[y], |v| v(0).square());
        let loss = graph.sum(loss, &[0, 1, 2, 3]);
        let gradient = tensor::gradients(graph, loss, &[x])[0].expect("the loss depends on it");
        graph.output("gradient", gradient);
    }));
}

#[test]
fn what_reads_a_tensor_that_is_added_to_reads_it_as_it_was() {
    let inputs = [("x", noise(1, &[5, 40])), ("to", noise(2, &[40]))];
    expect_alike(on_both(&inputs, |graph| {
        let (x, to) = (graph.input("x", [5, 40]), graph.input("to", [40]));
        let sum = graph.sum(x, &[0]);
        graph.accumulate(to, 0, sum);
        let doubled = graph.map(&[to], |v| v(0) * 2.0);
        graph.output("doubled", doubled);
    }));
}

#[test]
fn what_is_added_twice_counts_twice() {
    let inputs = [("x", noise(1, &[5, 40])), ("to", noise(2, &[40]))];
    expect_alike(on_both(&inputs, |graph| {
        let (x, to) = (graph.input("x", [5, 40]), graph.input("to", [40]));
        let sum = graph.sum(x, &[0]);
        graph.accumulate(to, 0, sum);
        graph.accumulate(to, 0, sum);
    }));
}

/// Adds the gradient of the weights of a convolution of `n` images to "to", from the second number on.
fn add_weight_gradient(graph: &mut Graph, n: usize) {
    let (x, dy) = (graph.input("x", [n, 8, 8, 20]), graph.input("dy", [n, 8, 8, 18]));
    let (w, to) = (graph.input("w", [9, 20, 18]), graph.input("to", [1 + 9 * 20 * 18]));
    let y = graph.conv(x, w, None);
    let loss = graph.map(&[y, dy], |v| v(0) * v(1));
    let loss = graph.sum(loss, &[0, 1, 2, 3]);
    let gradient = tensor::gradients(graph, loss, &[w])[0].expect("the loss depends on it");
    graph.accumulate(to, 1, gradient);
}

/// What "to" holds after the parts of a batch of five that end at `ends`, and that twice what another program read;
/// which of the parts is the last is said or not.
fn added_in_parts(device: &impl Device, ends: &[usize], said: bool) -> [Array; 2] {
    let to = device.upload(&noise(1, &[1 + 9 * 20 * 18])).unwrap();
    let [x, dy] = [(2, 20), (3, 18)].map(|(seed, c)| device.upload(&noise(seed, &[5, 8, 8, c])).unwrap());
    let w = device.upload(&noise(4, &[9, 20, 18])).unwrap();
    for part in ends.windows(2).map(|ends| ends[0]..ends[1]) {
        let mut graph = Graph::new();
        add_weight_gradient(&mut graph, part.len());
        let mut bindings =
            Bindings::new().tensor("x", &x.rows(part.clone())).tensor("dy", &dy.rows(part.clone()));
        if said && part.end == 5 {
            bindings = bindings.last_part();
        }
        let executable = device.prepare(compile(graph)).unwrap();
        device.run(&executable, &bindings.tensor("w", &w).tensor("to", &to)).unwrap();
    }
    let mut graph = Graph::new();
    let read = graph.input("to", [1 + 9 * 20 * 18]);
    let twice = graph.map(&[read], |v| v(0) * 2.0);
    graph.output("twice", twice);
    let executable = device.prepare(compile(graph)).unwrap();
    let mut read = device.run(&executable, &Bindings::new().tensor("to", &to)).unwrap();
    [device.download(&to).unwrap(), device.download(&read.take("twice").unwrap()).unwrap()]
}

#[test]
fn gradients_of_weights_are_whole_for_whoever_reads_them_and_have_the_bits_of_any_parts() {
    let expected = added_in_parts(&Reference, &[0, 5], true);
    let whole = added_in_parts(&Cpu::new(1), &[0, 5], true);
    expect_alike([whole.to_vec(), expected.to_vec()]);
    for (threads, ends) in [(2, &[0, 1, 2, 3, 4, 5][..]), (3, &[0, 3, 5]), (1, &[0, 4, 5])] {
        for said in [false, true] {
            let parts = added_in_parts(&Cpu::new(threads), ends, said);
            assert!(parts == whole, "{threads} threads, {ends:?}, {said}");
        }
    }
}

#[test]
fn a_tensor_that_is_written_to_has_one_name() {
    let cpu = Cpu::new(1);
    let mut graph = Graph::new();
    let (to, from) = (graph.input("to", [4]), graph.input("from", [4]));
    graph.accumulate(to, 0, from);
    let tensor = cpu.upload(&noise(1, &[8])).unwrap();
    let executable = cpu.prepare(compile(graph)).unwrap();
    let bind = |to, from| Bindings::new().tensor("to", &tensor.rows(to)).tensor("from", &tensor.rows(from));
    let error = cpu.run(&executable, &bind(0..4, 3..7)).unwrap_err().to_string();
    assert_eq!(error, "input \"to\" [4] is written to, but input \"from\" [4] shares its memory");
    assert!(cpu.run(&executable, &bind(0..4, 4..8)).is_ok());
}

#[test]
fn more_memory_than_there_is_is_an_error_that_says_what_to_do() {
    let error = Cpu::new(1).zeros(&[1 << 45].into(), tensor::Dtype::Real).unwrap_err().to_string();
    assert!(error.contains("MiB of memory") && error.contains("smaller batch"), "{error}");
}
