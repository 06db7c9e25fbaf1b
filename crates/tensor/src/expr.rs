//! Elementwise formulas: small trees that are evaluated, differentiated, fused and printed.

use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A formula of one element of each input of an [`Op::Map`](crate::Op::Map).
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// The element of the n-th input.
    Input(usize),
    Constant(f64),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `if a != 0 { b } else { c }`.
    Select(Box<[Expr; 3]>),
}

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    Neg,
    Abs,
    Exp,
    Ln,
    Sqrt,
    Sin,
    Cos,
    /// x · sigmoid(x).
    Silu,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// 1 where the number is neither infinite nor NaN, else 0; it tests bits, as shaders may assume finite numbers.
    IsFinite,
    /// 1 where the number is NaN, else 0; it tests bits.
    IsNan,
}

/// A function of two numbers. Comparisons give 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Less,
    LessEqual,
    Equal,
}

impl Expr {
    pub fn unary(self, op: Unary) -> Expr {
        Expr::Unary(op, Box::new(self))
    }

    pub fn binary(self, op: Binary, other: impl Into<Expr>) -> Expr {
        Expr::Binary(op, Box::new(self), Box::new(other.into()))
    }

    pub fn select(condition: Expr, then: impl Into<Expr>, otherwise: impl Into<Expr>) -> Expr {
        Expr::Select(Box::new([condition, then.into(), otherwise.into()]))
    }

    pub fn exp(self) -> Expr {
        self.unary(Unary::Exp)
    }

    pub fn ln(self) -> Expr {
        self.unary(Unary::Ln)
    }

    pub fn sqrt(self) -> Expr {
        self.unary(Unary::Sqrt)
    }

    pub fn sin(self) -> Expr {
        self.unary(Unary::Sin)
    }

    pub fn cos(self) -> Expr {
        self.unary(Unary::Cos)
    }

    pub fn abs(self) -> Expr {
        self.unary(Unary::Abs)
    }

    pub fn silu(self) -> Expr {
        self.unary(Unary::Silu)
    }

    pub fn square(self) -> Expr {
        self.clone() * self
    }

    pub fn min(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Min, other)
    }

    pub fn max(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Max, other)
    }

    /// The formula's value for one element of each input, in f64.
    pub fn evaluate(&self, inputs: &[f64]) -> f64 {
        match self {
            Expr::Input(i) => inputs[*i],
            Expr::Constant(value) => *value,
            Expr::Unary(op, x) => op.apply(x.evaluate(inputs)),
            Expr::Binary(op, a, b) => op.apply(a.evaluate(inputs), b.evaluate(inputs)),
            Expr::Select(branches) => {
                let [condition, then, otherwise] = branches.as_ref();
                if condition.evaluate(inputs) != 0.0 { then } else { otherwise }.evaluate(inputs)
            }
        }
    }

    /// The formula with every input replaced by a formula.
    pub fn substitute(&self, inputs: &impl Fn(usize) -> Expr) -> Expr {
        match self {
            Expr::Input(i) => inputs(*i),
            Expr::Constant(value) => Expr::Constant(*value),
            Expr::Unary(op, x) => x.substitute(inputs).unary(*op),
            Expr::Binary(op, a, b) => a.substitute(inputs).binary(*op, b.substitute(inputs)),
            Expr::Select(branches) => {
                let [condition, then, otherwise] = branches.as_ref();
                let branch = |expr: &Expr| expr.substitute(inputs);
                Expr::select(branch(condition), branch(then), branch(otherwise))
            }
        }
    }

    /// The partial derivative with respect to one input; `None` where it is zero everywhere.
    ///
    /// Comparisons and `IsFinite` count as constant; `min`, `max` and `abs` take the branch that is taken.
    pub fn derivative(&self, input: usize) -> Option<Expr> {
        match self {
            Expr::Input(i) => (*i == input).then_some(Expr::Constant(1.0)),
            Expr::Constant(_) => None,
            Expr::Unary(op, x) => Some(product(op.derivative(x)?, x.derivative(input)?)),
            Expr::Binary(op, a, b) => binary_derivative(*op, a, b, input),
            Expr::Select(branches) => {
                let [condition, then, otherwise] = branches.as_ref();
                let zero = || Expr::Constant(0.0);
                match (then.derivative(input), otherwise.derivative(input)) {
                    (None, None) => None,
                    (a, b) => {
                        Some(Expr::select(condition.clone(), a.unwrap_or_else(zero), b.unwrap_or_else(zero)))
                    }
                }
            }
        }
    }

    /// The number of operations, constants and inputs.
    pub fn size(&self) -> usize {
        match self {
            Expr::Input(_) | Expr::Constant(_) => 1,
            Expr::Unary(_, x) => 1 + x.size(),
            Expr::Binary(_, a, b) => 1 + a.size() + b.size(),
            Expr::Select(branches) => 1 + branches.iter().map(Expr::size).sum::<usize>(),
        }
    }

    /// The highest input number plus one.
    pub fn inputs(&self) -> usize {
        match self {
            Expr::Input(i) => i + 1,
            Expr::Constant(_) => 0,
            Expr::Unary(_, x) => x.inputs(),
            Expr::Binary(_, a, b) => a.inputs().max(b.inputs()),
            Expr::Select(branches) => branches.iter().map(Expr::inputs).max().unwrap_or(0),
        }
    }
}

