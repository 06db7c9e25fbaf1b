//! What lowering does in one go that a program has as several steps.
//!
//! - A value of a row a sample that is summed over samples, into the gradients: its rows are folded together with
//!   those of other values, in one dispatch ([`folds`](crate::folds)).
//! - The gradient of a convolution's weights sums what its bias's gradient is the sum of: it makes that as well.
//! - What a group norm made, which is not kept for the weight gradient that reads it again: the gradient of the norm
//!   writes it beside its own result.
//! - The statistics of a group norm that a convolution loads first: the pass that works them out activates as well.

use std::collections::{HashMap, HashSet};

use tensor::{Expr, Fold, Kernel, Made, Normalize, Op, Place, Program, Step, Value, WeightGradient};

/// A part of each row of a value that is summed over samples and added to a part of an input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RowFold {
    /// Where it starts in a row, and how long it is.
    pub start: usize,
    pub len: usize,
    pub input: Value,
    pub offset: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Patterns {
    folds: HashMap<Value, Vec<RowFold>>,
    /// Statistics that the convolution which loads them first works out.
    fused_stats: HashSet<Value>,
    /// Statistics of norms that a weight gradient loads and whose gradient is made in one go.
    loaded_again: HashSet<Value>,
    /// What steps make that others do already.
    done: HashSet<Value>,
    /// The folds among them: what is added, and the part of an input that it is added to.
    folded: HashSet<Added>,
    /// Gradients of weights that are folded, with the bias whose gradient their kernel makes as well.
    biases: HashMap<Added, Option<RowFold>>,
}

/// What is added, and to which element of an input on.
type Added = (Value, (Value, usize));

impl Patterns {
    pub fn find(program: &Program) -> Self {
        let mut patterns = Patterns::default();
        let readers = readers(program);
        let written: HashSet<Value> = program.steps.iter().filter_map(writes_over).collect();
        for step in &program.steps {
            patterns.find_bias(program, step, &readers, &written);
        }
        for step in &program.steps {
            for made in step.outputs.iter().filter(|made| made.into.is_none()) {
                patterns.find_folds(program, made.value, &readers, &written);
            }
        }
        patterns.find_stats(program, &readers);
        patterns.find_loaded_again(program);
        patterns
    }

    pub fn folds_of(&self, value: Value) -> Option<Vec<RowFold>> {
        self.folds.get(&value).cloned()
    }

    /// Where the gradients of a convolution's weights and of its bias go, as parts of a row of both, if they may be
    /// added at the end of a program; `len` has the elements of each.
    pub fn gradient_folds(&self, step: &Step, len: [usize; 2]) -> Option<Vec<RowFold>> {
        let made = step.outputs[0];
        let (input, offset) = made.into?;
        let bias = self.biases.get(&(made.value, (input, offset)))?;
        let weights = RowFold { start: 0, len: len[0], input, offset };
        let bias = bias.map(|bias| RowFold { start: len[0], len: len[1], ..bias });
        Some([weights].into_iter().chain(bias).collect())
    }

    pub fn is_done_elsewhere(&self, made: &Made) -> bool {
        match made.into {
            Some(into) => self.folded.contains(&(made.value, into)),
            None => self.done.contains(&made.value) || self.fused_stats.contains(&made.value),
        }
    }

    /// Whether the convolution that loads these statistics has to work them out: once only, as it is the first.
    pub fn take_fused(&mut self, stats: Value) -> bool {
        self.fused_stats.remove(&stats)
    }

    /// Whether the gradient of the norm with these statistics writes what the norm made as well, for a weight gradient.
    pub fn is_loaded_again(&self, stats: Value) -> bool {
        self.loaded_again.contains(&stats)
    }

    /// Finds the bias that comes after the same convolution as the weights that `step` makes a gradient for: the sum of
    /// `dy` over its pixels, summed over samples.
    fn find_bias(
        &mut self,
        program: &Program,
        step: &Step,
        readers: &HashMap<Value, Vec<usize>>,
        written: &HashSet<Value>,
    ) {
        let (Kernel::ConvWeightGradient(gradient), made) = (&step.kernel, step.outputs[0]) else { return };
        let Some(into) = made.into.filter(|(input, _)| step.accumulate && !written.contains(input)) else {
            return;
        };
        let read_by = |value: Value| {
            let readers = readers.get(&program.root(value)).into_iter().flatten();
            readers.map(|at| &program.steps[*at])
        };
        let mut bias = None;
        for sums in read_by(gradient.dy).filter_map(|reader| sums_over_pixels(program, reader, gradient.dy)) {
            let mut all_done = true;
            for reader in read_by(sums) {
                match row_part(program, reader) {
                    Some(Part::Fold(_, added)) if self.folded.contains(&(reader.outputs[0].value, added)) => {
                    }
                    Some(Part::Fold(sum, (input, offset))) if bias.is_none() && !written.contains(&input) => {
                        bias = Some(RowFold { start: 0, len: 0, input, offset });
                        self.folded.insert((sum, (input, offset)));
                    }
                    _ => all_done = false,
                }
            }
            if all_done {
                self.done.insert(sums);
            }
        }
        self.biases.insert((made.value, into), bias);
    }

