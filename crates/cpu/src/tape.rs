//! Elementwise formulas as short programs over blocks of numbers.
//!
//! A tape computes a block at a time, each instruction over the whole block, so that what it costs to tell
//! instructions apart is spread over hundreds of numbers that stay in the first-level cache.

use std::collections::HashMap;

use tensor::{Binary, Expr, Unary};

use crate::kernels::math;
use crate::{Kernel, Level, Simd};

/// Numbers in a block: with 4 bytes each, 24 registers fit into half of a first-level cache.
pub(crate) const BLOCK: usize = 256;

/// Formulas with common parts computed once.
#[derive(Debug)]
pub(crate) struct Tape {
    code: Vec<Instruction>,
    /// What each formula ends in.
    outputs: Vec<Operand>,
    registers: usize,
    constants: Vec<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operand {
    Register(usize),
    Input(usize),
    Constant(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Unary(Unary, Operand),
    Binary(Binary, Operand, Operand),
    Select(Operand, Operand, Operand),
}

#[derive(Clone, Copy, Debug)]
struct Instruction {
    operation: Operation,
    to: usize,
}

/// What an input is over a block.
#[derive(Clone, Copy)]
pub(crate) enum Block<'a> {
    Numbers(&'a [f32]),
    /// The same number everywhere.
    Number(f32),
}

impl Tape {
    pub fn new(exprs: &[Expr]) -> Tape {
        let mut writer = Writer::default();
        let outputs: Vec<Operand> = exprs.iter().map(|expr| writer.write(expr)).collect();
        writer.finish(outputs)
    }

    /// Floats of working memory that [`run`](Self::run) takes.
    pub fn room(&self) -> usize {
        self.registers * BLOCK
    }

    /// Computes a block of at most [`BLOCK`] numbers of every formula and hands each to `take`.
    pub fn run(
        &self,
        level: Level,
        inputs: &[Block],
        len: usize,
        room: &mut [f32],
        mut take: impl FnMut(usize, Block),
    ) {
        let run = Run { tape: self, inputs, len, room: &mut *room };
        level.run(run);
        for (formula, operand) in self.outputs.iter().enumerate() {
            take(formula, self.block(*operand, inputs, room, len));
        }
    }

    fn block<'a>(&self, operand: Operand, inputs: &[Block<'a>], room: &'a [f32], len: usize) -> Block<'a> {
        match operand {
            Operand::Register(at) => Block::Numbers(&room[at * BLOCK..][..len]),
            Operand::Input(at) => inputs[at],
            Operand::Constant(at) => Block::Number(self.constants[at]),
        }
    }
}

/// Writes a tape in registers that are each written once.
#[derive(Default)]
struct Writer {
    code: Vec<Instruction>,
    known: HashMap<Operation, usize>,
    constants: Vec<f32>,
}

impl Writer {
    fn write(&mut self, expr: &Expr) -> Operand {
        let operation = match expr {
            Expr::Input(input) => return Operand::Input(*input),
            Expr::Constant(value) => return self.constant(*value as f32),
            Expr::Unary(op, x) => Operation::Unary(*op, self.write(x)),
            Expr::Binary(op, a, b) => {
                let a = self.write(a);
                Operation::Binary(*op, a, self.write(b))
            }
            Expr::Select(branches) => {
                let [condition, then, otherwise] = [0, 1, 2].map(|i| self.write(&branches[i]));
                Operation::Select(condition, then, otherwise)
            }
        };
        let next = self.code.len();
        let register = *self.known.entry(operation).or_insert(next);
        if register == next {
            self.code.push(Instruction { operation, to: next });
        }
        Operand::Register(register)
    }

    fn constant(&mut self, value: f32) -> Operand {
        let same = |other: &f32| other.to_bits() == value.to_bits();
        let at = self.constants.iter().position(same).unwrap_or_else(|| {
            self.constants.push(value);
            self.constants.len() - 1
        });
        Operand::Constant(at)
    }

