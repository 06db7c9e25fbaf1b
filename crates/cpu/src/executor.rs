//! Runs the steps of a program: finds where values lie and calls the kernels.

mod attention;
mod elementwise;
mod folds;
mod images;
mod moves;
mod norm;
mod operands;
mod products;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tensor::{
    Bindings, Destination, Dtype, Error, Graph, Kernel, Made, Op, Output, Place, Profile, Program, Result,
    Shape, Step, Tensor, Value,
};

use crate::kernels::conv_weight::transformed;
use crate::kernels::numbers::{Numbers, NumbersMut};
use crate::memory::Buffer;
use crate::tape::Tape;
use crate::{Level, Pool};

/// What is made once for a program.
pub(crate) struct Prepared {
    /// The formulas of steps that have some.
    tapes: Vec<Option<Tape>>,
    /// The numbers of tables, as f32.
    tables: HashMap<Value, Arc<Vec<f32>>>,
    added: BTreeSet<Value>,
    /// Gradients that may stay unfinished: the input and the place that they are added to, the channels of the weights.
    unfinished: BTreeMap<(Value, usize), [usize; 2]>,
}

impl Prepared {
    pub fn new(program: &Program) -> Self {
        let tape = |step: &Step| match &step.kernel {
            Kernel::Map(map) | Kernel::Reduce { map, .. } => Some(Tape::new(&map.exprs)),
            _ => None,
        };
        let table = |value: Value| match &program.graph.operation(value).op {
            Op::Table { values } => Some((value, Arc::new(values.iter().map(|x| *x as f32).collect()))),
            _ => None,
        };
        let (graph, added) = (&program.graph, only_added_to(&program.graph));
        let unfinished = |step: &Step| unfinished(graph, &added, step);
        Prepared {
            tapes: program.steps.iter().map(tape).collect(),
            tables: graph.values().filter_map(table).collect(),
            unfinished: program.steps.iter().filter_map(unfinished).collect(),
            added,
        }
    }
}

/// The inputs that a program does nothing with but add to them.
fn only_added_to(graph: &Graph) -> BTreeSet<Value> {
    let mut added = BTreeSet::new();
    let mut used: BTreeSet<Value> =
        graph.values().flat_map(|value| &graph.operation(value).inputs).copied().collect();
    for output in graph.outputs() {
        match output.to {
            Destination::AddedTo { input, .. } => added.insert(input),
            Destination::Into { input, .. } => used.insert(input),
            Destination::Named(_) => false,
        };
    }
    &added - &used
}

/// Where a step adds the gradient of weights that may stay unfinished, with their channels.
fn unfinished(graph: &Graph, added: &BTreeSet<Value>, step: &Step) -> Option<((Value, usize), [usize; 2])> {
    let (Kernel::ConvWeightGradient(gradient), [made, ..]) = (&step.kernel, &step.outputs[..]) else {
        return None;
    };
    let place = made.into.filter(|(input, _)| step.accumulate && added.contains(input))?;
    let shape = images::weight_gradient_shape(graph, gradient, made.value);
    transformed::suits(shape).then_some((place, [shape.cin, shape.cout]))
}

/// One run: where everything lies.
pub(crate) struct Run<'a> {
    program: &'a Program,
    prepared: &'a Prepared,
    scratch: *mut f32,
    bound: HashMap<Value, *mut f32>,
    /// The bound tensors, whom this keeps alive.
    held: HashMap<Value, Tensor>,
    scalars: HashMap<Value, f32>,
    /// Whether nothing more is added to gradients before they are read.
    last_part: bool,
    fresh: HashMap<Value, (Tensor, *mut f32)>,
}

impl<'a> Run<'a> {
    pub fn new(program: &'a Program, prepared: &'a Prepared, scratch: *mut f32) -> Self {
        let (bound, held, scalars, last_part, fresh) = Default::default();
        Run { program, prepared, scratch, bound, held, scalars, last_part, fresh }
    }

    /// Finds the tensors and numbers that the program reads by name, and finishes what they lack.
    pub fn bind(&mut self, bindings: &Bindings, pool: &mut Pool) -> Result<()> {
        let graph = &self.program.graph;
        for value in graph.values() {
            let operation = graph.operation(value);
            match &operation.op {
                Op::Input { name } => {
                    let tensor = bindings.expect(name, &operation.shape, operation.dtype)?;
                    let memory = tensor.storage::<Buffer>()?.memory();
                    // SAFETY: a tensor lies within its memory.
                    let start = unsafe { memory.pointer().add(tensor.offset()) };
                    self.bound.insert(value, start);
                    self.held.insert(value, tensor.clone());
                }
                Op::Scalar { name } => {
                    self.scalars.insert(value, bindings.number(name)? as f32);
                }
                _ => {}
            }
        }
        self.last_part = bindings.is_last_part();
        self.expect_apart()?;
        self.finish_gradients(pool)
    }

