//! Lowers a program to dispatches: which kernels run, on what, in which order. It needs no adapter.

use std::collections::HashMap;

use tensor::{Dtype, Error, Kernel, Made, Op, Place, Program, Result, Shape, Step, Value, WeightGradient};

use crate::call::{Call, Memory, View};
use crate::folds::Folds;
use crate::memory::mebibytes;
use crate::patterns::Patterns;
use crate::shader::Element;

/// What a program is on a GPU.
#[derive(Debug, Default)]
pub struct Schedule {
    pub calls: Vec<Call>,
    /// The memory that calls make for each other.
    pub made: Vec<Room>,
    pub constants: Vec<Constant>,
}

/// Memory of a program's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Room {
    pub element: Element,
    pub len: usize,
    /// What lies there, for messages.
    pub what: String,
}

impl Room {
    pub fn bytes(&self) -> usize {
        self.element.bytes() * self.len
    }
}

/// Numbers that are known before the first run.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    F32(Vec<f32>),
    U32(Vec<u32>),
}

/// What an adapter offers to lowering.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// Bytes of the largest binding.
    pub largest_binding: usize,
    /// Whether tensors may be stored in 16 bits.
    pub halves: bool,
    /// Whether workgroups may multiply tiles of matrices together.
    pub cooperative: bool,
}

/// Parts of buffers are bound from multiples of this many bytes on: enough for every adapter.
pub(crate) const WINDOW_ALIGNMENT: u64 = 256;

impl Schedule {
    /// Makes sure that nothing has to be bound that is larger than what can be.
    ///
    /// # Errors
    /// What is too large, with its size.
    pub fn check(&self, program: &Program, offer: Offer) -> Result<()> {
        let most = offer.largest_binding;
        for (call, view) in self.calls.iter().flat_map(|call| call.views.iter().map(move |view| (call, view)))
        {
            let (bytes, what) = match view.memory {
                Memory::Made(room) => (self.made[room].bytes(), self.made[room].what.clone()),
                Memory::Bound(value) | Memory::Fresh(value) => {
                    let part = view.len * view.element.bytes() + WINDOW_ALIGNMENT as usize;
                    (part, program.graph.operation(value).to_string())
                }
                Memory::Constant(_) => (view.len * view.element.bytes(), "a table".to_owned()),
            };
            if bytes > most {
                let [bytes, most] = [bytes, most].map(|bytes| mebibytes(bytes as u64));
                return Err(Error::too_large(format!(
                    "`{}` needs {bytes} of {what} at once, and this GPU binds at most {most}; \
                     take a smaller batch or network, a `micro_batch`, or `--device cpu`",
                    call.label
                )));
            }
        }
        Ok(())
    }

    pub fn new(program: &Program, offer: Offer) -> Self {
        let mut lowering = Lowering {
            program,
            offer,
            patterns: Patterns::find(program),
            views: HashMap::new(),
            activated: HashMap::new(),
            waiting: Vec::new(),
            folds: Folds::default(),
            schedule: Schedule::default(),
        };
        for step in &program.steps {
            lowering.step(step);
        }
        lowering.flush_folds();
        lowering.schedule
    }
}

/// A program on its way to a [`Schedule`]. Each file of `kernels/` knows how to lower some steps.
pub(crate) struct Lowering<'a> {
    pub program: &'a Program,
    pub offer: Offer,
    pub patterns: Patterns,
    pub folds: Folds,
    pub schedule: Schedule,
    /// Where values lie that steps or constants have made.
    views: HashMap<Value, View>,
    /// What norms made, by their statistics, where the gradient of a norm wrote it once more.
    pub activated: HashMap<Value, View>,
    /// Weight gradients that wait for that.
    waiting: Vec<(&'a WeightGradient, &'a Step)>,
}

impl<'a> Lowering<'a> {
    fn step(&mut self, step: &'a Step) {
        if self.patterns.is_done_elsewhere(&step.outputs[0]) {
            return;
        }
        match &step.kernel {
            Kernel::Map(map) => self.map(map, step),
            Kernel::Reduce { map, by, axes } => {
                self.reduce(map, (*by, axes), &step.outputs[0], step.accumulate)
            }
            Kernel::Conv(conv) => {
                self.conv(conv, &step.outputs[0]);
                self.result_stats(conv, step);
            }
            Kernel::ConvWeightGradient(gradient) => {
                self.sum_pixels(gradient, step);
                self.weight_gradient(gradient, step);
            }
            Kernel::NormalizeGradient(gradient) => {
                self.normalize_backward(gradient, step);
                for (gradient, step) in std::mem::take(&mut self.waiting) {
                    self.weight_gradient(gradient, step);
                }
            }
            Kernel::Linear { x, weight, bias } => self.linear(*x, *weight, *bias, step),
            Kernel::Plain { op, inputs } => self.plain(op, inputs, step),
        }
    }

    /// The gradient of a convolution's weights, after the gradient of the norm that it loads where that writes what the
    /// norm made.
    fn weight_gradient(&mut self, gradient: &'a WeightGradient, step: &'a Step) {
        match &gradient.load.norm {
            Some(norm)
                if self.patterns.is_loaded_again(norm.stats) && !self.activated.contains_key(&norm.stats) =>
            {
                self.waiting.push((gradient, step))
            }
            _ => self.conv_weight_gradient(gradient, step),
        }
    }

