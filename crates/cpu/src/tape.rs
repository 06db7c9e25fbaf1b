//! Elementwise formulas as short programs over blocks of numbers.
//!
//! A tape computes a block at a time, each instruction over the whole block, so that what it costs to tell
//! instructions apart is spread over hundreds of numbers that stay in the first-level cache.

mod run;

use std::collections::HashMap;

use run::Run;
use tensor::{Binary, Expr, Unary};

use crate::Level;

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
