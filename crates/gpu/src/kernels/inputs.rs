//! The inputs of formulas as operands and numbers of a kernel.

use std::collections::BTreeSet;

use tensor::{Expr, Map, Place, Shape, Value};

use super::addressing::{Addressing, Counter};
use super::elementwise::RESULTS;
use super::formula::{Formulas, INPUTS, Lanes, read_by};
use crate::call::{Call, View};
use crate::schedule::Lowering;
use crate::shader::Access;

#[derive(Clone, Copy, Debug)]
enum Input {
    Number(Value),
    /// The operand of this number in the [`Addressing`].
    Tensor(usize, View),
    /// What a result is written over.
    Result(usize, usize),
}

/// What formulas read.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// By their numbers in the formulas; `None` where no formula reads them.
    inputs: Vec<Option<Input>>,
    addressing: Addressing,
    pub lanes: Lanes,
}

impl Inputs {
    /// A tensor of this shape, element by element.
    pub fn of(view: View, shape: &Shape, counters: Vec<Counter>) -> Self {
        let addressing = Addressing::new(shape, &[shape], counters);
        let lanes = Lanes::of(addressing.run());
        Inputs { inputs: vec![Some(Input::Tensor(0, view))], addressing, lanes }
    }

    /// Whether it makes sense to compute a part of the elements with a part of every tensor.
    pub fn fall_apart(&self) -> bool {
        let whole = |at| self.addressing.is_whole(at) || self.addressing.is_single(at);
        self.inputs.iter().flatten().all(|input| match input {
            Input::Number(_) => true,
            Input::Tensor(at, _) | Input::Result(at, _) => whole(*at),
        })
    }

    /// The bytes of the largest tensor.
    pub fn largest(&self) -> usize {
        let bytes = |input: &Input| match input {
            Input::Tensor(_, view) => view.bytes(),
            _ => 0,
        };
        self.inputs.iter().flatten().map(bytes).max().unwrap_or(0)
    }

    /// The elements of a range, where they [fall apart](Self::fall_apart).
    fn part(&self, at: usize, view: View, start: usize, len: usize) -> View {
        if self.addressing.is_whole(at) { view.skip(start).first(len) } else { view }
    }

    /// Binds what formulas read for `len` elements from `start` on.
    pub fn bind(&self, call: Call, text: &str, start: usize, len: usize) -> Call {
        let call = self.addressing.numbers(call, text);
        self.inputs.iter().zip(INPUTS).fold(call, |call, (input, name)| match *input {
            Some(Input::Number(value)) => call.scalar(name, value),
            Some(Input::Tensor(at, view)) => {
                let view = self.part(at, view, start, len);
                call.operand(name, view, Access::Read, self.reads_four(at) && self.lanes.binds_fours(view))
            }
            Some(Input::Result(..)) | None => call,
        })
    }

    /// Lines that read every input as a `Lane` and work out the formulas, and what those are called then.
    pub fn lines(&self, exprs: &[Expr]) -> (String, Vec<String>) {
        let mut lines = self.addressing.coordinates();
        for (input, name) in self.inputs.iter().zip(INPUTS) {
            if let Some(input) = input {
                lines += &format!("    let {name} = {};\n", self.read(*input, name));
            }
        }
        let mut formulas = Formulas::new(self.lanes);
        let names = exprs.iter().map(|expr| formulas.add(expr)).collect();
        (lines + &formulas.text(), names)
    }

    fn read(&self, input: Input, name: &str) -> String {
        let (at, name) = match input {
            Input::Number(_) => return format!("Lane(given.{name})"),
            Input::Tensor(at, _) => (at, name),
            Input::Result(at, result) => (at, RESULTS[result]),
        };
        let index = self.addressing.index(at);
        if self.reads_four(at) {
            format!("read_{name}4({index})")
        } else {
            format!("Lane(read_{name}({index}))")
        }
    }

    fn reads_four(&self, at: usize) -> bool {
        self.lanes == Lanes::Four && self.addressing.goes_along(at)
    }
}

impl Lowering<'_> {
    /// What a map's formulas read while they are written to `results`.
    pub(crate) fn inputs(&mut self, map: &Map, results: &[View], counters: Vec<Counter>) -> Inputs {
        let mut read = BTreeSet::new();
        map.exprs.iter().for_each(|expr| read_by(expr, &mut read));
        let mut shapes = Vec::new();
        let mut input = |(at, value): (usize, &Value)| {
            read.contains(&at).then(|| match self.program.place(*value) {
                Place::Scalar { input } => Input::Number(input),
                _ => {
                    shapes.push(self.shape(*value));
                    let view = self.view(*value);
                    let whole = self.shape(*value).len() == map.shape.len();
                    match results.iter().position(|result| whole && *result == view) {
                        Some(result) => Input::Result(shapes.len() - 1, result),
                        None => Input::Tensor(shapes.len() - 1, self.apart(view, results)),
                    }
                }
            })
        };
        let inputs = map.inputs.iter().enumerate().map(&mut input).collect();
        let addressing = Addressing::new(&map.shape, &shapes, counters);
        let lanes = Lanes::of(addressing.run());
        Inputs { inputs, addressing, lanes }
    }

    /// The numbers of a view, copied if results would overwrite them while they are still read.
    fn apart(&mut self, view: View, results: &[View]) -> View {
        let meets = |result: &View| {
            let overlap = view.offset < result.offset + result.len && result.offset < view.offset + view.len;
            result.memory == view.memory && overlap
        };
        if !results.iter().any(meets) {
            return view;
        }
        let copy = self.work(view.element, view.len, "a copy of what is overwritten");
        self.copy(view, copy);
        copy
    }
}
