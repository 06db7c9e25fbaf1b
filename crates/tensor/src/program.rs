//! Programs: graphs that have been fused, ordered and given memory.

mod fuse;
mod kernel;
mod plan;

use std::collections::HashMap;
use std::fmt;

pub use kernel::{
    Conv, Kernel, Load, Made, Map, Norm, NormalizeGradient, Stats, Step, Store, WeightGradient,
};
pub use plan::Place;

use crate::{Destination, Graph, Op, Value};

/// What a device runs: steps in order, and where each value lies.
#[derive(Clone, Debug)]
pub struct Program {
    /// The computation as it was written; values are the same.
    pub graph: Graph,
    pub steps: Vec<Step>,
    /// The places of all values that steps read or make.
    places: HashMap<Value, Place>,
    /// Elements of scratch memory that hold whatever is neither bound nor handed out; two halves take one.
    pub scratch: usize,
}

/// Fuses, orders and plans the memory of a graph.
pub fn compile(mut graph: Graph) -> Program {
    hand_out_copies(&mut graph);
    let steps = fuse::fuse(&graph);
    let (places, scratch) = plan::plan(&graph, &steps);
    Program { graph, steps, places, scratch }
}

impl Program {
    /// Where a value lies while the program runs.
    #[track_caller]
    pub fn place(&self, value: Value) -> Place {
        self.places.get(&value).copied().unwrap_or_else(|| panic!("{value} has no place"))
    }

    /// The value whose memory this one shares: reshapes move nothing.
    pub fn root(&self, value: Value) -> Value {
        root(&self.graph, value)
    }

    /// The names of the tensors that a run hands out, with the values they hold.
    pub fn named(&self) -> impl Iterator<Item = (&str, Value)> {
        self.graph.outputs().iter().filter_map(|output| match &output.to {
            Destination::Named(name) => Some((name.as_str(), output.value)),
            _ => None,
        })
    }
}

/// Inputs that are handed out as they are become copies, so that no output shares memory with an input.
fn hand_out_copies(graph: &mut Graph) {
    for at in 0..graph.outputs().len() {
        let value = root(graph, graph.outputs()[at].value);
        let bound = matches!(
            graph.operation(value).op,
            Op::Input { .. } | Op::Scalar { .. } | Op::Table { .. } | Op::Window { .. }
        );
        if bound {
            let shape = graph.shape(graph.outputs()[at].value).clone();
            let copy = graph.map(&[value], |v| v(0));
            let copy = graph.reshape(copy, shape);
            graph.redirect_output(at, copy);
        }
    }
}

/// The value whose memory this one shares: reshapes move nothing.
pub(crate) fn root(graph: &Graph, mut value: Value) -> Value {
    while matches!(graph.operation(value).op, Op::Reshape) {
        value = graph.operation(value).inputs[0];
    }
    value
}

/// The steps with the places of what they make, then the memory.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        writeln!(f, "{} steps, {} elements of scratch", self.steps.len(), self.scratch)
    }
}
