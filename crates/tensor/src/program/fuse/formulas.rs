//! Elementwise formulas, melted into the only formula or fold that reads them.

use std::collections::HashSet;

use super::Fuser;
use crate::check;
use crate::op::Op;
use crate::program::kernel::{Kernel, Made, Map, Step};
use crate::{Destination, Expr, Output, Value};

/// Formulas stop growing here: beyond, fusing saves little.
const LARGEST_FORMULA: usize = 96;

/// Formulas take in others only as long as they read no more tensors than this: devices bind few at once.
const MOST_INPUTS: usize = 8;

impl Fuser<'_> {
    /// The formula of a value with everything melted in that only it reads; `all` melts in all of the same shape.
    pub(super) fn formula(&self, value: Value, all: bool) -> (Vec<Value>, Expr) {
        let mut inputs = Vec::new();
        let expr = self.melt(value, value, all, 0, &mut inputs);
        (inputs, expr)
    }

    /// `reserved` counts the inputs that formulas further up still add.
    fn melt(&self, value: Value, top: Value, all: bool, reserved: usize, inputs: &mut Vec<Value>) -> Expr {
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

    pub(super) fn melts(&self, value: Value, top: Value, all: bool) -> bool {
        let Op::Map { expr } = self.op(value) else { return false };
        self.graph.shape(value) == self.graph.shape(top)
            && !self.stores.contains_key(&value)
            && !self.inside.contains(&value)
            && (all || (self.only_user(value).is_some() && expr.size() <= LARGEST_FORMULA))
    }

    /// The formulas that can be stored over inputs in one pass: they read those inputs at the place they write only.
    pub(super) fn stored_formulas(&self) -> Vec<Value> {
        let into = |value: &Value| {
            self.graph.outputs().iter().any(|o| o.value == *value && matches!(o.to, Destination::Into { .. }))
        };
        let formulas: Vec<Value> = self.graph.values().filter(into).collect();
        let elementwise = |value: &Value| {
            let (inputs, expr) = self.formula(*value, true);
            // A plain copy would be read after the formulas before it are written.
            matches!(self.op(*value), Op::Map { .. })
                && !matches!(expr, Expr::Input(_))
                && self.graph.shape(*value) == self.graph.shape(formulas[0])
                && self.users.get(value).is_none_or(|users| users.iter().all(|user| formulas.contains(user)))
                && inputs.iter().all(|input| self.is_whole(*input, *value))
        };
        let read: HashSet<Value> = formulas.iter().flat_map(|value| self.formula(*value, true).0).collect();
        let one_pass = formulas.iter().all(elementwise) && read.len() <= check::MOST_INPUTS;
        if one_pass { formulas } else { Vec::new() }
    }

    /// Whether an input of a stored formula is one number, or lines up with the whole of what is stored.
    fn is_whole(&self, input: Value, formula: Value) -> bool {
        let shape = self.graph.shape(input);
        let formulas_store =
            |to: &Destination| matches!(to, Destination::Into { input: to, .. } if *to == input);
        let one = shape.len() == 1 && !self.graph.outputs().iter().any(|output| formulas_store(&output.to));
        one || (shape == self.graph.shape(formula) && matches!(self.op(input), Op::Input { .. }))
    }

    pub(super) fn lower_stored(&mut self, formulas: &[Value]) {
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

    /// Whether an output is a formula that is stored over a place of an input which nothing else writes to, and which only
    /// the formula reads, if anyone.
    pub(super) fn is_stored_at_once(&self, output: &Output) -> bool {
        let (value, Destination::Into { input, offset }) = (output.value, &output.to) else { return false };
        let len = self.graph.shape(value).len();
        let touches = |start: usize, other: Value| {
            start < offset + len && *offset < start + self.graph.shape(other).len()
        };
        let writes = |other: &&Output| match other.to {
            Destination::Into { input: to, offset } | Destination::AddedTo { input: to, offset } => {
                to == *input && touches(offset, other.value)
            }
            Destination::Named(_) => false,
        };
        let leaves = |reader: &Value| match self.op(*reader) {
            Op::Window { offset: start } if touches(*start, *reader) => {
                start == offset
                    && self.graph.shape(*reader) == self.graph.shape(value)
                    && self.only_user(*reader) == Some(value)
            }
            op => matches!(op, Op::Window { .. }),
        };
        let outputs = self.graph.outputs();
        matches!(self.op(value), Op::Map { .. })
            && !self.users.contains_key(&value)
            && outputs.iter().filter(|other| other.value == value).count() == 1
            && outputs.iter().filter(writes).count() == 1
            && !self.outputs.contains(input)
            && self.users.get(input).is_none_or(|readers| readers.iter().all(leaves))
    }

    pub(super) fn lower_at_once(&mut self, value: Value, to: (Value, usize)) {
        let kernel = self.kernel(value);
        kernel.inputs().into_iter().for_each(|input| self.lower(input));
        let outputs = vec![Made { value, into: Some(to) }];
        self.steps.insert((value, Some(to)), Step { kernel, outputs, accumulate: false });
    }
}
