//! Whether cooperative matrices come out right on this adapter: they are new in drivers and in wgpu, so each sort of
//! kernel that would use them is compared with the one that does not.

use tensor::{Array, Bindings, Device, Graph, Op, Result, compile, gradients};

use crate::Gpu;

/// What half-precision inputs and another order of sums may change, in units of the root mean square.
const TOLERANCE: f64 = 5e-3;

/// Compares what both devices make of products and convolutions; says what differs, if anything does.
pub(crate) fn difference(cooperative: &Gpu, plain: &Gpu) -> Result<Option<String>> {
    let [found, expected] = [results(cooperative)?, results(plain)?];
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        let (found, expected) = (found.f64s(), expected.f64s());
        let rms = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64).sqrt();
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / rms);
        // Comparing this way round lets NaN count.
        if let Some(error) = worst.into_iter().find(|error| !(*error <= TOLERANCE)) {
            return Ok(Some(format!("{name} is off by {error:.1e}")));
        }
    }
    Ok(None)
}

/// Convolutions of both sizes with everything that is fused to them, attention, and the gradients of all.
fn graph() -> Graph {
    let mut graph = Graph::new();
    let (x, keys) = (graph.input("x", [2, 16, 16, 64]), graph.input("qkv", [2, 64, 192]));
    let [wide, narrow] = [("wide", 9), ("narrow", 1)].map(|(name, taps)| graph.input(name, [taps, 64, 128]));
    let (bias, embedding) = (graph.input("bias", [128]), graph.input("embedding", [2, 1, 1, 128]));
    let (y, attended) = graph.halves(|graph| {
        let h = graph.conv(x, wide, Some(bias));
        let h = graph.add(h, embedding);
        let skip = graph.push(Op::Conv, &[x, narrow], None);
        let y = graph.add(h, skip);
        (graph.scale(y, 0.5), graph.attention(keys, 1))
    });
    let losses = [y, attended].map(|value| {
        let squares = graph.map(&[value], |v| v(0).square());
        let axes: Vec<usize> = (0..graph.shape(value).rank()).collect();
        graph.sum(squares, &axes)
    });
    let losses = losses.map(|loss| graph.reshape(loss, [1]));
    let loss = graph.add(losses[0], losses[1]);
    graph.output("a convolution", y);
    graph.output("attention", attended);
    let of = [x, wide, narrow, keys];
    let names =
        ["the gradient of images", "a weight gradient", "a weight gradient of 1x1", "attention's gradient"];
    for (name, gradient) in names.into_iter().zip(gradients(&mut graph, loss, &of)) {
        graph.output(name, gradient.expect("the loss depends on it"));
    }
    graph
}

fn results(gpu: &Gpu) -> Result<Vec<(String, Array)>> {
    let graph = graph();
    let names: Vec<String> = tensor::operation_table::output_names(&graph).map(str::to_owned).collect();
    let mut bindings = Bindings::new();
    for (seed, value) in graph.values().enumerate() {
        if let Op::Input { name } = &graph.operation(value).op {
            bindings = bindings.tensor(name, &gpu.upload(&numbers(seed, graph.shape(value)))?);
        }
    }
    let executable = gpu.prepare(compile(graph))?;
    let mut outputs = gpu.run(&executable, &bindings)?;
    names.into_iter().map(|name| Ok((name.clone(), gpu.download(&outputs.take(&name)?)?))).collect()
}

/// Numbers in (-1, 1), spread by the golden ratio.
fn numbers(seed: usize, shape: &tensor::Shape) -> Array {
    let number = |i: usize| 2.0 * ((i + 101 * seed) as f64 * 0.618_033_988_75).fract() as f32 - 1.0;
    Array::new(shape.clone(), (0..shape.len()).map(number).collect::<Vec<f32>>())
}