    /// Finishes the gradients that the program reads, and makes room for those that it leaves unfinished.
    fn finish_gradients(&self, pool: &mut Pool) -> Result<()> {
        for (value, tensor) in &self.held {
            if !self.prepared.added.contains(value) {
                tensor.storage::<Buffer>()?.finish(pool);
            }
        }
        let unfinished = self.prepared.unfinished.iter().filter(|_| !self.last_part);
        for ((input, offset), channels) in unfinished {
            let tensor = &self.held[input];
            let mut unfinished = tensor.storage::<Buffer>()?.unfinished();
            unfinished.reserve(pool.level(), tensor.offset() + offset, *channels)?;
        }
        Ok(())
    }

    /// Refuses tensors that are written to under one name and bound to another as well.
    fn expect_apart(&self) -> Result<()> {
        let graph = &self.program.graph;
        let written: BTreeSet<Value> = graph.outputs().iter().filter_map(written_input).collect();
        let memory = |value: Value| {
            let start = self.bound[&value];
            start..start.wrapping_add(self.shape(value).len())
        };
        for to in written {
            let own = memory(to);
            let shares = |other: &Value| {
                let others = memory(*other);
                *other != to && others.start < own.end && own.start < others.end
            };
            if let Some(other) = self.bound.keys().copied().filter(shares).min() {
                let [to, other] = [to, other].map(|value| graph.operation(value));
                return Err(Error::new(format!("{to} is written to, but {other} shares its memory")));
            }
        }
        Ok(())
    }

    /// The tensor that already holds an output.
    pub fn fresh(&self, value: Value) -> Option<&Tensor> {
        match self.program.place(value) {
            Place::Fresh { output } => self.fresh.get(&output).map(|(tensor, _)| tensor),
            _ => None,
        }
    }

    /// Gives an output its memory.
    pub fn hand_out(&mut self, value: Value, tensor: Tensor, start: *mut f32) {
        if let Place::Fresh { output } = self.program.place(value) {
            self.fresh.insert(output, (tensor, start));
        }
    }

    pub fn steps(&mut self, pool: &mut Pool, mut profile: Option<&mut Profile>) {
        let graph = &self.program.graph;
        for (step, tape) in self.program.steps.iter().zip(&self.prepared.tapes) {
            let began = profile.is_some().then(Instant::now);
            self.step(pool, step, tape.as_ref());
            let elapsed = began.map(|began| began.elapsed().as_secs_f64());
            if let (Some(profile), Some(seconds)) = (&mut profile, elapsed) {
                profile.add(step.label(graph), seconds, Some(step.work(graph)));
            }
        }
    }

    fn step(&mut self, pool: &mut Pool, step: &Step, tape: Option<&Tape>) {
        match &step.kernel {
            Kernel::Map(map) => self.map(pool, tape.expect("a map has formulas"), map, step),
            Kernel::Reduce { map, by, axes } => {
                self.reduce(pool, tape.expect("a fold has a formula"), map, (*by, axes), step)
            }
            Kernel::Conv(conv) => self.conv(pool, conv, step),
            Kernel::ConvWeightGradient(gradient) => self.weight_gradient(pool, gradient, step),
            Kernel::NormalizeGradient(gradient) => self.normalize_backward(pool, gradient, step),
            Kernel::Linear { x, weight, bias } => self.linear(pool, [*x, *weight], *bias, step),
            Kernel::Plain { op, inputs } => self.plain(pool, op, inputs, step),
        }
    }

    fn plain(&mut self, pool: &mut Pool, op: &Op, inputs: &[Value], step: &Step) {
        let out = &step.outputs[0];
        match op {
            Op::MatMul { transpose_left, transpose_right } => {
                self.matmul(pool, inputs, [*transpose_left, *transpose_right], step)
            }
            Op::Resample(resample) => self.resample(pool, inputs[0], resample, out),
            Op::Warp(warp) => self.warp(pool, [inputs[0], inputs[1]], warp, out),
            Op::GroupStats { groups, eps } => self.group_stats(pool, inputs[0], *groups, *eps, out),
            Op::Normalize(normalize) => self.normalize(pool, normalize, inputs, out),
            Op::NormalizeSums(normalize) => self.normalize_sums(pool, normalize, inputs, out),
            Op::NormalizeGradient(normalize) => self.normalize_gradient(pool, normalize, inputs, out),
            Op::Softmax => self.softmax(pool, inputs[0], out),
            Op::SoftmaxGradient => self.softmax_gradient(pool, inputs, out),
            Op::Attention { heads } => self.attention(pool, inputs[0], *heads, out),
            Op::AttentionGradient { heads } => self.attention_gradient(pool, inputs, *heads, out),
            Op::Concat { axis } => self.concat(pool, inputs, *axis, out),
            Op::Slice { axis, start, .. } => self.slice(pool, inputs[0], *axis, *start, out),
            Op::Pad { amounts } => self.pad(pool.level(), inputs[0], amounts, out),
            Op::Transpose { permutation } => self.transpose(inputs[0], permutation, out),
            Op::Random { distribution, lane } => self.random(pool, *distribution, *lane, inputs[0], out),
            op => unreachable!("{op:?} is no step of its own"),
        }
    }