fn product(a: Expr, b: Expr) -> Expr {
    match (a, b) {
        (Expr::Constant(1.0), other) | (other, Expr::Constant(1.0)) => other,
        (a, b) => a * b,
    }
}

fn sum(a: Option<Expr>, b: Option<Expr>) -> Option<Expr> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

fn binary_derivative(op: Binary, a: &Expr, b: &Expr, input: usize) -> Option<Expr> {
    let (da, db) = (a.derivative(input), b.derivative(input));
    let times = |d: Option<Expr>, factor: Expr| d.map(|d| product(d, factor));
    match op {
        Binary::Add => sum(da, db),
        Binary::Sub => sum(da, db.map(Neg::neg)),
        Binary::Mul => sum(times(da, b.clone()), times(db, a.clone())),
        Binary::Div => {
            let by_a = da.map(|d| d / b.clone());
            let by_b = db.map(|d| -(d * a.clone() / b.clone().square()));
            sum(by_a, by_b)
        }
        Binary::Min | Binary::Max => {
            let a_wins = match op {
                Binary::Min => a.clone().binary(Binary::LessEqual, b.clone()),
                _ => b.clone().binary(Binary::LessEqual, a.clone()),
            };
            match (da, db) {
                (None, None) => None,
                (da, db) => Some(Expr::select(a_wins, da.unwrap_or(0.0.into()), db.unwrap_or(0.0.into()))),
            }
        }
        Binary::Less | Binary::LessEqual | Binary::Equal => None,
    }
}

impl Unary {
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Unary::Neg => -x,
            Unary::Abs => x.abs(),
            Unary::Exp => x.exp(),
            Unary::Ln => x.ln(),
            Unary::Sqrt => x.sqrt(),
            Unary::Sin => x.sin(),
            Unary::Cos => x.cos(),
            Unary::Silu => x / (1.0 + (-x).exp()),
            Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Unary::IsFinite => f64::from(x.is_finite()),
            Unary::IsNan => f64::from(x.is_nan()),
        }
    }

    fn derivative(self, x: &Expr) -> Option<Expr> {
        let x = x.clone();
        Some(match self {
            Unary::Neg => Expr::Constant(-1.0),
            Unary::Abs => Expr::select(x.binary(Binary::Less, 0.0), -1.0, 1.0),
            Unary::Exp => x.exp(),
            Unary::Ln => Expr::Constant(1.0) / x,
            Unary::Sqrt => Expr::Constant(0.5) / x.sqrt(),
            Unary::Sin => x.cos(),
            Unary::Cos => -x.sin(),
            Unary::Silu => {
                let sigmoid = x.clone().unary(Unary::Sigmoid);
                sigmoid.clone() * (x * (Expr::Constant(1.0) - sigmoid) + 1.0)
            }
            Unary::Sigmoid => {
                let sigmoid = x.unary(Unary::Sigmoid);
                sigmoid.clone() * (Expr::Constant(1.0) - sigmoid)
            }
            Unary::IsFinite | Unary::IsNan => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Unary::Neg => "-",
            Unary::Abs => "abs",
            Unary::Exp => "exp",
            Unary::Ln => "ln",
            Unary::Sqrt => "sqrt",
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Silu => "silu",
            Unary::Sigmoid => "sigmoid",
            Unary::IsFinite => "is_finite",
            Unary::IsNan => "is_nan",
        }
    }
}

impl Binary {
    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Min => a.min(b),
            Binary::Max => a.max(b),
            Binary::Less => f64::from(a < b),
            Binary::LessEqual => f64::from(a <= b),
            Binary::Equal => f64::from(a == b),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Binary::Add => "+",
            Binary::Sub => "-",
            Binary::Mul => "*",
            Binary::Div => "/",
            Binary::Min => "min",
            Binary::Max => "max",
            Binary::Less => "<",
            Binary::LessEqual => "<=",
            Binary::Equal => "==",
        }
    }
}

impl From<f64> for Expr {
    fn from(value: f64) -> Self {
        Expr::Constant(value)
    }
}

impl Neg for Expr {
    type Output = Expr;

    fn neg(self) -> Expr {
        self.unary(Unary::Neg)
    }
}

macro_rules! operator {
    ($($operator:ident $method:ident;)*) => {$(
        impl<E: Into<Expr>> $operator<E> for Expr {
            type Output = Expr;

            fn $method(self, other: E) -> Expr {
                self.binary(Binary::$operator, other)
            }
        }
    )*};
}

operator! { Add add; Sub sub; Mul mul; Div div; }

/// `silu((a + b) * 0.5)`, inputs as letters.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Input(i) if *i < 26 => write!(f, "{}", (b'a' + *i as u8) as char),
            Expr::Input(i) => write!(f, "in{i}"),
            Expr::Constant(value) => write!(f, "{value}"),
            Expr::Unary(Unary::Neg, x) => write!(f, "-{x}"),
            Expr::Unary(op, x) => write!(f, "{}({x})", op.name()),
            Expr::Binary(op @ (Binary::Min | Binary::Max), a, b) => write!(f, "{}({a}, {b})", op.name()),
            Expr::Binary(op, a, b) => write!(f, "({a} {} {b})", op.name()),
            Expr::Select(branches) => {
                let [condition, then, otherwise] = branches.as_ref();
                write!(f, "select({condition}, {then}, {otherwise})")
            }
        }
    }
}
