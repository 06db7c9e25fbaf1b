//! Running a tape: every instruction over a whole block, vector by vector.

use tensor::{Binary, Unary};

use super::{BLOCK, Block, Instruction, Operand, Operation, Tape};
use crate::kernels::math;
use crate::{Kernel, Simd};

/// A tape over a block of at most [`BLOCK`] numbers.
pub(super) struct Run<'a> {
    pub tape: &'a Tape,
    pub inputs: &'a [Block<'a>],
    pub len: usize,
    /// [`Tape::room`] floats.
    pub room: &'a mut [f32],
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