    fn find_folds(
        &mut self,
        program: &Program,
        value: Value,
        readers: &HashMap<Value, Vec<usize>>,
        written: &HashSet<Value>,
    ) {
        let Some(n) = program.graph.shape(value).first().copied() else { return };
        if !matches!(program.place(value), Place::Scratch { .. }) {
            return;
        }
        let row = program.graph.shape(value).len() / n.max(1);
        let (mut folds, mut folded, mut done) = (Vec::new(), Vec::new(), Vec::new());
        let mut waiting = vec![(value, 0, row)];
        while let Some((value, start, len)) = waiting.pop() {
            for step in readers.get(&value).into_iter().flatten().map(|at| &program.steps[*at]) {
                match row_part(program, step) {
                    Some(Part::Slice(slice, from, part)) if is_folded_only(program, readers, slice) => {
                        waiting.push((slice, start + from, part));
                        done.push(slice);
                    }
                    Some(Part::Fold(sum, into)) if self.folded.contains(&(sum, into)) => {}
                    Some(Part::Fold(sum, (input, offset))) if !written.contains(&input) => {
                        folds.push(RowFold { start, len, input, offset });
                        folded.push((sum, (input, offset)));
                    }
                    // Whoever else reads the value finds it among the rows.
                    _ => {}
                }
            }
        }
        if !folds.is_empty() {
            self.folded.extend(folded);
            self.done.extend(done);
            self.folds.insert(value, folds);
        }
    }

    fn find_loaded_again(&mut self, program: &Program) {
        let backward = |step: &Step| match &step.kernel {
            Kernel::NormalizeGradient(gradient) => {
                Some((gradient.normalize.clone(), gradient.forward.clone()))
            }
            _ => None,
        };
        let backward: Vec<_> = program.steps.iter().filter_map(backward).collect();
        for step in &program.steps {
            let Kernel::ConvWeightGradient(WeightGradient { load, .. }) = &step.kernel else { continue };
            let Some(norm) = &load.norm else { continue };
            let mut inputs = vec![load.source, norm.stats, norm.scale, norm.shift];
            inputs.extend(norm.dropout.map(|(_, keys)| keys));
            let dropout = norm.dropout.map(|(dropout, _)| dropout);
            let normalize = Normalize { groups: norm.groups, silu: norm.silu, dropout };
            if backward.contains(&(normalize, inputs)) {
                self.loaded_again.insert(norm.stats);
            }
        }
    }

    fn find_stats(&mut self, program: &Program, readers: &HashMap<Value, Vec<usize>>) {
        for step in &program.steps {
            let Some((stats, images)) = stats_of(step) else { continue };
            let Some(first) = readers.get(&stats).and_then(|readers| readers.first()) else { continue };
            let Kernel::Conv(conv) = &program.steps[*first].kernel else { continue };
            let norm = conv.load.norm.as_ref().filter(|norm| norm.stats == stats);
            if norm.is_some() && program.root(conv.load.source) == program.root(images) {
                self.fused_stats.insert(stats);
            }
        }
    }
}

/// The statistics that a step makes, and of which images.
fn stats_of(step: &Step) -> Option<(Value, Value)> {
    match (&step.kernel, &step.outputs[..]) {
        (Kernel::Plain { op: Op::GroupStats { .. }, inputs }, [stats]) => Some((stats.value, inputs[0])),
        (Kernel::Conv(_), [images, stats]) => Some((stats.value, images.value)),
        _ => None,
    }
}

/// Whether nothing but folds read a value.
fn is_folded_only(program: &Program, readers: &HashMap<Value, Vec<usize>>, value: Value) -> bool {
    let fold = |at: &usize| matches!(row_part(program, &program.steps[*at]), Some(Part::Fold(..)));
    readers.get(&program.root(value)).is_some_and(|readers| readers.iter().all(fold))
}

/// What a step does with the rows of the only value it reads.
enum Part {
    /// Makes a value of the part from an element on, of a length.
    Slice(Value, usize, usize),
    /// Sums them to a value that is added to a part of an input.
    Fold(Value, (Value, usize)),
}

fn row_part(program: &Program, step: &Step) -> Option<Part> {
    let made = step.outputs[0];
    match (&step.kernel, made.into) {
        (Kernel::Plain { op: Op::Slice { axis: 1, start, .. }, inputs }, None) => {
            let inner: usize = program.graph.shape(inputs[0])[2..].iter().product();
            let shape = program.graph.shape(made.value);
            Some(Part::Slice(made.value, start * inner, shape[1] * inner))
        }
        (Kernel::Reduce { map, by: Fold::Sum, axes }, Some(into)) => {
            let plain = step.accumulate && axes == &[0] && map.exprs == [Expr::Input(0)];
            let whole = map.shape.len() == program.graph.shape(map.inputs[0]).len();
            (plain && whole).then_some(Part::Fold(made.value, into))
        }
        _ => None,
    }
}

/// The sums of a gradient over its pixels, if a step makes them beside weights.
fn sums_over_pixels(program: &Program, step: &Step, dy: Value) -> Option<Value> {
    let Kernel::ConvWeightGradient(gradient) = &step.kernel else { return None };
    let sums = step.outputs.get(1)?.value;
    let kept = matches!(program.place(sums), Place::Scratch { .. });
    (kept && program.root(gradient.dy) == program.root(dy)).then_some(sums)
}

/// The steps that read each value, seen through reshapes, in their order.
fn readers(program: &Program) -> HashMap<Value, Vec<usize>> {
    let mut readers: HashMap<Value, Vec<usize>> = HashMap::new();
    for (at, step) in program.steps.iter().enumerate() {
        for input in step.kernel.inputs() {
            let readers = readers.entry(program.root(input)).or_default();
            if readers.last() != Some(&at) {
                readers.push(at);
            }
        }
    }
    readers
}

/// The input that a step overwrites: what is added to it may not wait until then.
fn writes_over(step: &Step) -> Option<Value> {
    step.outputs[0].into.filter(|_| !step.accumulate).map(|(input, _)| input)
}
