//! Graphs: values with static shapes, and the operations that make them.

mod halves;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::check::check;
use crate::op::{Distribution, Dropout, Dtype, Fold, Normalize, Op, Resample, Warp};
use crate::{Expr, Shape};

/// A tensor of a [`Graph`], known by its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) u32);

impl Value {
    /// Its place in the graph, counted from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One line of a graph: `%7 = conv(%3, %5) [2, 8, 8, 32]`.
#[derive(Clone, Debug)]
pub struct Operation {
    pub op: Op,
    pub inputs: Vec<Value>,
    pub shape: Shape,
    pub dtype: Dtype,
    /// Whether 16 bits are enough for an element, where a device can store those ([`Graph::halves`]).
    pub half: bool,
}

/// What becomes of a value at the end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub value: Value,
    pub to: Destination,
}

/// Where an output goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// A fresh tensor under this name.
    Named(String),
    /// Over the elements `offset..` of a tensor that is also an input.
    Into { input: Value, offset: usize },
    /// Added to the elements `offset..` of a tensor that is also an input, sample by sample where the value is a
    /// sum over samples and nothing else reads that input: so a batch gives the same bits whole or in parts.
    AddedTo { input: Value, offset: usize },
}

/// A computation without a device: values in single assignment, inputs before their readers.
///
/// Equal operations on equal inputs are one value. The builders panic where shapes do not fit: a graph is written by
/// a program, which checks what people say first.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    operations: Vec<Operation>,
    outputs: Vec<Output>,
    known: HashMap<String, Value>,
    /// Whether what is added now may be stored in 16 bits.
    halves: bool,
}

impl Graph {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn operation(&self, value: Value) -> &Operation {
        &self.operations[value.0 as usize]
    }

    pub fn shape(&self, value: Value) -> &Shape {
        &self.operation(value).shape
    }

    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Every value, inputs before their readers.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = Value> + use<> {
        (0..self.operations.len() as u32).map(Value)
    }

    /// Adds an operation, or finds the equal one that is there.
    #[track_caller]
    pub fn push(&mut self, op: Op, inputs: &[Value], shape: Option<Shape>) -> Value {
        let read: Vec<&Operation> = inputs.iter().map(|value| self.operation(*value)).collect();
        let shapes: Vec<&Shape> = read.iter().map(|operation| &operation.shape).collect();
        let checked = check(&op, &read, shape.as_ref());
        let made =
            checked.and_then(|()| op.shape(&shapes, shape)).unwrap_or_else(|what| panic!("{op:?}: {what}"));
        let key = format!("{op:?} {inputs:?} {made}");
        if let Some(value) = self.known.get(&key) {
            return *value;
        }
        let value = Value(self.operations.len() as u32);
        let (dtype, half) = (op.dtype(), self.is_half(&op, inputs, &made));
        self.operations.push(Operation { op, inputs: inputs.to_vec(), shape: made, dtype, half });
        self.known.insert(key, value);
        value
    }

    // Inputs and outputs.

    /// A tensor of real numbers, bound by name at every run.
    #[track_caller]
    pub fn input(&mut self, name: &str, shape: impl Into<Shape>) -> Value {
        self.push(Op::Input { name: name.into() }, &[], Some(shape.into()))
    }

    /// Keys of random numbers, a row of four words for each of `n` samples (`philox::Key::words`).
    pub fn keys(&mut self, name: &str, n: usize) -> Value {
        let value = self.push(Op::Input { name: name.into() }, &[], Some([n, 4].into()));
        self.operations[value.0 as usize].dtype = Dtype::Bits;
        value
    }

    /// A number given by name at every run.
    pub fn scalar(&mut self, name: &str) -> Value {
        self.push(Op::Scalar { name: name.into() }, &[], None)
    }

    #[track_caller]
    pub fn table(&mut self, values: Vec<f64>, shape: impl Into<Shape>) -> Value {
        self.push(Op::Table { values: Arc::new(values) }, &[], Some(shape.into()))
    }

    /// A parameter: the elements from `offset` of a flat input.
    #[track_caller]
    pub fn window(&mut self, arena: Value, offset: usize, shape: impl Into<Shape>) -> Value {
        self.push(Op::Window { offset }, &[arena], Some(shape.into()))
    }

    /// Hands a value out under a name.
    pub fn output(&mut self, name: &str, mut value: Value) {
        if self.operation(value).half {
            let shape = self.shape(value).clone();
            let before = std::mem::take(&mut self.halves);
            value = self.push(Op::Map { expr: Expr::Input(0) }, &[value], Some(shape));
            self.halves = before;
        }
        self.outputs.push(Output { value, to: Destination::Named(name.into()) });
    }

