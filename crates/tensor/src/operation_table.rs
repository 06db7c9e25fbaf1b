//! A table of operations: small graphs with inputs, odd sizes first, that every device has to get right.
//!
//! A device's test runs [`rows`] on itself and on the [`Reference`](crate::Reference) and compares; the tests of this
//! crate hold the reference against finite differences.

mod elementwise;
mod images;
mod layers;

use crate::{Array, Bindings, Data, Device, Dtype, Graph, Result, Shape, Value, compile, gradients};

/// One operation on inputs of its own.
pub struct Row {
    pub name: String,
    pub inputs: Vec<Input>,
    has_gradient: bool,
    build: Box<dyn Fn(&mut Graph, &[Value]) -> Value>,
}

/// An input of a row, filled with numbers that are the same everywhere and exact in f32.
#[derive(Clone, Debug)]
pub struct Input {
    pub shape: Shape,
    pub numbers: Numbers,
}

/// Which numbers an input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// In (-1, 1).
    Signed,
    /// In (0.5, 1.5).
    Positive,
    /// Keys of random numbers.
    Keys,
    /// A scalar, bound as a number, in (-1, 1).
    Scalar,
}

/// Every row.
pub fn rows() -> Vec<Row> {
    let mut rows = elementwise::rows();
    rows.extend(images::rows());
    rows.extend(layers::rows());
    rows
}

impl Row {
    pub fn new(
        name: impl Into<String>,
        inputs: impl Into<Vec<Input>>,
        build: impl Fn(&mut Graph, &[Value]) -> Value + 'static,
    ) -> Self {
        Row { name: name.into(), inputs: inputs.into(), has_gradient: true, build: Box::new(build) }
    }

    /// An operation that gradients do not go through.
    pub fn without_gradient(self) -> Self {
        Row { has_gradient: false, ..self }
    }

    /// The operation in mixed precision, on inputs that are stored in 16 bits where they are images or sequences.
    pub fn in_halves(self) -> Self {
        let build = move |graph: &mut Graph, inputs: &[Value]| {
            graph.halves(|graph| {
                let halve = |input: &Value| match graph.operation(*input).dtype {
                    Dtype::Real if graph.shape(*input).rank() >= 3 => graph.map(&[*input], |v| v(0)),
                    _ => *input,
                };
                let inputs: Vec<Value> = inputs.iter().map(halve).collect();
                (self.build)(graph, &inputs)
            })
        };
        Row { name: format!("{} in halves", self.name), build: Box::new(build), ..self }
    }

    /// The row's graph: output `y` is the operation; where it has a gradient, `loss` is Σ y · w for an input `w`, and `dN` the
    /// loss's gradient with respect to input N, where it depends on it.
    pub fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        let inputs: Vec<Value> =
            (0..self.inputs.len()).map(|at| self.inputs[at].value(&mut graph, at)).collect();
        let y = (self.build)(&mut graph, &inputs);
        graph.output("y", y);
        if self.has_gradient && graph.operation(y).dtype == Dtype::Real {
            let w = graph.input("w", graph.shape(y).clone());
            let weighted = graph.mul(y, w);
            let axes: Vec<usize> = (0..graph.shape(y).rank()).collect();
            let loss = graph.sum(weighted, &axes);
            graph.output("loss", loss);
            for (at, gradient) in gradients(&mut graph, loss, &inputs).into_iter().enumerate() {
                if let Some(gradient) = gradient {
                    graph.output(&format!("d{at}"), gradient);
                }
            }
        }
        graph
    }

    /// The numbers of the row's graph: `x0`, `x1`, … and `w`.
    pub fn arrays(&self, graph: &Graph) -> Vec<(String, Array)> {
        let named = |(at, input): (usize, &Input)| (format!("x{at}"), input.array(at as u32));
        let mut arrays: Vec<_> = self.inputs.iter().enumerate().map(named).collect();
        let y = graph.outputs()[0].value;
        let w = Input { shape: graph.shape(y).clone(), numbers: Numbers::Signed };
        arrays.push(("w".into(), w.array(u32::MAX)));
        arrays
    }

    /// What a device makes of the row: every output by name.
    pub fn run(&self, device: &dyn Device) -> Result<Vec<(String, Array)>> {
        let graph = self.graph();
        let bindings = bind(device, &self.arrays(&graph))?;
        let names: Vec<String> = output_names(&graph).map(str::to_owned).collect();
        let executable = device.prepare(compile(graph))?;
        let mut outputs = device.run(&executable, &bindings)?;
        names.into_iter().map(|name| Ok((name.clone(), device.download(&outputs.take(&name)?)?))).collect()
    }
}

/// The names under which a graph hands values out.
pub fn output_names(graph: &Graph) -> impl Iterator<Item = &str> {
    graph.outputs().iter().filter_map(|output| match &output.to {
        crate::Destination::Named(name) => Some(name.as_str()),
        _ => None,
    })
}

/// Binds arrays by name, those without axes as tensors and as numbers.
pub fn bind(device: &dyn Device, arrays: &[(String, Array)]) -> Result<Bindings> {
    arrays.iter().try_fold(Bindings::new(), |bindings, (name, array)| {
        let bindings = bindings.tensor(name, &device.upload(array)?);
        Ok(if array.shape.rank() == 0 { bindings.scalar(name, array.f64s()[0]) } else { bindings })
    })
}

impl Input {
    fn value(&self, graph: &mut Graph, at: usize) -> Value {
        let name = format!("x{at}");
        match self.numbers {
            Numbers::Signed | Numbers::Positive => graph.input(&name, self.shape.clone()),
            Numbers::Keys => graph.keys(&name, self.shape[0]),
            Numbers::Scalar => graph.scalar(&name),
        }
    }

    fn array(&self, seed: u32) -> Array {
        let bits =
            (0..self.shape.len() as u32).map(|element| philox::block([seed, 0], [element, 0, 0, 0])[0]);
        let unit = |bits| f64::from(philox::unit(bits));
        let data: Data = match self.numbers {
            Numbers::Keys => bits.collect::<Vec<u32>>().into(),
            Numbers::Positive => {
                bits.map(|bits| 0.5 + unit(bits)).map(|x| x as f32).collect::<Vec<f32>>().into()
            }
            Numbers::Signed | Numbers::Scalar => {
                bits.map(|bits| 2.0 * unit(bits) - 1.0).map(|x| x as f32).collect::<Vec<f32>>().into()
            }
        };
        Array::new(self.shape.clone(), data)
    }
}

fn real(shape: impl Into<Shape>) -> Input {
    Input { shape: shape.into(), numbers: Numbers::Signed }
}

fn positive(shape: impl Into<Shape>) -> Input {
    Input { shape: shape.into(), numbers: Numbers::Positive }
}

fn keys(n: usize) -> Input {
    Input { shape: [n, 4].into(), numbers: Numbers::Keys }
}

fn scalar() -> Input {
    Input { shape: Shape::default(), numbers: Numbers::Scalar }
}