    fn shape(&self, value: Value) -> &'a Shape {
        self.program.graph.shape(value)
    }

    /// Where the numbers of a value are; scalars are elsewhere.
    fn pointer(&self, value: Value) -> *mut f32 {
        match self.program.place(value) {
            // SAFETY: the plan keeps scratch places within `program.scratch`, and parameters within their arena.
            Place::Scratch { offset } => unsafe { self.scratch.add(offset) },
            // SAFETY: as above.
            Place::Bound { input, offset } => unsafe { self.bound[&input].add(offset) },
            Place::Fresh { output } => self.fresh[&output].1,
            Place::Table { input } => self.prepared.tables[&input].as_ptr().cast_mut(),
            Place::Scalar { .. } => unreachable!("a scalar has no memory"),
        }
    }

    /// Whether a value has 16 bits: only where the program keeps it to itself.
    fn is_half(&self, value: Value) -> bool {
        self.program.graph.operation(value).half && matches!(self.program.place(value), Place::Scratch { .. })
    }

    /// The numbers of a value.
    fn numbers(&self, value: Value) -> Numbers<'a> {
        let (start, len) = (self.pointer(value), self.shape(value).len());
        // SAFETY: the plan gives values that are needed at the same time different memory, so nobody writes to what a
        // step reads; an elementwise step that writes over its operand goes through `elementwise`, in step with it.
        unsafe {
            match self.is_half(value) {
                true => Numbers::Bf16(std::slice::from_raw_parts(start.cast(), len)),
                false => Numbers::F32(std::slice::from_raw_parts(start, len)),
            }
        }
    }

    /// The numbers of a value in 32 bits. Those that are stored in 16 are copied: networks have few such values that
    /// their kernels do not read as they are.
    fn floats(&self, level: Level, value: Value) -> Cow<'a, [f32]> {
        match self.numbers(value) {
            Numbers::F32(numbers) => Cow::Borrowed(numbers),
            halves => {
                let mut floats = vec![0.0; halves.len()];
                halves.copy_to(level, NumbersMut::F32(&mut floats));
                Cow::Owned(floats)
            }
        }
    }

    /// The keys of random numbers.
    fn rows(&self, value: Value) -> &'a [philox::Row] {
        debug_assert_eq!(self.program.graph.operation(value).dtype, Dtype::Bits);
        // SAFETY: `[n, 4]` words, and a row is four words without padding.
        unsafe { std::slice::from_raw_parts(self.pointer(value).cast(), self.shape(value)[0]) }
    }

    /// Where a step writes.
    fn result_pointer(&self, made: &Made) -> *mut f32 {
        match made.into {
            // SAFETY: what is stored lies within the input, as the graph made sure when it was written.
            Some((input, offset)) => unsafe { self.bound[&input].add(offset) },
            None => self.pointer(made.value),
        }
    }

    /// Where a step writes.
    fn stored(&self, made: &Made) -> NumbersMut<'a> {
        if made.into.is_some() || !self.is_half(made.value) {
            return NumbersMut::F32(self.result(made));
        }
        let (start, len) = (self.pointer(made.value), self.shape(made.value).len());
        // SAFETY: see `numbers`.
        NumbersMut::Bf16(unsafe { std::slice::from_raw_parts_mut(start.cast(), len) })
    }

    /// Where a step writes what always has 32 bits.
    #[allow(clippy::mut_from_ref)] // steps run one after another, and each writes to memory that none of its inputs is in
    fn result(&self, made: &Made) -> &'a mut [f32] {
        // SAFETY: see `numbers`.
        unsafe { std::slice::from_raw_parts_mut(self.result_pointer(made), self.shape(made.value).len()) }
    }
}

/// The input that an output goes to, if it goes to one.
fn written_input(output: &Output) -> Option<Value> {
    match output.to {
        Destination::Into { input, .. } | Destination::AddedTo { input, .. } => Some(input),
        Destination::Named(_) => None,
    }
}
