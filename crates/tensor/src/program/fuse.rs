//! Turns operations into kernel calls: a fixed list of patterns, no search.
//!
//! - What follows a convolution or the gradient of a norm, `+ bias`, `+ embedding`, `+ residual`, `* constant`, in this
//!   order, becomes its [`Store`].
//! - Plain resampling and normalisation in front of a convolution become its [`Load`], also in its weight gradient:
//!   they are worked out again rather than kept.
//! - Elementwise formulas melt into the only formula or fold that reads them.
//! - The two passes of a norm's gradient become one step.
//! - Formulas that are stored over inputs of one size, such as Adam's, become one pass.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::kernel::{Conv, Kernel, Load, Made, Map, Norm, NormalizeGradient, Step, Store, WeightGradient};
use super::root;
use crate::op::{Fold, Op, Resample};
use crate::{Destination, Expr, Graph, Value};

/// Formulas stop growing here: beyond, fusing saves little.
const LARGEST_FORMULA: usize = 96;

/// Formulas take in others only as long as they read no more tensors than this: devices bind few at once.
const MOST_INPUTS: usize = 8;

pub(super) fn fuse(graph: &Graph) -> Vec<Step> {
    let mut fuser = Fuser::new(graph);
    fuser.find_stores();
    fuser.lower_outputs();
    fuser.finish()
}

struct Fuser<'a> {
    graph: &'a Graph,
    users: HashMap<Value, Vec<Value>>,
    outputs: HashSet<Value>,
    /// The last value of a chain of stores, with what starts it.
    stores: HashMap<Value, (Value, Store)>,
    /// Values inside such a chain.
    inside: HashSet<Value>,
    /// The sums of a norm's gradient, with the value whose step makes them as well.
    sums: HashMap<Value, Value>,
    /// Steps by the value that they make, which is also their order, and where they add it.
    steps: BTreeMap<(Value, Option<(Value, usize)>), Step>,
    /// Steps that change inputs, after all others.
    last: Vec<Step>,
}

