//! The gradient of an elementwise formula: another formula, summed over the axes that were broadcast.

use super::Backward;
use super::simplify::simplify;
use crate::{Expr, Graph, Op, Shape, Value};

impl Backward<'_> {
    pub(super) fn map(&mut self, y: Value, expr: &Expr, inputs: &[Value], dy: Value) {
        // A value that is read in two places is one variable.
        let first = |at: usize| inputs.iter().position(|input| *input == inputs[at]).unwrap_or(at);
        let expr = expr.substitute(&|at| Expr::Input(first(at)));
        let shape = self.graph.shape(y).clone();
        for (at, input) in inputs.iter().enumerate().filter(|(at, _)| first(*at) == *at) {
            if !self.needs(*input) {
                continue;
            }
            let Some(slope) = expr.derivative(at) else { continue };
            let slope = slope.substitute(&|at| Expr::Input(at + 1));
            let read = [&[dy], inputs].concat();
            if let Some(each) = mapped(self.graph, &(Expr::Input(0) * slope), &read) {
                let gradient = unbroadcast(self.graph, each, &shape, *input);
                self.give(*input, gradient);
            }
        }
    }
}

/// A formula over those of `inputs` that it really needs, as small as its shape can be; `None` where it is zero.
pub(super) fn mapped(graph: &mut Graph, expr: &Expr, inputs: &[Value]) -> Option<Value> {
    let known = |at: usize| match &graph.operation(inputs[at]).op {
        Op::Table { values } if values.len() == 1 => Expr::Constant(values[0]),
        _ => Expr::Input(at),
    };
    let expr = simplify(&expr.substitute(&known));
    match expr {
        Expr::Constant(0.0) => return None,
        Expr::Constant(value) => return Some(graph.table(vec![value], [])),
        Expr::Input(at) => return Some(inputs[at]),
        _ => {}
    }
    let mut used = Vec::new();
    expr.visit_inputs(&mut |at| {
        if !used.contains(&inputs[at]) {
            used.push(inputs[at]);
        }
    });
    let place = |at: usize| used.iter().position(|value| *value == inputs[at]).unwrap_or(0);
    let expr = expr.substitute(&|at| Expr::Input(place(at)));
    Some(graph.push(Op::Map { expr }, &used, None))
}

/// Sums `gradient`, which stands for a tensor of `shape`, over the axes along which `input` was broadcast to it.
///
/// First within samples, then over samples: so the gradient of a bias and that of an embedding share the first sum.
fn unbroadcast(graph: &mut Graph, gradient: Value, shape: &Shape, input: Value) -> Value {
    let to = graph.shape(input).clone();
    let from = graph.shape(gradient).clone();
    let size = |of: &Shape, axis: usize| (axis + of.rank()).checked_sub(shape.rank()).map_or(1, |at| of[at]);
    let summed = |axis: &usize| shape[*axis] != 1 && size(&to, *axis) == 1;
    let (real, repeated): (Vec<usize>, Vec<usize>) =
        (0..shape.rank()).filter(summed).partition(|axis| size(&from, *axis) != 1);
    let missing = shape.rank() - from.rank();
    let within: Vec<usize> = real.iter().filter(|axis| **axis != 0).map(|axis| axis - missing).collect();
    let mut sum = graph.sum(gradient, &within);
    if real.contains(&0) {
        sum = graph.sum(sum, &[0]);
    }
    let sizes = graph.shape(sum);
    let own = Shape::from(&sizes[sizes.rank().saturating_sub(to.rank())..]);
    let sum = graph.reshape(sum, own);
    let times: usize = repeated.iter().map(|axis| shape[*axis]).product();
    graph.scale(sum, times as f64)
}

impl Expr {
    /// Visits the number of every input in the formula, in the order of reading.
    fn visit_inputs(&self, visit: &mut impl FnMut(usize)) {
        match self {
            Expr::Input(at) => visit(*at),
            Expr::Constant(_) => {}
            Expr::Unary(_, x) => x.visit_inputs(visit),
            Expr::Binary(_, a, b) => {
                a.visit_inputs(visit);
                b.visit_inputs(visit);
            }
            Expr::Select(branches) => branches.iter().for_each(|branch| branch.visit_inputs(visit)),
        }
    }
}
