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
        .fold(0.0, f64::max)
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

/// A residual block down and up again, with everything that fuses, and the gradients of all it reads.
fn block(graph: &mut Graph, n: usize) {
    let (x, keys) = (graph.input("x", [n, 8, 8, 8]), graph.keys("keys", n));
    let [w0, w1, skip, b0, b1, gain0, bias0, gain1, bias1] =
        PARAMETERS.map(|(name, shape)| graph.input(name, shape.to_vec()));
    let embedding = graph.input("embedding", [n, 1, 1, 8]);
    let norm = GroupNorm { groups: 2, eps: 1e-6, silu: true, dropout: None };
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
    let y = graph.scale(h, 0.5f64.sqrt());
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
fn run_block(device: &dyn Device, n: usize, part: usize) -> Vec<Vec<f64>> {
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
        block(&mut graph, rows.len());
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

#[test]
fn a_fused_block_agrees_with_the_reference() {
    let expected = run_block(&Reference, 3, 3);
    let found = run_block(&Cpu::new(2), 3, 3);
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let as_array = |numbers: &Vec<f64>| Array::new([numbers.len()], numbers.clone());
        let error = deviation(&as_array(found), &as_array(expected));
        assert!(error < 1e-5, "result {i} is off by {error:.1e}");
    }
}

#[test]
fn a_block_is_fused_into_few_steps() {
    let mut graph = Graph::new();
    block(&mut graph, 2);
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
        let whole = run_block(&Cpu::with_level(2, level), 7, 7);
        for (threads, part) in [(1, 7), (3, 7), (2, 3), (1, 1)] {
            assert_eq!(
                run_block(&Cpu::with_level(threads, level), 7, part),
                whole,
                "{threads} threads, parts of {part}"
            );
        }
    }
}