impl<'a> Fuser<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut fuser = Fuser {
            graph,
            users: HashMap::new(),
            outputs: graph.outputs().iter().map(|output| output.value).collect(),
            stores: HashMap::new(),
            inside: HashSet::new(),
            sums: HashMap::new(),
            steps: BTreeMap::new(),
            last: Vec::new(),
        };
        for value in live(graph) {
            for input in &graph.operation(value).inputs {
                let users = fuser.users.entry(*input).or_default();
                if !users.contains(&value) {
                    users.push(value);
                }
            }
        }
        fuser
    }

    /// The only reader of a value that nothing else needs.
    fn only_user(&self, value: Value) -> Option<Value> {
        match self.users.get(&value).map(Vec::as_slice) {
            Some([user]) if !self.outputs.contains(&value) => Some(*user),
            _ => None,
        }
    }

    fn op(&self, value: Value) -> &'a Op {
        &self.graph.operation(value).op
    }

    fn inputs(&self, value: Value) -> &'a [Value] {
        &self.graph.operation(value).inputs
    }

    // Stores.

    fn find_stores(&mut self) {
        for value in self.graph.values() {
            let makes_sums = self.makes_its_sums(value);
            if makes_sums || matches!(self.op(value), Op::Conv | Op::ConvInputGradient) {
                let (mut end, mut store, mut chain) = (value, Store::default(), Vec::new());
                while let Some(user) = self.only_user(end).filter(|user| !self.stores.contains_key(user)) {
                    if !self.absorb([value, end], user, &mut store) {
                        break;
                    }
                    chain.push(end);
                    end = user;
                }
                self.inside.extend(chain);
                if makes_sums {
                    self.sums.insert(self.inputs(value)[1], end);
                }
                self.stores.insert(end, (value, store));
            }
        }
    }

    /// Whether a value is the gradient of a norm that something needs, with the sums of the same norm.
    fn makes_its_sums(&self, value: Value) -> bool {
        let Op::NormalizeGradient(normalize) = self.op(value) else { return false };
        let [dy, sums, forward @ ..] = self.inputs(value) else { return false };
        let needed = self.users.contains_key(&value) || self.outputs.contains(&value);
        let same = matches!(self.op(*sums), Op::NormalizeSums(other) if other == normalize);
        needed && same && self.inputs(*sums)[0] == *dy && self.inputs(*sums)[1..] == *forward
    }

    /// Takes the formula `user` of `result` into the store, if it is one of those that a store can do next.
    fn absorb(&self, [start, result]: [Value; 2], user: Value, store: &mut Store) -> bool {
        let Op::Map { expr } = self.op(user) else { return false };
        if store.scale != 1.0 || self.graph.shape(user) != self.graph.shape(result) {
            return false;
        }
        let inputs = self.inputs(user);
        if let Some(factor) = as_scale(expr).filter(|_| inputs == [result]) {
            store.scale = factor;
            return true;
        }
        let other = match inputs {
            [a, b] if is_sum(expr) && *a == result && *b != result => *b,
            [b, a] if is_sum(expr) && *a == result && *b != result => *b,
            _ => return false,
        };
        // A value inside another chain is never made on its own.
        let residual_only = !matches!(self.op(start), Op::Conv | Op::ConvInputGradient);
        let fits = !residual_only || self.graph.shape(other) == self.graph.shape(result);
        fits && !self.inside.contains(&other) && self.absorb_sum(result, other, store)
    }

    fn absorb_sum(&self, result: Value, other: Value, store: &mut Store) -> bool {
        let (shape, added) = (self.graph.shape(result), self.graph.shape(other));
        let (channels, last) = (shape.channels(), store.residual.is_some());
        if last {
            return false;
        }
        if added == shape {
            store.residual = Some(other);
        } else if added.len() == channels && added.channels() == channels && store.channel.is_none() {
            // With one sample, what is added to a channel looks like a bias; both may be there.
            let slot = if store.bias.is_none() { &mut store.bias } else { &mut store.channel };
            *slot = Some(other);
        } else if added.len() == shape[0] * channels && added[0] == shape[0] && store.channel.is_none() {
            store.channel = Some(other);
        } else {
            return false;
        }
        true
    }

    // Loads.

    fn load(&self, value: Value) -> Load {
        let (mut source, mut resample) = (value, None);
        if let Op::Resample(plain) = self.op(source)
            && is_plain(plain)
        {
            (source, resample) = (self.inputs(source)[0], Some(plain.clone()));
        }
        let Op::Normalize(normalize) = self.op(source) else { return Load { source, norm: None, resample } };
        let [x, stats, scale, shift, keys @ ..] = self.inputs(source) else {
            unreachable!("normalize has inputs")
        };
        let dropout = normalize.dropout.zip(keys.first().copied());
        let (groups, silu) = (normalize.groups, normalize.silu);
        let norm = Norm { groups, silu, dropout, stats: *stats, scale: *scale, shift: *shift };
        Load { source: *x, norm: Some(norm), resample }
    }

    // Formulas.

    /// The formula of a value with everything melted in that only it reads; `all` melts in all of the same shape.
    fn formula(&self, value: Value, all: bool) -> (Vec<Value>, Expr) {
        let mut inputs = Vec::new();
        let expr = self.melt(value, value, all, 0, &mut inputs);
        (inputs, expr)
    }

    /// `reserved` counts the inputs that formulas further up still add.
    fn melt(
        &self,
        value: Value,
        top: Value,
        all: bool,
        reserved: usize,
        inputs: &mut Vec<Value>,
    ) -> Expr {
        let Op::Map { expr } = self.op(value) else { return Self::number(value, inputs) };
        let own = self.inputs(value);
        let mut melted = Vec::new();
        for (at, input) in own.iter().enumerate() {
            let reserved = reserved + own.len() - at - 1;
            let fits = all || inputs.len() + reserved + self.inputs(*input).len() <= MOST_INPUTS;
            melted.push(match fits && self.melts(*input, top, all) {
                true => self.melt(*input, top, all, reserved, inputs),
                false => Self::number(*input, inputs),
            });
        }
        expr.substitute(&|i| melted[i].clone())
    }

    fn number(value: Value, inputs: &mut Vec<Value>) -> Expr {
        let at = inputs.iter().position(|input| *input == value).unwrap_or_else(|| {
            inputs.push(value);
            inputs.len() - 1
        });
        Expr::Input(at)
    }

    fn melts(&self, value: Value, top: Value, all: bool) -> bool {
        let Op::Map { expr } = self.op(value) else { return false };
        self.graph.shape(value) == self.graph.shape(top)
            && !self.stores.contains_key(&value)
            && !self.inside.contains(&value)
            && (all || (self.only_user(value).is_some() && expr.size() <= LARGEST_FORMULA))
    }

    // Outputs.

    fn lower_outputs(&mut self) {
        let stored = self.stored_formulas();
        self.lower_stored(&stored);
        for output in self.graph.outputs() {
            match output.to {
                Destination::Named(_) => self.lower(output.value),
                Destination::Into { input, offset } if !stored.contains(&output.value) => {
                    self.lower(output.value);
                    self.last.push(copy(self.graph, output.value, (input, offset), false));
                }
                Destination::Into { .. } => {}
                Destination::AddedTo { input, offset } => self.lower_added(output.value, (input, offset)),
            }
        }
    }

    /// The formulas that can be stored over inputs in one pass: they read those inputs at the place they write only.
    fn stored_formulas(&self) -> Vec<Value> {
        let into = |value: &Value| {
            self.graph.outputs().iter().any(|o| o.value == *value && matches!(o.to, Destination::Into { .. }))
        };
        let formulas: Vec<Value> = self.graph.values().filter(into).collect();
        let elementwise = |value: &Value| {
            matches!(self.op(*value), Op::Map { .. })
                && self.graph.shape(*value) == self.graph.shape(formulas[0])
                && self.users.get(value).is_none_or(|users| users.iter().all(|user| formulas.contains(user)))
                && self.formula(*value, true).0.iter().all(|input| self.is_whole(*input, *value))
        };
        if formulas.iter().all(elementwise) { formulas } else { Vec::new() }
    }

    /// Whether an input of a stored formula is a scalar or lines up with the whole of what is stored.
    fn is_whole(&self, input: Value, formula: Value) -> bool {
        let shape = self.graph.shape(input);
        shape.is_scalar()
            || (shape == self.graph.shape(formula) && matches!(self.op(input), Op::Input { .. }))
    }

    fn lower_stored(&mut self, formulas: &[Value]) {
        if formulas.is_empty() {
            return;
        }
        let (mut inputs, mut exprs, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        for output in self.graph.outputs() {
            if let Destination::Into { input, offset } = output.to {
                exprs.push(self.melt(output.value, output.value, true, 0, &mut inputs));
                outputs.push(Made { value: output.value, into: Some((input, offset)) });
            }
        }
        inputs.iter().for_each(|input| self.lower(*input));
        let shape = self.graph.shape(formulas[0]).clone();
        let kernel = Kernel::Map(Map { shape, inputs, exprs });
        self.last.push(Step { kernel, outputs, accumulate: false });
    }

    /// A sum over samples goes straight to where it is added; one that goes to two places is folded twice, as adding
    /// it whole would show where a batch was split.
    fn lower_added(&mut self, value: Value, to: (Value, usize)) {
        let made = root(self.graph, value);
        let kernel = if is_given(self.op(made)) { None } else { Some(self.kernel(made)) };
        match kernel.filter(folds_samples) {
            Some(kernel) => {
                kernel.inputs().into_iter().for_each(|input| self.lower(input));
                let outputs = vec![Made { value: made, into: Some(to) }];
                self.steps.insert((made, Some(to)), Step { kernel, outputs, accumulate: true });
            }
            None => {
                self.lower(made);
                self.last.push(copy(self.graph, value, to, true));
            }
        }
    }

    // Steps.

    /// Makes the step for a value and, first, those for all it reads.
    fn lower(&mut self, value: Value) {
        let mut waiting = vec![value];
        while let Some(value) = waiting.pop() {
            let value = root(self.graph, value);
            let value = self.sums.get(&value).copied().unwrap_or(value);
            if self.steps.contains_key(&(value, None)) || is_given(self.op(value)) {
                continue;
            }
            let kernel = self.kernel(value);
            waiting.extend(kernel.inputs());
            let mut outputs = vec![Made { value, into: None }];
            outputs.extend(self.sums_of(&kernel, value));
            self.steps.insert((value, None), Step { kernel, outputs, accumulate: false });
        }
    }

    /// The sums that the gradient of a norm makes besides `value`.
    fn sums_of(&self, kernel: &Kernel, value: Value) -> Option<Made> {
        let Kernel::NormalizeGradient(_) = kernel else { return None };
        let (start, _) = self.stores.get(&value)?;
        Some(Made { value: self.inputs(*start)[1], into: None })
    }

    fn kernel(&self, value: Value) -> Kernel {
        let (start, store) = self.stores.get(&value).cloned().unwrap_or((value, Store::default()));
        let inputs = self.inputs(start);
        match self.op(start) {
            Op::Conv => {
                let load = self.load(inputs[0]);
                Kernel::Conv(Conv { load, weight: inputs[1], transposed: false, store })
            }
            Op::ConvInputGradient => {
                let load = Load { source: inputs[0], norm: None, resample: None };
                Kernel::Conv(Conv { load, weight: inputs[1], transposed: true, store })
            }
            Op::ConvWeightGradient { taps } => {
                let load = self.load(inputs[0]);
                Kernel::ConvWeightGradient(WeightGradient { load, dy: inputs[1], taps: *taps })
            }
            Op::NormalizeGradient(normalize) if self.makes_its_sums(start) => {
                let (normalize, dy, forward) = (normalize.clone(), inputs[0], inputs[2..].to_vec());
                Kernel::NormalizeGradient(NormalizeGradient { normalize, dy, forward, store })
            }
            Op::Map { .. } => {
                let (inputs, expr) = self.formula(start, false);
                Kernel::Map(Map { shape: self.graph.shape(start).clone(), inputs, exprs: vec![expr] })
            }
            Op::Reduce { by, axes } => {
                let shape = self.graph.shape(inputs[0]).clone();
                let (inputs, expr) = match self.melts(inputs[0], inputs[0], false) {
                    true => self.formula(inputs[0], false),
                    false => (inputs.to_vec(), Expr::Input(0)),
                };
                Kernel::Reduce { map: Map { shape, inputs, exprs: vec![expr] }, by: *by, axes: axes.clone() }
            }
            op => Kernel::Plain { op: op.clone(), inputs: inputs.to_vec() },
        }
    }

    /// The steps in the order of what they make, but for those that others need earlier.
    fn finish(self) -> Vec<Step> {
        let steps: Vec<Step> = self.steps.into_values().collect();
        let made = steps.iter().enumerate().flat_map(|(at, step)| {
            step.outputs.iter().filter(|made| made.into.is_none()).map(move |made| (made.value, at))
        });
        let maker: HashMap<Value, usize> = made.collect();
        let mut order = Vec::new();
        let mut placed = vec![false; steps.len()];
        for at in 0..steps.len() {
            let mut waiting = vec![at];
            while let Some(&next) = waiting.last() {
                let inputs = steps[next].kernel.inputs();
                let missing = inputs.iter().filter_map(|input| maker.get(&root(self.graph, *input)));
                let missing: Vec<usize> = missing.copied().filter(|maker| !placed[*maker]).collect();
                if missing.is_empty() || placed[next] {
                    waiting.pop();
                    if !std::mem::replace(&mut placed[next], true) {
                        order.push(next);
                    }
                }
                waiting.extend(missing);
            }
        }
        let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
        order.into_iter().filter_map(|at| steps[at].take()).chain(self.last).collect()
    }
}