    /// Lets registers that are not read any more be written again.
    fn finish(self, outputs: Vec<Operand>) -> Tape {
        let mut last_use: HashMap<usize, usize> = HashMap::new();
        for (at, instruction) in self.code.iter().enumerate() {
            last_use.extend(instruction.operation.registers().map(|register| (register, at)));
        }
        last_use.extend(outputs.iter().filter_map(Operand::register).map(|register| (register, usize::MAX)));
        let (mut places, mut free, mut registers) = (HashMap::new(), Vec::new(), 0);
        let mut code = Vec::new();
        for (at, Instruction { operation, to }) in self.code.into_iter().enumerate() {
            let place = free.pop().unwrap_or_else(|| {
                registers += 1;
                registers - 1
            });
            let moved = operation.with(|register| places[&register]);
            let mut ends: Vec<usize> =
                operation.registers().filter(|register| last_use[register] == at).collect();
            ends.sort_unstable();
            ends.dedup();
            free.extend(ends.iter().map(|register| places[register]));
            places.insert(to, place);
            code.push(Instruction { operation: moved, to: place });
        }
        let outputs = outputs.into_iter().map(|operand| operand.with(|register| places[&register])).collect();
        Tape { code, outputs, registers, constants: self.constants }
    }
}

impl Operand {
    fn register(&self) -> Option<usize> {
        if let Operand::Register(at) = self { Some(*at) } else { None }
    }

    fn with(self, place: impl Fn(usize) -> usize) -> Operand {
        if let Operand::Register(at) = self { Operand::Register(place(at)) } else { self }
    }
}

impl Operation {
    fn operands(&self) -> impl Iterator<Item = Operand> + use<> {
        let operands = match *self {
            Operation::Unary(_, x) => [Some(x), None, None],
            Operation::Binary(_, a, b) => [Some(a), Some(b), None],
            Operation::Select(a, b, c) => [Some(a), Some(b), Some(c)],
        };
        operands.into_iter().flatten()
    }

    fn registers(&self) -> impl Iterator<Item = usize> + use<> {
        self.operands().filter_map(|operand| operand.register())
    }

    fn with(self, place: impl Fn(usize) -> usize + Copy) -> Operation {
        match self {
            Operation::Unary(op, x) => Operation::Unary(op, x.with(place)),
            Operation::Binary(op, a, b) => Operation::Binary(op, a.with(place), b.with(place)),
            Operation::Select(a, b, c) => Operation::Select(a.with(place), b.with(place), c.with(place)),
        }
    }
}

struct Run<'a> {
    tape: &'a Tape,
    inputs: &'a [Block<'a>],
    len: usize,
    room: &'a mut [f32],
}

impl Kernel for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Run { tape, inputs, len, room } = self;
        assert!(len <= BLOCK && room.len() >= tape.room(), "{len} numbers, room for {}", room.len());
        let room = room.as_mut_ptr();
        for Instruction { operation, to } in &tape.code {
            let mut short = [[0.0; 16]; 3];
            let [x, y, z] = &mut short;
            // SAFETY: registers are disjoint blocks of `room`, and an instruction never writes to one that it reads.
            unsafe {
                let out = std::slice::from_raw_parts_mut(room.add(to * BLOCK), BLOCK);
                let get = |operand: Operand| match operand {
                    Operand::Register(at) => {
                        Block::Numbers(std::slice::from_raw_parts(room.add(at * BLOCK), len))
                    }
                    Operand::Input(at) => inputs[at],
                    Operand::Constant(at) => Block::Number(tape.constants[at]),
                };
                match *operation {
                    Operation::Unary(op, a) => match get(a).row(s, len, x) {
                        Row::Each(a) => unary(s, op, a, len, out),
                        Row::Same(a) => unary(s, op, a, len, out),
                    },
                    Operation::Binary(op, a, b) => match (get(a).row(s, len, x), get(b).row(s, len, y)) {
                        (Row::Each(a), Row::Each(b)) => binary(s, op, a, b, len, out),
                        (Row::Each(a), Row::Same(b)) => binary(s, op, a, b, len, out),
                        (Row::Same(a), Row::Each(b)) => binary(s, op, a, b, len, out),
                        (Row::Same(a), Row::Same(b)) => binary(s, op, a, b, len, out),
                    },
                    Operation::Select(c, a, b) => match get(c).row(s, len, x) {
                        Row::Each(c) => select(s, c, get(a).row(s, len, y), get(b).row(s, len, z), len, out),
                        Row::Same(c) => select(s, c, get(a).row(s, len, y), get(b).row(s, len, z), len, out),
                    },
                }
            }
        }
    }
}

