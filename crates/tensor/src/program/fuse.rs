//! Turns operations into kernel calls: a fixed list of patterns, no search.
//!
//! - What follows a convolution or the gradient of a norm, `+ bias`, `+ embedding`, `+ residual`, `* constant`, in this
//!   order, becomes its [`Store`].
//! - A product with a bias becomes one step.
//! - Plain resampling and normalisation in front of a convolution become its [`Load`], also in its weight gradient:
//!   they are worked out again rather than kept.
//! - Elementwise formulas melt into the only formula or fold that reads them.
//! - The two passes of a norm's gradient become one step.
//! - The statistics of a convolution's result become a second output of it.
//! - Sums of images over their pixels become a second output of the weight gradient that reads the same images.
//! - Formulas that are stored over inputs of one size, such as Adam's, become one pass.
//! - A formula whose place in an input nothing else touches is stored as soon as what it reads is there.

mod formulas;
mod stores;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::kernel::{
    Conv, Kernel, Load, Made, Map, Norm, NormalizeGradient, Stats, Step, Store, WeightGradient,
};
use super::root;
use crate::op::{Fold, Op, Resample};
use crate::{Destination, Expr, Graph, Value};

pub(super) fn fuse(graph: &Graph) -> Vec<Step> {
    let mut fuser = Fuser::new(graph);
    fuser.find_stores();
    fuser.lower_outputs();
    fuser.join_stats();
    fuser.join_pixel_sums();
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

    // Outputs.

    fn lower_outputs(&mut self) {
        let stored = self.stored_formulas();
        self.lower_stored(&stored);
        for output in self.graph.outputs() {
            match output.to {
                Destination::Named(_) => self.lower(output.value),
                Destination::Into { .. } if stored.contains(&output.value) => {}
                Destination::Into { input, offset } if self.is_stored_at_once(output) => {
                    self.lower_at_once(output.value, (input, offset));
                }
                Destination::Into { input, offset } => {
                    self.lower(output.value);
                    self.last.push(copy(self.graph, output.value, (input, offset), false));
                }
                Destination::AddedTo { input, offset } => self.lower_added(output.value, (input, offset)),
            }
        }
    }

    /// A sum over samples goes straight to where it is added; one that goes to two places is folded twice, as adding
    /// it whole would show where a batch was split.
    fn lower_added(&mut self, value: Value, to: (Value, usize)) {
        let made = root(self.graph, value);
        // What reads the input reads it as it was, so it changes last then; and a step adds once.
        let last = self.users.contains_key(&to.0) || self.steps.contains_key(&(made, Some(to)));
        let kernel = if last || is_given(self.op(made)) { None } else { Some(self.kernel(made)) };
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
                Kernel::Conv(Conv { load, weight: inputs[1], transposed: false, store, stats: None })
            }
            Op::ConvInputGradient => {
                let load = Load { source: inputs[0], norm: None, resample: None };
                Kernel::Conv(Conv { load, weight: inputs[1], transposed: true, store, stats: None })
            }
            Op::ConvWeightGradient { taps } => {
                let load = self.load(inputs[0]);
                Kernel::ConvWeightGradient(WeightGradient { load, dy: inputs[1], taps: *taps })
            }
            Op::MatMul { .. } if store.bias.is_some() => {
                let bias = store.bias.expect("there is a bias");
                Kernel::Linear { x: inputs[0], weight: inputs[1], bias }
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

    /// Lets convolutions make the statistics of their results.
    fn join_stats(&mut self) {
        let stats: Vec<(Value, Value, Stats)> =
            self.steps.values().filter_map(|step| self.stats_of(step)).collect();
        for (made, images, stats) in stats {
            if let Some(step) = self.steps.get_mut(&(images, None))
                && let Kernel::Conv(conv) = &mut step.kernel
                && conv.stats.is_none()
            {
                conv.stats = Some(stats);
                step.outputs.push(Made { value: made, into: None });
                self.steps.remove(&(made, None));
            }
        }
    }

    /// The statistics that a step makes, and of which images, with their shape.
    fn stats_of(&self, step: &Step) -> Option<(Value, Value, Stats)> {
        let Kernel::Plain { op: Op::GroupStats { groups, eps }, inputs } = &step.kernel else { return None };
        let images = root(self.graph, inputs[0]);
        let stats = Stats { groups: *groups, eps: *eps };
        (self.graph.shape(images) == self.graph.shape(inputs[0])).then_some((
            step.outputs[0].value,
            images,
            stats,
        ))
    }

    /// Lets weight gradients make the sums over pixels, for the gradients of biases, of the images that they read anyway.
    fn join_pixel_sums(&mut self) {
        let sums: Vec<(Value, Value)> = self
            .steps
            .iter()
            .filter_map(|((made, _), step)| Some((*made, summed_images(self.graph, step)?)))
            .collect();
        for (sums, images) in sums {
            let gradient = self.steps.iter().find(|(_, step)| match &step.kernel {
                Kernel::ConvWeightGradient(WeightGradient { dy, .. }) => {
                    let inputs = step.kernel.inputs();
                    root(self.graph, *dy) == images
                        && step.outputs.len() == 1
                        && !inputs.iter().any(|input| self.follows(*input, sums))
                }
                _ => false,
            });
            if let Some(key) = gradient.map(|(key, _)| *key) {
                self.steps.remove(&(sums, None));
                let gradient = self.steps.get_mut(&key).expect("it was found");
                gradient.outputs.push(Made { value: sums, into: None });
            }
        }
    }

    /// The steps in the order of what they make. Those that others need come earlier, and so do those that leave nothing:
    /// as soon as what they read is made, which then need not be kept for them.
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
        let mut turns = vec![0; steps.len()];
        for (turn, at) in order.iter().copied().enumerate() {
            let inputs = steps[at].kernel.inputs();
            let makers = inputs.iter().filter_map(|input| maker.get(&root(self.graph, *input)));
            let ready = makers.map(|maker| turns[*maker]).max().unwrap_or(turn);
            turns[at] = if leaves_nothing(self.graph, &steps[at]) { ready } else { turn };
        }
        order.sort_by_key(|at| turns[*at]);
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

/// Whether a step takes no memory of the program's own for what it makes, or one number: it had better come as soon as it
/// can, as what it reads may be large.
fn leaves_nothing(graph: &Graph, step: &Step) -> bool {
    let [made] = &step.outputs[..] else { return false };
    match step.kernel {
        Kernel::Map(_) => made.into.is_some(),
        Kernel::Reduce { .. } => graph.shape(made.value).len() == 1 && made.into.is_none(),
        _ => false,
    }
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

/// The images that a step sums over their pixels, if that is all it does.
fn summed_images(graph: &Graph, step: &Step) -> Option<Value> {
    let Kernel::Reduce { map, by: Fold::Sum, axes } = &step.kernel else { return None };
    let plain = axes == &[1, 2] && map.exprs == [Expr::Input(0)] && map.shape.rank() == 4;
    let whole = step.outputs[0].into.is_none() && map.shape == *graph.shape(map.inputs[0]);
    (plain && whole).then(|| root(graph, map.inputs[0]))
}

fn copy(graph: &Graph, value: Value, to: (Value, usize), accumulate: bool) -> Step {
    let map = Map { shape: graph.shape(value).clone(), inputs: vec![value], exprs: vec![Expr::Input(0)] };
    let kernel = Kernel::Map(map);
    Step { kernel, outputs: vec![Made { value, into: Some(to) }], accumulate }
}

/// Whether resampling repeats or averages 2x2 pixels.
fn is_plain(resample: &Resample) -> bool {
    let plain = if resample.up { Resample::up(&[1.0, 1.0]) } else { Resample::down(&[1.0, 1.0]) };
    *resample == plain
}