/// The values that outputs depend on.
fn live(graph: &Graph) -> HashSet<Value> {
    let mut live = HashSet::new();
    let mut waiting: Vec<Value> = graph.outputs().iter().map(|output| output.value).collect();
    while let Some(value) = waiting.pop() {
        if live.insert(value) {
            waiting.extend(&graph.operation(value).inputs);
        }
    }
    live
}

/// Whether a value is there before the first step.
pub(super) fn is_given(op: &Op) -> bool {
    matches!(op, Op::Input { .. } | Op::Scalar { .. } | Op::Table { .. } | Op::Window { .. })
}

/// Kernels that add to what is there sample by sample, so that a batch may come in parts.
fn folds_samples(kernel: &Kernel) -> bool {
    match kernel {
        Kernel::ConvWeightGradient(_) => true,
        Kernel::Reduce { by: Fold::Sum, axes, .. } => axes == &[0],
        Kernel::Plain { op: Op::MatMul { transpose_left: true, transpose_right: false }, .. } => true,
        _ => false,
    }
}

fn copy(graph: &Graph, value: Value, to: (Value, usize), accumulate: bool) -> Step {
    let map = Map { shape: graph.shape(value).clone(), inputs: vec![value], exprs: vec![Expr::Input(0)] };
    let kernel = Kernel::Map(map);
    Step { kernel, outputs: vec![Made { value, into: Some(to) }], accumulate }
}

fn is_sum(expr: &Expr) -> bool {
    *expr == Expr::Input(0) + Expr::Input(1) || *expr == Expr::Input(1) + Expr::Input(0)
}

fn as_scale(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Binary(crate::Binary::Mul, a, b) => match (a.as_ref(), b.as_ref()) {
            (Expr::Input(0), Expr::Constant(factor)) | (Expr::Constant(factor), Expr::Input(0)) => {
                Some(*factor)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether resampling repeats or averages 2x2 pixels.
fn is_plain(resample: &Resample) -> bool {
    let plain = if resample.up { Resample::up(&[1.0, 1.0]) } else { Resample::down(&[1.0, 1.0]) };
    *resample == plain
}