    /// Writes a value over part of an input tensor, after everything has read it.
    #[track_caller]
    pub fn store(&mut self, input: Value, offset: usize, value: Value) {
        self.check_fits(input, offset, value);
        self.outputs.push(Output { value, to: Destination::Into { input, offset } });
    }

    /// Adds a value to part of an input tensor.
    #[track_caller]
    pub fn accumulate(&mut self, input: Value, offset: usize, value: Value) {
        self.check_fits(input, offset, value);
        self.outputs.push(Output { value, to: Destination::AddedTo { input, offset } });
    }

    #[track_caller]
    fn check_fits(&self, input: Value, offset: usize, value: Value) {
        let (room, len) = (self.shape(input).len(), self.shape(value).len());
        assert!(matches!(self.operation(input).op, Op::Input { .. }), "{input} is no input to store to");
        assert!(offset + len <= room, "{len} elements from {offset} do not fit into the {room} of {input}");
    }

    /// Lets an output hand out another value.
    pub(crate) fn redirect_output(&mut self, at: usize, value: Value) {
        self.outputs[at].value = value;
    }

    // Elementwise.

    /// An elementwise formula; inputs broadcast. `graph.map(&[x, y], |v| v(0) * 0.5 + v(1))`.
    #[track_caller]
    pub fn map(&mut self, inputs: &[Value], formula: impl FnOnce(fn(usize) -> Expr) -> Expr) -> Value {
        let expr = formula(Expr::Input);
        self.push(Op::Map { expr }, inputs, None)
    }

