//! A device that draws captured numbers in the place of its own: all else of the product runs as it is.

use std::collections::HashMap;
use std::sync::Arc;

use tensor::{
    Array, Bindings, Data, Destination, Device, Dtype, Error, Executable, Graph, Normalize, Op, Outputs,
    Program, Result, Shape, Tensor, Value, compile,
};

use crate::fixtures::Numbers;

/// Another device, with captured draws for each stream and step of the keys that programs are given.
///
/// For dropout the draws are a mask, of ones where an activation is kept.
pub struct GivenDraws {
    inner: Arc<dyn Device>,
    draws: HashMap<(u32, u64), Numbers>,
}

/// An input of captured numbers, in the place of what `keys` would have drawn.
struct Place {
    keys: String,
    input: String,
    shape: Shape,
}

struct Given {
    inner: Executable,
    places: Vec<Place>,
}

impl GivenDraws {
    pub fn new(inner: &Arc<dyn Device>) -> Self {
        GivenDraws { inner: inner.clone(), draws: HashMap::new() }
    }

    /// What to draw for keys of that stream and step.
    pub fn draw(mut self, stream: u32, step: u64, numbers: &Numbers) -> Self {
        self.draws.insert((stream, step), numbers.clone());
        self
    }

    fn tensor(&self, place: &Place, bindings: &Bindings) -> Result<Tensor> {
        let keys = bindings.expect(&place.keys, &[place.shape[0], 4].into(), Dtype::Bits)?;
        let Data::U32(words) = self.inner.download(keys)?.data else { unreachable!("keys are integers") };
        let (stream, step) = (words[3], u64::from(words[2]));
        let missing = || Error::new(format!("no draws were captured for stream {stream}, step {step}"));
        let numbers = self.draws.get(&(stream, step)).ok_or_else(missing)?;
        if numbers.values.len() != place.shape.len() {
            return Err(Error::new(format!("captured draws {:?} for {}", numbers.shape, place.shape)));
        }
        self.inner.upload(&Array::new(place.shape.clone(), numbers.values.clone()))
    }
}

impl Device for GivenDraws {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn upload(&self, array: &Array) -> Result<Tensor> {
        self.inner.upload(array)
    }

    fn zeros(&self, shape: &Shape, dtype: Dtype) -> Result<Tensor> {
        self.inner.zeros(shape, dtype)
    }

    fn download(&self, tensor: &Tensor) -> Result<Array> {
        self.inner.download(tensor)
    }

    fn prepare(&self, program: Program) -> Result<Executable> {
        let (graph, places) = replaced(&program.graph);
        let inner = self.inner.prepare(compile(graph))?;
        Ok(Executable::new(program, Given { inner, places }))
    }

    fn run(&self, executable: &Executable, bindings: &Bindings) -> Result<Outputs> {
        let Given { inner, places } = executable.prepared()?;
        let bind =
            |bound: Bindings, place: &Place| Ok(bound.tensor(&place.input, &self.tensor(place, bindings)?));
        self.inner.run(inner, &places.iter().try_fold(bindings.clone(), bind)?)
    }
}

/// The graph with an input for every draw.
fn replaced(graph: &Graph) -> (Graph, Vec<Place>) {
    let mut copy = Graph::new();
    let mut places: Vec<Place> = Vec::new();
    let mut went: HashMap<Value, Value> = HashMap::new();
    for value in graph.values() {
        let operation = graph.operation(value);
        let mut inputs: Vec<Value> =
            operation.inputs.iter().filter_map(|input| went.get(input).copied()).collect();
        let mut given = |copy: &mut Graph, shape: &Shape| {
            let keys = operation.inputs.last().map(|keys| &graph.operation(*keys).op);
            let Some(Op::Input { name: keys }) = keys else { unreachable!("keys are inputs") };
            let input = format!("draws of {keys} {shape}");
            places.push(Place { keys: keys.clone(), input: input.clone(), shape: shape.clone() });
            copy.input(&input, shape.clone())
        };
        let new = match &operation.op {
            Op::Input { name } if operation.dtype == Dtype::Bits => copy.keys(name, operation.shape[0]),
            Op::Random { .. } => given(&mut copy, &operation.shape),
            Op::Normalize(norm @ Normalize { dropout: Some(dropout), .. }) => {
                inputs.pop();
                let plain = Op::Normalize(Normalize { dropout: None, ..norm.clone() });
                let y = copy.push(plain, &inputs, None);
                let mask = given(&mut copy, &operation.shape);
                masked(&mut copy, y, mask, dropout.p)
            }
            Op::NormalizeSums(norm) | Op::NormalizeGradient(norm) if norm.dropout.is_some() => {
                inputs.pop();
                let mask = given(&mut copy, graph.shape(operation.inputs[0]));
                inputs[0] = masked(&mut copy, inputs[0], mask, norm.dropout.map_or(0.0, |dropout| dropout.p));
                let plain = Normalize { dropout: None, ..norm.clone() };
                let sums = matches!(operation.op, Op::NormalizeSums(_));
                let op = if sums { Op::NormalizeSums(plain) } else { Op::NormalizeGradient(plain) };
                copy.push(op, &inputs, None)
            }
            op => copy.push(op.clone(), &inputs, Some(operation.shape.clone())),
        };
        went.insert(value, new);
    }
    for output in graph.outputs() {
        let value = went[&output.value];
        match &output.to {
            Destination::Named(name) => copy.output(name, value),
            Destination::Into { input, offset } => copy.store(went[input], *offset, value),
            Destination::AddedTo { input, offset } => copy.accumulate(went[input], *offset, value),
        }
    }
    (copy, places)
}

fn masked(graph: &mut Graph, value: Value, mask: Value, p: f64) -> Value {
    graph.map(&[value, mask], |v| v(0) * v(1) / (1.0 - p))
}
