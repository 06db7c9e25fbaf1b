//! Whether cooperative matrices come out right on this adapter: they are new in drivers and in wgpu, so each sort of
//! kernel that would use them is compared with the one that does not.

use tensor::{Array, Bindings, Device, Dtype, Graph, Op, Result, Value, compile, gradients};

/// What half-precision sums in another order may change, in units of the root mean square: twice the last place of the
/// largest numbers, which are six times as much.
const TOLERANCE: f64 = 1e-2;

/// Compares what two devices make of [`graph`]; says what differs, if anything does.
pub fn difference(found: &dyn Device, expected: &dyn Device) -> Result<Option<String>> {
    let [found, expected] = [results(found)?, results(expected)?];
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        let (found, expected) = (found.f64s(), expected.f64s());
        let rms = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64).sqrt();
        let mut errors = found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / rms);
        if let Some(error) = errors.find(|error| error.is_nan() || *error > TOLERANCE) {
            return Ok(Some(format!("{name} is off by {error:.1e}")));
        }
    }
    Ok(None)
}

/// Convolutions of both sizes with everything that is fused to them, attention, and the gradients of all, stored in 16
/// bits: what cooperative matrices are used for. Outputs are added to inputs whose names begin with "the".
pub fn graph() -> Graph {
    let mut graph = Graph::new();
    let (x, qkv) = (graph.input("x", [2, 16, 16, 64]), graph.input("qkv", [2, 64, 192]));
    let [wide, narrow] = [("wide", 9), ("narrow", 1)].map(|(name, taps)| graph.input(name, [taps, 64, 128]));
    let (bias, embedding) = (graph.input("bias", [128]), graph.input("embedding", [2, 1, 1, 128]));
    let (y, attended) = graph.halves(|graph| {
        // Inputs are never stored in 16 bits, what is made of them is.
        let (x, qkv) = (graph.silu(x), graph.silu(qkv));
        let h = graph.conv(x, wide, Some(bias));
        let h = graph.add(h, embedding);
        let skip = graph.push(Op::Conv, &[x, narrow], None);
        let y = graph.add(h, skip);
        (graph.silu(y), graph.attention(qkv, 1))
    });
    let losses = [y, attended].map(|value| sum_of_squares(&mut graph, value));
    let loss = graph.add(losses[0], losses[1]);
    let of = [x, qkv, wide, narrow, bias];
    let names = ["images", "queries, keys and values", "weights of 3x3", "weights of 1x1", "a bias"];
    let made = gradients(&mut graph, loss, &of)
        .into_iter()
        .map(|gradient| gradient.expect("the loss depends on it"));
    for (name, value) in names.into_iter().zip(made.collect::<Vec<_>>()) {
        add_to(&mut graph, &format!("the gradient of {name}"), value);
    }
    add_to(&mut graph, "the convolutions", y);
    add_to(&mut graph, "the attention", attended);
    graph
}

fn sum_of_squares(graph: &mut Graph, value: Value) -> Value {
    let squares = graph.map(&[value], |v| v(0).square());
    let axes: Vec<usize> = (0..graph.shape(value).rank()).collect();
    let sum = graph.sum(squares, &axes);
    graph.reshape(sum, [1])
}

fn add_to(graph: &mut Graph, name: &str, value: Value) {
    let to = graph.input(name, graph.shape(value).clone());
    graph.accumulate(to, 0, value);
}

/// What a device makes of [`graph`].
pub fn results(device: &dyn Device) -> Result<Vec<(String, Array)>> {
    let (graph, mut bindings, mut sums) = (graph(), Bindings::new(), Vec::new());
    for (seed, value) in graph.values().enumerate() {
        let Op::Input { name } = &graph.operation(value).op else { continue };
        let shape = graph.shape(value);
        let tensor = match name.starts_with("the ") {
            true => device.zeros(shape, Dtype::Real)?,
            false => device.upload(&numbers(seed, shape))?,
        };
        bindings = bindings.tensor(name, &tensor);
        if name.starts_with("the ") {
            sums.push((name.clone(), tensor));
        }
    }
    let executable = device.prepare(compile(graph))?;
    device.run(&executable, &bindings)?;
    sums.into_iter().map(|(name, sum)| Ok((name, device.download(&sum)?))).collect()
}

/// Numbers in (-1, 1), spread by the golden ratio.
fn numbers(seed: usize, shape: &tensor::Shape) -> Array {
    let number = |i: usize| 2.0 * ((i + 101 * seed) as f64 * 0.618_033_988_75).fract() as f32 - 1.0;
    Array::new(shape.clone(), (0..shape.len()).map(number).collect::<Vec<f32>>())
}
