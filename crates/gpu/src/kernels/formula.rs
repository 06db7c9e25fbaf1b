//! Formulas as WGSL: a line for each operation, and equal operations once.

use std::collections::{BTreeSet, HashMap};

use tensor::{Binary, Expr, Unary};

use crate::call::View;

/// What kernels call the inputs of formulas.
pub(crate) const INPUTS: [&str; 26] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u",
    "v", "w", "x", "y", "z",
];

/// Elements that a thread computes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lanes {
    One = 1,
    Four = 4,
}

impl Lanes {
    /// Four where runs of `len` elements fall into fours.
    pub fn of(len: usize) -> Self {
        if len.is_multiple_of(4) { Lanes::Four } else { Lanes::One }
    }

    pub fn count(self) -> usize {
        self as usize
    }

    /// `Lane` is what a thread computes with.
    pub fn alias(self) -> &'static str {
        match self {
            Lanes::One => "alias Lane = f32;\n",
            Lanes::Four => "alias Lane = vec4<f32>;\n",
        }
    }

    /// Whether a tensor is bound by fours; it has to start at one.
    pub fn binds_fours(self, view: View) -> bool {
        self == Lanes::Four && view.offset.is_multiple_of(4)
    }

    /// The end of the names of functions that read or write so much.
    pub fn suffix(self) -> &'static str {
        if self == Lanes::Four { "4" } else { "" }
    }
}

/// Something with a value in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Term {
    Input(usize),
    /// By its bits, so that it can be looked up.
    Constant(u64),
    /// What a line before worked out.
    Local(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Line {
    Unary(Unary, Term),
    Binary(Binary, Term, Term),
    Select([Term; 3]),
}

/// The lines of formulas of the same inputs.
#[derive(Debug)]
pub(crate) struct Formulas {
    lanes: Lanes,
    text: String,
    known: HashMap<Line, Term>,
}

impl Formulas {
    pub fn new(lanes: Lanes) -> Self {
        Formulas { lanes, text: String::new(), known: HashMap::new() }
    }

    /// Adds a formula; what it is called afterwards.
    pub fn add(&mut self, expr: &Expr) -> String {
        let term = self.term(expr);
        name(term)
    }

    /// Lines that expect inputs as `Lane`s under their names.
    pub fn text(self) -> String {
        self.text
    }

    fn term(&mut self, expr: &Expr) -> Term {
        match expr {
            Expr::Input(at) => Term::Input(*at),
            Expr::Constant(value) => Term::Constant(value.to_bits()),
            Expr::Unary(op, x) => match self.term(x) {
                Term::Constant(x) => Term::Constant(op.apply(f64::from_bits(x)).to_bits()),
                x => self.line(Line::Unary(*op, x)),
            },
            Expr::Binary(op, x, y) => match (self.term(x), self.term(y)) {
                // WGSL refuses constants that are not finite, such as 1 / 0.
                (Term::Constant(x), Term::Constant(y)) => {
                    Term::Constant(op.apply(f64::from_bits(x), f64::from_bits(y)).to_bits())
                }
                (x, y) => self.line(Line::Binary(*op, x, y)),
            },
            Expr::Select(branches) => {
                let [condition, then, otherwise] = branches.as_ref();
                let terms = [self.term(condition), self.term(then), self.term(otherwise)];
                self.line(Line::Select(terms))
            }
        }
    }

    fn line(&mut self, line: Line) -> Term {
        if let Some(term) = self.known.get(&line) {
            return *term;
        }
        let term = Term::Local(self.known.len());
        self.text += &format!("    let {} = {};\n", name(term), self.right_side(line));
        self.known.insert(line, term);
        term
    }

    fn right_side(&self, line: Line) -> String {
        match line {
            Line::Unary(op, x) => self.unary(op, &name(x)),
            Line::Binary(op, x, y) => binary(op, &name(x), &name(y)),
            Line::Select(terms) => {
                let [condition, then, otherwise] = terms.map(name);
                format!("select({otherwise}, {then}, {condition} != Lane(0.0))")
            }
        }
    }

    fn unary(&self, op: Unary, x: &str) -> String {
        let function = match op {
            Unary::Neg => return format!("-{x}"),
            Unary::Abs => return format!("abs({x})"),
            Unary::Sqrt => return format!("sqrt({x})"),
            Unary::Exp => "exp",
            Unary::Ln => "ln",
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Silu => "silu",
            Unary::Sigmoid => "sigmoid",
            Unary::IsFinite => "is_finite",
            Unary::IsNan => "is_nan",
        };
        format!("{function}{}({x})", self.lanes.count())
    }
}

fn binary(op: Binary, x: &str, y: &str) -> String {
    let one_if = |comparison| format!("select(Lane(0.0), Lane(1.0), {x} {comparison} {y})");
    match op {
        Binary::Add => format!("{x} + {y}"),
        Binary::Sub => format!("{x} - {y}"),
        Binary::Mul => format!("{x} * {y}"),
        Binary::Div => format!("{x} / {y}"),
        Binary::Min => format!("min({x}, {y})"),
        Binary::Max => format!("max({x}, {y})"),
        Binary::Less => one_if("<"),
        Binary::LessEqual => one_if("<="),
        Binary::Equal => one_if("=="),
    }
}

fn name(term: Term) -> String {
    match term {
        Term::Input(at) => INPUTS[at].to_owned(),
        Term::Constant(bits) => constant(f64::from_bits(bits) as f32),
        Term::Local(at) => format!("v{at}"),
    }
}

fn constant(value: f32) -> String {
    match value.is_finite() {
        true => format!("Lane({value:?}f)"),
        false => format!("Lane(float_of({:#x}u))", value.to_bits()),
    }
}

/// The inputs that a formula reads.
pub(crate) fn read_by(expr: &Expr, inputs: &mut BTreeSet<usize>) {
    match expr {
        Expr::Input(at) => drop(inputs.insert(*at)),
        Expr::Constant(_) => {}
        Expr::Unary(_, x) => read_by(x, inputs),
        Expr::Binary(_, x, y) => [x, y].into_iter().for_each(|expr| read_by(expr, inputs)),
        Expr::Select(branches) => branches.iter().for_each(|expr| read_by(expr, inputs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_operations_are_computed_once() {
        let sum = Expr::Input(0) + Expr::Input(1);
        let mut formulas = Formulas::new(Lanes::Four);
        assert_eq!(formulas.add(&(sum.clone() * sum.clone().exp())), "v2");
        assert_eq!(formulas.add(&sum), "v0");
        assert_eq!(formulas.text(), "    let v0 = a + b;\n    let v1 = exp4(v0);\n    let v2 = v0 * v1;\n");
    }

    #[test]
    fn constants_that_are_not_finite_go_by_their_bits() {
        let infinite = Expr::Constant(1.0) / Expr::Constant(0.0);
        let mut formulas = Formulas::new(Lanes::One);
        formulas.add(&(Expr::Input(0) * infinite));
        assert_eq!(formulas.text(), "    let v0 = a * Lane(float_of(0x7f800000u));\n");
    }
}
