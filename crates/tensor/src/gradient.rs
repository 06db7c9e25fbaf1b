//! Gradients, as more operations of the same graph.

mod map;
mod product;
mod simplify;

use map::mapped;

use crate::{Binary, Dtype, Expr, Fold, Graph, Op, Resample, Shape, Value};

/// Gradients of one value that are added at once.
const MOST_PARTS: usize = 8;

/// The gradient of `loss`, which has one element, with respect to each of `of`, in order; `None` where the loss does
/// not depend on it.
///
/// Only what lies on a path from `of` to the loss is differentiated. Each parameter's window is a value of its own, so
/// ask for windows. Elements that share a maximum share its gradient. Panics at an operation that has no gradient:
/// group statistics read by anything but a normalisation, and the gradient operations themselves.
#[track_caller]
pub fn gradients(graph: &mut Graph, loss: Value, of: &[Value]) -> Vec<Option<Value>> {
    assert_eq!(graph.shape(loss).len(), 1, "the elements of a loss of shape {}", graph.shape(loss));
    let mut backward = Backward::new(graph, loss, of);
    for value in backward.graph.values().rev().filter(|value| *value <= loss) {
        // Gradients are stored as what they are the gradients of.
        let half = backward.graph.operation(value).half;
        backward.graph.set_halves(half);
        if let Some(dy) = backward.total(value) {
            backward.propagate(value, dy);
        }
    }
    backward.graph.set_halves(false);
    of.iter().map(|value| backward.full(*value)).collect()
}

/// A walk from the loss back.
///
/// The gradient of a value may have a smaller shape that broadcasts to the value's: numbers that are the same along
/// an axis are not repeated before an operation needs them.
struct Backward<'a> {
    graph: &'a mut Graph,
    /// Which values depend on what was asked for.
    needed: Vec<bool>,
    contributions: Vec<Vec<Value>>,
    totals: Vec<Option<Value>>,
}

impl<'a> Backward<'a> {
    fn new(graph: &'a mut Graph, loss: Value, of: &[Value]) -> Self {
        let count = graph.values().count();
        let mut needed = vec![false; count];
        for value in graph.values() {
            let operation = graph.operation(value);
            let depends = operation.inputs.iter().any(|input| needed[input.index()]);
            needed[value.index()] = operation.dtype == Dtype::Real && (of.contains(&value) || depends);
        }
        let mut backward =
            Backward { graph, needed, contributions: vec![Vec::new(); count], totals: vec![None; count] };
        let one = backward.graph.table(vec![1.0], []);
        backward.give(loss, one);
        backward
    }

    fn needs(&self, value: Value) -> bool {
        self.needed[value.index()]
    }

    /// Adds to the gradient of `value`.
    fn give(&mut self, value: Value, gradient: Value) {
        if self.needs(value) {
            self.contributions[value.index()].push(gradient);
        }
    }

    /// [`give`](Self::give), computed only where it is needed.
    fn give_with(&mut self, value: Value, gradient: impl FnOnce(&mut Graph) -> Value) {
        if self.needs(value) {
            let gradient = gradient(self.graph);
            self.give(value, gradient);
        }
    }

    /// The sum of what a value was given, a few parts at a time: devices bind no more than that at once.
    fn total(&mut self, value: Value) -> Option<Value> {
        let mut parts = std::mem::take(&mut self.contributions[value.index()]);
        while parts.len() > 1 {
            let together = parts.len().min(MOST_PARTS);
            let sum = (0..together).map(Expr::Input).reduce(|sum, part| sum + part)?;
            let some: Vec<Value> = parts.drain(..together).collect();
            parts.insert(0, mapped(self.graph, &sum, &some)?);
        }
        self.totals[value.index()] = parts.pop();
        self.totals[value.index()]
    }

    /// The gradient of a value in the value's own shape.
    fn full(&mut self, value: Value) -> Option<Value> {
        let shape = self.graph.shape(value).clone();
        self.totals[value.index()].map(|total| self.graph.broadcast(total, shape))
    }

    /// Gives the inputs of `y` their parts of its gradient.
    fn propagate(&mut self, y: Value, dy: Value) {
        let operation = self.graph.operation(y).clone();
        let inputs = operation.inputs;
        if !inputs.iter().any(|input| self.needs(*input)) {
            return;
        }
        match &operation.op {
            Op::Map { expr } => return self.map(y, expr, &inputs, dy),
            Op::Reduce { by, .. } => return self.reduce(*by, y, inputs[0], dy),
            _ => {}
        }
        let dy = self.graph.broadcast(dy, operation.shape);
        match operation.op {
            Op::MatMul { transpose_left, transpose_right } => {
                self.matmul([inputs[0], inputs[1]], [transpose_left, transpose_right], dy);
            }
            Op::Conv => self.conv(inputs[0], inputs[1], dy),
            Op::Normalize(normalize) => self.normalize(normalize, &inputs, dy),
            Op::Softmax => self.give_with(inputs[0], |graph| graph.push(Op::SoftmaxGradient, &[dy, y], None)),
            Op::Attention { heads } => {
                self.give_with(inputs[0], |graph| {
                    graph.push(Op::AttentionGradient { heads }, &[dy, inputs[0]], None)
                });
            }
            op => self.moved(op, &inputs, dy),
        }
    }

