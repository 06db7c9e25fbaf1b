//! Gives values memory: two that are never needed at the same time may share it.

use std::collections::HashMap;

use super::fuse::is_given;
use super::kernel::{Kernel, Step};
use super::root;
use crate::{Destination, Graph, Op, Value};

/// Where a value lies while a program runs. Offsets count elements of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the program's scratch memory.
    Scratch { offset: usize },
    /// In the tensor bound to an input.
    Bound { input: Value, offset: usize },
    /// In a fresh tensor that is handed out.
    Fresh { output: Value },
    /// A number given with the run.
    Scalar { input: Value },
    /// Numbers of the graph.
    Table { input: Value },
}

/// Values start on 64-byte boundaries: a cache line, the widest vector.
const ALIGNMENT: usize = 16;

/// The first and last step that need some memory, and the values that are in it in turn.
struct Lifetime {
    values: Vec<Value>,
    len: usize,
    from: usize,
    to: usize,
}

/// The places of all values, and the size of the scratch memory.
pub(super) fn plan(graph: &Graph, steps: &[Step]) -> (HashMap<Value, Place>, usize) {
    let mut places = given(graph);
    let lifetimes = lifetimes(graph, steps, &places);
    let scratch = pack(lifetimes, &mut places);
    for value in graph.values() {
        // Reshapes share the place of what they reshape.
        if let Some(place) = places.get(&root(graph, value)).copied() {
            places.insert(value, place);
        }
    }
    (places, scratch)
}

/// The places of values that need no scratch memory.
fn given(graph: &Graph) -> HashMap<Value, Place> {
    let mut places = HashMap::new();
    for value in graph.values().filter(|value| is_given(&graph.operation(*value).op)) {
        let place = match graph.operation(value).op {
            Op::Scalar { .. } => Place::Scalar { input: value },
            Op::Table { .. } => Place::Table { input: value },
            Op::Window { offset } => Place::Bound { input: graph.operation(value).inputs[0], offset },
            _ => Place::Bound { input: value, offset: 0 },
        };
        places.insert(value, place);
    }
    for output in graph.outputs().iter().filter(|output| matches!(output.to, Destination::Named(_))) {
        let made = root(graph, output.value);
        places.insert(made, Place::Fresh { output: made });
    }
    places
}

fn lifetimes(graph: &Graph, steps: &[Step], places: &HashMap<Value, Place>) -> Vec<Lifetime> {
    let last_use = last_uses(graph, steps);
    let mut lifetimes: Vec<Lifetime> = Vec::new();
    let mut shared: HashMap<Value, usize> = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        for made in step.outputs.iter().filter(|made| made.into.is_none()) {
            let value = made.value;
            let to = last_use.get(&value).copied().unwrap_or(at);
            if places.contains_key(&value) {
                continue;
            }
            let operand = dying_operand(graph, step, |operand| last_use[&operand] == at);
            let lifetime = operand.and_then(|operand| shared.get(&operand).copied());
            let lifetime = lifetime.unwrap_or_else(|| {
                lifetimes.push(Lifetime { values: Vec::new(), len: words(graph, value), from: at, to });
                lifetimes.len() - 1
            });
            lifetimes[lifetime].values.push(value);
            lifetimes[lifetime].to = to;
            shared.insert(value, lifetime);
        }
    }
    lifetimes
}

/// What a value takes: two halves share an element.
fn words(graph: &Graph, value: Value) -> usize {
    let len = graph.shape(value).len();
    if graph.operation(value).half { len.div_ceil(2) } else { len }
}

/// The last step that reads each value.
fn last_uses(graph: &Graph, steps: &[Step]) -> HashMap<Value, usize> {
    let mut uses = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        uses.extend(step.kernel.inputs().into_iter().map(|input| (root(graph, input), at)));
    }
    uses
}

/// An operand over which a formula can write its result: of the same shape and width, and read for the last time.
fn dying_operand(graph: &Graph, step: &Step, dies: impl Fn(Value) -> bool) -> Option<Value> {
    let (Kernel::Map(map), [made]) = (&step.kernel, &step.outputs[..]) else { return None };
    let readers = |value: Value| map.inputs.iter().filter(|input| root(graph, **input) == value).count();
    let fits = |input: &Value| {
        let memory = root(graph, *input);
        let width = |value: Value| graph.operation(value).half;
        let alike = graph.shape(*input) == graph.shape(made.value) && width(*input) == width(made.value);
        alike && dies(memory) && readers(memory) == 1
    };
    map.inputs.iter().copied().find(fits).map(|input| root(graph, input))
}

/// Places the largest values first, each at the lowest offset that is free during its lifetime.
fn pack(mut lifetimes: Vec<Lifetime>, places: &mut HashMap<Value, Place>) -> usize {
    lifetimes.sort_by_key(|lifetime| (std::cmp::Reverse(lifetime.len), lifetime.values[0]));
    let mut placed: Vec<(usize, usize, usize, usize)> = Vec::new();
    let mut scratch = 0;
    for Lifetime { values, len, from, to } in lifetimes {
        let size = len.next_multiple_of(ALIGNMENT);
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(_, _, other_from, other_to)| *other_from <= to && from <= *other_to)
            .map(|(start, end, _, _)| (*start, *end))
            .collect();
        taken.sort_unstable();
        let offset = taken.iter().fold(
            0,
            |offset, (start, end)| {
                if offset + size <= *start { offset } else { offset.max(*end) }
            },
        );
        placed.push((offset, offset + size, from, to));
        scratch = scratch.max(offset + size);
        places.extend(values.into_iter().map(|value| (value, Place::Scratch { offset })));
    }
    scratch
}