    fn plain(&mut self, op: &'a Op, inputs: &[Value], step: &Step) {
        let out = &step.outputs[0];
        match op {
            Op::MatMul { transpose_left, transpose_right } => {
                self.matmul(inputs, [*transpose_left, *transpose_right], step)
            }
            Op::Resample(resample) => self.resample(inputs[0], resample, out),
            Op::Warp(warp) => self.warp([inputs[0], inputs[1]], warp, out),
            Op::GroupStats { groups, eps } => self.group_stats(inputs[0], *groups, *eps, out),
            Op::Normalize(normalize) => self.normalize(normalize, inputs, out),
            Op::NormalizeSums(normalize) => self.normalize_sums(normalize, inputs, out),
            Op::NormalizeGradient(normalize) => self.normalize_gradient(normalize, inputs, out),
            Op::Softmax => self.softmax(inputs[0], out),
            Op::SoftmaxGradient => self.softmax_gradient(inputs, out),
            Op::Attention { heads } => self.attention(inputs[0], *heads, out),
            Op::AttentionGradient { heads } => self.attention_gradient(inputs, *heads, out),
            Op::Concat { axis } => self.concat(inputs, *axis, out),
            Op::Slice { axis, start, .. } => self.slice(inputs[0], *axis, *start, out),
            Op::Pad { amounts } => self.pad(inputs[0], amounts, out),
            Op::Transpose { permutation } => self.transpose(inputs[0], permutation, out),
            Op::Random { distribution, lane } => self.random(*distribution, *lane, inputs[0], out),
            op => unreachable!("{op:?} is no step of its own"),
        }
    }

    pub fn shape(&self, value: Value) -> &'a Shape {
        self.program.graph.shape(value)
    }

    pub fn sizes<const N: usize>(&self, value: Value) -> [usize; N] {
        std::array::from_fn(|axis| self.shape(value)[axis])
    }

    /// The operation that made a value, seen through reshapes.
    pub fn op(&self, value: Value) -> &'a Op {
        &self.program.graph.operation(value).op
    }

    pub fn push(&mut self, call: Call) {
        self.schedule.calls.push(call);
    }

    /// How a value's elements lie in memory of the program's own.
    pub fn element(&self, value: Value) -> Element {
        let operation = self.program.graph.operation(value);
        match operation.dtype {
            Dtype::Real if operation.half && self.offer.halves => Element::F16,
            Dtype::Real => Element::F32,
            Dtype::Bits => Element::U32,
        }
    }

    /// Where to read a value.
    pub fn view(&mut self, value: Value) -> View {
        match self.program.place(value) {
            Place::Scratch { .. } => self.views[&self.program.root(value)],
            Place::Table { input } => self.table(input),
            _ => self.given(value),
        }
    }

    /// Where a step writes.
    pub fn result(&mut self, made: &Made) -> View {
        if let Some((input, offset)) = made.into {
            let len = self.shape(made.value).len();
            return View { memory: Memory::Bound(input), element: Element::F32, offset, len };
        }
        if !matches!(self.program.place(made.value), Place::Scratch { .. }) {
            return self.given(made.value);
        }
        let root = self.program.root(made.value);
        let view = match self.patterns.folds_of(root) {
            Some(folds) => self.make_to_fold(made.value, folds),
            None => {
                let what = format!("{} {}", made.value, self.shape(made.value));
                self.work(self.element(made.value), self.shape(made.value).len(), what)
            }
        };
        self.views.insert(root, view);
        view
    }

    /// The place of a value that lies outside of the program's own memory.
    fn given(&self, value: Value) -> View {
        let element = if self.element(value) == Element::U32 { Element::U32 } else { Element::F32 };
        let len = self.shape(value).len();
        match self.program.place(value) {
            Place::Bound { input, offset } => View { memory: Memory::Bound(input), element, offset, len },
            Place::Fresh { output } => View { memory: Memory::Fresh(output), element, offset: 0, len },
            place => unreachable!("{value} is a {place:?}, which is no memory"),
        }
    }

    /// New memory for a few calls.
    pub fn work(&mut self, element: Element, len: usize, what: impl Into<String>) -> View {
        self.schedule.made.push(Room { element, len, what: what.into() });
        View { memory: Memory::Made(self.schedule.made.len() - 1), element, offset: 0, len }
    }

    fn table(&mut self, table: Value) -> View {
        if let Some(view) = self.views.get(&table) {
            return *view;
        }
        let Op::Table { values } = self.op(table) else { unreachable!("{table} is a table") };
        let view = self.constant(Constant::F32(values.iter().map(|value| *value as f32).collect()));
        self.views.insert(table, view);
        view
    }

    pub fn constant(&mut self, numbers: Constant) -> View {
        let (element, len) = match &numbers {
            Constant::F32(numbers) => (Element::F32, numbers.len()),
            Constant::U32(numbers) => (Element::U32, numbers.len()),
        };
        self.schedule.constants.push(numbers);
        View { memory: Memory::Constant(self.schedule.constants.len() - 1), element, offset: 0, len }
    }
}