/// A block in whole vectors.
enum Row<'a, S: Simd> {
    Each(Each<'a>),
    Same(Same<S>),
}

/// As many numbers as the block has, and no fewer than a vector.
#[derive(Clone, Copy)]
struct Each<'a>(&'a [f32]);

/// A vector that stands for all.
#[derive(Clone, Copy)]
struct Same<S: Simd>(S::F);

/// What kinds of rows have in common: loops are compiled for each, so that they hold nothing needless.
trait Vectors<S: Simd>: Copy {
    /// # Safety
    /// A vector has to be there at `i`.
    unsafe fn read(self, s: S, i: usize) -> S::F;
}

impl<S: Simd> Vectors<S> for Each<'_> {
    #[inline(always)]
    unsafe fn read(self, s: S, i: usize) -> S::F {
        // SAFETY: promised.
        unsafe { s.load(self.0.as_ptr().add(i)) }
    }
}

impl<S: Simd> Vectors<S> for Same<S> {
    #[inline(always)]
    unsafe fn read(self, _: S, _: usize) -> S::F {
        self.0
    }
}

impl<'a> Block<'a> {
    /// The first `len` numbers; `short` is for what is no more than a vector.
    #[inline(always)]
    fn row<S: Simd>(self, s: S, len: usize, short: &'a mut [f32; 16]) -> Row<'a, S> {
        match self {
            Block::Numbers(numbers) if len >= short.len() => Row::Each(Each(&numbers[..len])),
            Block::Numbers(numbers) => {
                short[..len].copy_from_slice(&numbers[..len]);
                Row::Each(Each(short))
            }
            Block::Number(number) => Row::Same(Same(s.splat(number))),
        }
    }
}

/// Writes a vector that is worked out of those of rows to every place of `len` numbers. The last begins earlier where
/// they end within it.
macro_rules! each {
    ($s:ident, $len:ident, $out:ident, |$($x:ident),*| $body:expr) => {{
        assert!($len <= $out.len() && S::LANES <= $out.len());
        let last = $len.saturating_sub(S::LANES);
        // SAFETY: rows have `len` numbers or a vector, and the results have room for both.
        unsafe {
            for i in (0..last).step_by(S::LANES) {
                $(let $x = $x.read($s, i);)*
                $s.store($out.as_mut_ptr().add(i), $body);
            }
            $(let $x = $x.read($s, last);)*
            $s.store($out.as_mut_ptr().add(last), $body);
        }
    }};
}

#[inline(always)]
fn unary<S: Simd>(s: S, op: Unary, x: impl Vectors<S>, len: usize, out: &mut [f32]) {
    match op {
        Unary::Neg => each!(s, len, out, |x| math::neg(s, x)),
        Unary::Abs => each!(s, len, out, |x| math::abs(s, x)),
        Unary::Exp => each!(s, len, out, |x| math::exp(s, x)),
        Unary::Ln => each!(s, len, out, |x| math::ln(s, x)),
        Unary::Sqrt => each!(s, len, out, |x| s.sqrt(x)),
        Unary::Sin => each!(s, len, out, |x| math::sin_cos(s, x).0),
        Unary::Cos => each!(s, len, out, |x| math::sin_cos(s, x).1),
        Unary::Silu => each!(s, len, out, |x| math::silu(s, x)),
        Unary::Sigmoid => each!(s, len, out, |x| math::sigmoid(s, x)),
        Unary::IsFinite => each!(s, len, out, |x| math::is_finite(s, x)),
        Unary::IsNan => each!(s, len, out, |x| math::is_nan(s, x)),
    }
}

#[inline(always)]
fn binary<S: Simd>(s: S, op: Binary, x: impl Vectors<S>, y: impl Vectors<S>, len: usize, out: &mut [f32]) {
    let truth = |mask| s.select(mask, s.splat(1.0), s.splat(0.0));
    match op {
        Binary::Add => each!(s, len, out, |x, y| s.add(x, y)),
        Binary::Sub => each!(s, len, out, |x, y| s.sub(x, y)),
        Binary::Mul => each!(s, len, out, |x, y| s.mul(x, y)),
        Binary::Div => each!(s, len, out, |x, y| s.div(x, y)),
        Binary::Min => each!(s, len, out, |x, y| s.min(x, y)),
        Binary::Max => each!(s, len, out, |x, y| s.max(x, y)),
        Binary::Less => each!(s, len, out, |x, y| truth(s.lt(x, y))),
        Binary::LessEqual => each!(s, len, out, |x, y| truth(s.le(x, y))),
        Binary::Equal => each!(s, len, out, |x, y| truth(s.eq(x, y))),
    }
}

#[inline(always)]
fn select<S: Simd>(
    s: S,
    condition: impl Vectors<S>,
    then: Row<S>,
    otherwise: Row<S>,
    len: usize,
    out: &mut [f32],
) {
    match (then, otherwise) {
        (Row::Each(then), Row::Each(otherwise)) => choose(s, condition, then, otherwise, len, out),
        (Row::Each(then), Row::Same(otherwise)) => choose(s, condition, then, otherwise, len, out),
        (Row::Same(then), Row::Each(otherwise)) => choose(s, condition, then, otherwise, len, out),
        (Row::Same(then), Row::Same(otherwise)) => choose(s, condition, then, otherwise, len, out),
    }
}

#[inline(always)]
fn choose<S: Simd>(
    s: S,
    condition: impl Vectors<S>,
    then: impl Vectors<S>,
    otherwise: impl Vectors<S>,
    len: usize,
    out: &mut [f32],
) {
    each!(s, len, out, |condition, then, otherwise| {
        s.select(s.eq(condition, s.splat(0.0)), otherwise, then)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(exprs: &[Expr], inputs: &[Block], len: usize, level: Level) -> Vec<Vec<f32>> {
        let tape = Tape::new(exprs);
        let mut results = vec![Vec::new(); exprs.len()];
        let mut room = vec![0.0; tape.room()];
        tape.run(level, inputs, len, &mut room, |formula, block| {
            results[formula] = match block {
                Block::Numbers(numbers) => numbers.to_vec(),
                Block::Number(number) => vec![number; len],
            };
        });
        results
    }

    #[test]
    fn formulas_agree_with_their_f64_values_on_every_level() {
        let x: Vec<f32> = (0..131).map(|i| (i as f32 - 60.0) * 0.07).collect();
        let (a, b) = (Expr::Input(0), Expr::Input(1));
        let exprs = [
            a.clone().silu() * b.clone() + a.clone().square(),
            Expr::select(
                a.clone().binary(Binary::Less, 0.5),
                a.clone().exp(),
                b.clone() / (a.clone().abs() + 1.0),
            ),
            (a.clone().square() + 1.0).ln().sqrt() - a.clone().sin() * a.clone().cos().max(0.0),
            Expr::Constant(3.0),
            a.unary(Unary::Sigmoid).min(b.unary(Unary::IsFinite)),
        ];
        for level in Level::available() {
            let results = compute(&exprs, &[Block::Numbers(&x), Block::Number(1.5)], x.len(), level);
            for (expr, result) in exprs.iter().zip(&results) {
                for (x, y) in x.iter().zip(result) {
                    let expected = expr.evaluate(&[f64::from(*x), 1.5]);
                    assert!(
                        (f64::from(*y) - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                        "{expr} at {x}: {y}"
                    );
                }
            }
        }
    }

    #[test]
    fn common_parts_are_computed_once_and_registers_are_used_again() {
        let mut expr = Expr::Input(0);
        for _ in 0..6 {
            expr = expr.square() + 1.0;
        }
        let tape = Tape::new(&[expr]);
        assert_eq!(tape.code.len(), 12);
        assert!(tape.registers <= 2, "{} registers", tape.registers);
    }

    #[test]
    fn a_register_that_an_instruction_reads_twice_is_given_back_once() {
        let (x, y) = (Expr::Input(0), Expr::Input(1));
        let twice = Expr::select(x.clone().exp(), y.clone().exp(), x.clone().exp());
        let exprs = [twice + x.clone().square() * y.clone().square() * (x.clone() - y.clone()).abs()];
        let (a, b) = ([0.5f32; 16], [1.25f32; 16]);
        let result = compute(&exprs, &[Block::Numbers(&a), Block::Numbers(&b)], 16, Level::detect());
        let expected = exprs[0].evaluate(&[0.5, 1.25]);
        assert!((f64::from(result[0][3]) - expected).abs() < 1e-5, "{} is not {expected}", result[0][3]);
    }
}