    fn reduce(&mut self, by: Fold, y: Value, x: Value, dy: Value) {
        let input = Expr::Input;
        let each = match by {
            Fold::Sum => Some(dy),
            Fold::Mean => {
                let count = self.graph.shape(x).len() / self.graph.shape(y).len();
                mapped(self.graph, &(input(0) / count as f64), &[dy])
            }
            Fold::Max => {
                let equal = self.graph.map(&[x, y], |v| v(0).binary(Binary::Equal, v(1)));
                let axes = self.differing_axes(x, y);
                let count = self.graph.sum(equal, &axes);
                mapped(self.graph, &(input(0) * input(1) / input(2)), &[dy, equal, count])
            }
            Fold::LogSumExp => mapped(self.graph, &(input(0) * (input(1) - input(2)).exp()), &[dy, x, y]),
        };
        if let Some(each) = each {
            self.give(x, each);
        }
    }

    fn differing_axes(&self, x: Value, y: Value) -> Vec<usize> {
        let (x, y) = (self.graph.shape(x), self.graph.shape(y));
        (0..x.rank()).filter(|axis| x[*axis] != y[*axis]).collect()
    }

    /// Operations that move elements or add them up in place.
    fn moved(&mut self, op: Op, inputs: &[Value], dy: Value) {
        let shape = self.graph.shape(inputs[0]).clone();
        match op {
            Op::Resample(resample) => {
                let dx = resample_back(self.graph, dy, &resample.adjoint(), &shape);
                self.give(inputs[0], dx);
            }
            Op::Concat { axis } => {
                let mut start = 0;
                for input in inputs {
                    let end = start + self.graph.shape(*input)[axis];
                    self.give_with(*input, |graph| graph.slice(dy, axis, start..end));
                    start = end;
                }
            }
            Op::Slice { axis, start, end } => {
                let around = |at| if at == axis { (start, shape[axis] - end) } else { (0, 0) };
                let amounts: Vec<_> = (0..shape.rank()).map(around).collect();
                self.give_with(inputs[0], |graph| graph.pad(dy, &amounts));
            }
            Op::Pad { amounts } => {
                let middle = |graph: &mut Graph, dx, axis: usize| {
                    let start = amounts[axis].0;
                    graph.slice(dx, axis, start..start + shape[axis])
                };
                let dx = (0..amounts.len()).fold(dy, |dx, axis| middle(self.graph, dx, axis));
                self.give(inputs[0], dx);
            }
            Op::Transpose { permutation } => {
                let mut inverse = vec![0; permutation.len()];
                for (to, from) in permutation.into_iter().enumerate() {
                    inverse[from] = to;
                }
                self.give_with(inputs[0], |graph| graph.transpose(dy, &inverse));
            }
            Op::Reshape => self.give_with(inputs[0], |graph| graph.reshape(dy, shape)),
            Op::Window { offset } => {
                let flat = self.graph.reshape(dy, [self.graph.shape(dy).len()]);
                let after = shape.len() - offset - self.graph.shape(flat).len();
                self.give_with(inputs[0], |graph| graph.pad(flat, &[(offset, after)]));
            }
            Op::GroupStats { .. } => {
                panic!("{op:?} has no gradient of its own: a normalisation's goes through its statistics")
            }
            op => panic!("{op:?} has no gradient"),
        }
    }
}

/// `dy` resampled to `shape`.
///
/// Halving an odd size may skip its last row: a row of zeros more makes room for it on the way back.
fn resample_back(graph: &mut Graph, dy: Value, adjoint: &Resample, shape: &Shape) -> Value {
    let sizes = graph.shape(dy).clone();
    let skipped = |axis: usize| matches!(axis, 1 | 2) && adjoint.resized(sizes[axis]) != shape[axis];
    let amounts: Vec<_> = (0..4).map(|axis| (0, usize::from(skipped(axis)))).collect();
    let dy = graph.pad(dy, &amounts);
    let dx = graph.resample(dy, adjoint.clone());
    (1..3).fold(dx, |dx, axis| graph.slice(dx, axis, 0..shape[axis]))
}
