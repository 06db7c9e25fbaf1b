//! What follows a convolution, a linear layer or the gradient of a norm, as its store.

use std::collections::HashSet;

use super::Fuser;
use crate::op::Op;
use crate::program::kernel::Store;
use crate::{Expr, Shape, Value};

impl Fuser<'_> {
    pub(super) fn find_stores(&mut self) {
        for value in self.graph.values() {
            let makes_sums = self.makes_its_sums(value);
            if makes_sums
                || self.is_linear(value)
                || matches!(self.op(value), Op::Conv | Op::ConvInputGradient)
            {
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

    /// Whether a value is a product of rows with a matrix, as they lie.
    fn is_linear(&self, value: Value) -> bool {
        let plain = Op::MatMul { transpose_left: false, transpose_right: false };
        *self.op(value) == plain && self.graph.shape(self.inputs(value)[1]).rank() == 2
    }

    /// Whether a value is the gradient of a norm that something needs, with the sums of the same norm.
    pub(super) fn makes_its_sums(&self, value: Value) -> bool {
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
        let (inputs, linear) = (self.inputs(user), matches!(self.op(start), Op::MatMul { .. }));
        if let Some(factor) = as_scale(expr).filter(|_| inputs == [result] && !linear) {
            store.scale = factor;
            return true;
        }
        let other = match inputs {
            [a, b] if is_sum(expr) && *a == result && *b != result => *b,
            [b, a] if is_sum(expr) && *a == result && *b != result => *b,
            _ => return false,
        };
        if linear && (self.graph.shape(other).rank() != 1 || store.bias.is_some()) {
            return false;
        }
        // A value inside another chain is never made on its own.
        let residual_only = matches!(self.op(start), Op::NormalizeGradient(_));
        let fits = !residual_only
            || (self.graph.shape(other) == self.graph.shape(result)
                && !self.follows(other, self.inputs(start)[1]));
        fits && !self.inside.contains(&other) && self.absorb_sum(result, other, store)
    }

    /// Whether a value follows from `first`. The step that makes the sums of a norm cannot wait for what those lead to.
    pub(super) fn follows(&self, value: Value, first: Value) -> bool {
        let (mut waiting, mut seen) = (vec![value], HashSet::new());
        while let Some(value) = waiting.pop() {
            if value == first {
                return true;
            }
            // Inputs come before their readers.
            if value > first && seen.insert(value) {
                waiting.extend(self.inputs(value));
            }
        }
        false
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
        } else if is_row_a_sample(added, shape) && store.channel.is_none() {
            store.channel = Some(other);
        } else {
            return false;
        }
        true
    }
}

/// Whether a shape is `[n, 1, …, c]` for results of `[n, …, c]`.
fn is_row_a_sample(added: &Shape, result: &Shape) -> bool {
    let (n, c) = (result[0], result.channels());
    added.rank() == result.rank() && added[0] == n && added.channels() == c && added.len() == n * c
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