    #[track_caller]
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.map(&[a, b], |v| v(0) + v(1))
    }

    #[track_caller]
    pub fn sub(&mut self, a: Value, b: Value) -> Value {
        self.map(&[a, b], |v| v(0) - v(1))
    }

    #[track_caller]
    pub fn mul(&mut self, a: Value, b: Value) -> Value {
        self.map(&[a, b], |v| v(0) * v(1))
    }

    /// Times a constant; the value itself where that is 1.
    pub fn scale(&mut self, value: Value, by: f64) -> Value {
        if by == 1.0 { value } else { self.map(&[value], |v| v(0) * by) }
    }

    /// The same numbers again and again along new axes and axes of size 1.
    #[track_caller]
    pub fn broadcast(&mut self, value: Value, shape: impl Into<Shape>) -> Value {
        let shape = shape.into();
        if *self.shape(value) == shape {
            return value;
        }
        self.push(Op::Map { expr: Expr::Input(0) }, &[value], Some(shape))
    }

    pub fn silu(&mut self, value: Value) -> Value {
        self.map(&[value], |v| v(0).silu())
    }

    // Reductions and products.

    /// Folds axes, which stay with size 1.
    pub fn reduce(&mut self, by: Fold, value: Value, axes: &[usize]) -> Value {
        if axes.is_empty() {
            value
        } else {
            self.push(Op::Reduce { by, axes: axes.to_vec() }, &[value], None)
        }
    }

    pub fn sum(&mut self, value: Value, axes: &[usize]) -> Value {
        self.reduce(Fold::Sum, value, axes)
    }

    #[track_caller]
    pub fn matmul(&mut self, left: Value, right: Value) -> Value {
        self.push(Op::MatMul { transpose_left: false, transpose_right: false }, &[left, right], None)
    }

    /// `left · rightᵀ`.
    #[track_caller]
    pub fn matmul_transposed(&mut self, left: Value, right: Value) -> Value {
        self.push(Op::MatMul { transpose_left: false, transpose_right: true }, &[left, right], None)
    }

    /// `x [n, cin] · weight [cin, cout] + bias [cout]`.
    #[track_caller]
    pub fn linear(&mut self, x: Value, weight: Value, bias: Option<Value>) -> Value {
        let product = self.matmul(x, weight);
        bias.map_or(product, |bias| self.add(product, bias))
    }

    #[track_caller]
    pub fn conv(&mut self, x: Value, weight: Value, bias: Option<Value>) -> Value {
        let y = self.push(Op::Conv, &[x, weight], None);
        bias.map_or(y, |bias| self.add(y, bias))
    }

    #[track_caller]
    pub fn resample(&mut self, x: Value, resample: Resample) -> Value {
        self.push(Op::Resample(resample), &[x], None)
    }

    /// Images read at other places; gradients do not go through it.
    #[track_caller]
    pub fn warp(&mut self, x: Value, places: Value, warp: Warp) -> Value {
        self.push(Op::Warp(warp), &[x, places], None)
    }

    // Normalisation and attention.

    /// Group norm, then SiLU and dropout if asked: `scale` and `shift` are `[c]` or `[n, c]`.
    #[track_caller]
    pub fn group_norm(&mut self, x: Value, scale: Value, shift: Value, norm: GroupNorm) -> Value {
        let groups = norm.groups;
        let stats = self.push(Op::GroupStats { groups, eps: norm.eps }, &[x], None);
        let mut inputs = vec![x, stats, scale, shift];
        inputs.extend(norm.dropout.map(|(_, keys)| keys));
        let dropout = norm.dropout.map(|(dropout, _)| dropout);
        self.push(Op::Normalize(Normalize { groups, silu: norm.silu, dropout }), &inputs, None)
    }

    pub fn softmax(&mut self, value: Value) -> Value {
        self.push(Op::Softmax, &[value], None)
    }

    #[track_caller]
    pub fn attention(&mut self, qkv: Value, heads: usize) -> Value {
        self.push(Op::Attention { heads }, &[qkv], None)
    }

    // Shapes.

    #[track_caller]
    pub fn concat(&mut self, values: &[Value], axis: usize) -> Value {
        self.push(Op::Concat { axis }, values, None)
    }

    #[track_caller]
    pub fn slice(&mut self, value: Value, axis: usize, range: std::ops::Range<usize>) -> Value {
        let whole = self.shape(value).get(axis).is_some_and(|size| range == (0..*size));
        if whole {
            value
        } else {
            self.push(Op::Slice { axis, start: range.start, end: range.end }, &[value], None)
        }
    }

    #[track_caller]
    pub fn pad(&mut self, value: Value, amounts: &[(usize, usize)]) -> Value {
        let nothing =
            amounts.len() == self.shape(value).rank() && amounts.iter().all(|amount| *amount == (0, 0));
        if nothing { value } else { self.push(Op::Pad { amounts: amounts.to_vec() }, &[value], None) }
    }

    #[track_caller]
    pub fn transpose(&mut self, value: Value, permutation: &[usize]) -> Value {
        self.push(Op::Transpose { permutation: permutation.to_vec() }, &[value], None)
    }

    #[track_caller]
    pub fn reshape(&mut self, value: Value, shape: impl Into<Shape>) -> Value {
        let shape = shape.into();
        if *self.shape(value) == shape { value } else { self.push(Op::Reshape, &[value], Some(shape)) }
    }

    // Random numbers.

    /// Random numbers of the given shape, whose first axis counts the samples of `keys`; `lane` tells draws with the
    /// same keys apart.
    #[track_caller]
    pub fn random(
        &mut self,
        distribution: Distribution,
        keys: Value,
        lane: u32,
        shape: impl Into<Shape>,
    ) -> Value {
        self.push(Op::Random { distribution, lane }, &[keys], Some(shape.into()))
    }
}

/// What [`Graph::group_norm`] does besides normalising.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    pub groups: usize,
    pub eps: f64,
    pub silu: bool,
    /// Which elements to drop, and the keys of the draws.
    pub dropout: Option<(Dropout, Value)>,
}

/// One line an operation, then the outputs.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (value, operation) in self.values().zip(&self.operations) {
            writeln!(f, "{value} = {operation}")?;
        }
        for Output { value, to } in &self.outputs {
            match to {
                Destination::Named(name) => writeln!(f, "{name} <- {value}")?,
                Destination::Into { input, offset } => writeln!(f, "{input}[{offset}..] <- {value}")?,
                Destination::AddedTo { input, offset } => writeln!(f, "{input}[{offset}..] += {value}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// `conv(%3, %5) [2, 8, 8, 32]`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.op {
            Op::Input { name } => write!(f, "input {name:?}")?,
            Op::Scalar { name } => write!(f, "scalar {name:?}")?,
            Op::Table { values } => write!(f, "table of {}", values.len())?,
            Op::Window { offset } => write!(f, "{}[{offset}..]", self.inputs[0])?,
            Op::Map { expr } => write!(f, "map {expr}")?,
            op => write!(f, "{op:?}")?,
        }
        if !self.inputs.is_empty() && !matches!(self.op, Op::Window { .. }) {
            let names: Vec<String> = self.inputs.iter().map(Value::to_string).collect();
            write!(f, " ({})", names.join(", "))?;
        }
        write!(f, " {}{}", self.shape, if self.half { " half" } else { "" })
    }
}
