//! Numbers as they lie in memory: 32 bits each, or the upper half of these (bf16). Everything is computed in 32 bits.

use super::pointer::Parts;
use crate::{Kernel, Level, Simd};

/// Numbers that a kernel reads.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    F32(&'a [f32]),
    Bf16(&'a [u16]),
}

/// Numbers that a kernel writes.
#[derive(Debug)]
pub enum NumbersMut<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [u16]),
}

/// Numbers of which each task writes a part.
#[derive(Clone, Copy)]
pub enum SharedNumbers<'a> {
    F32(Parts<'a, f32>),
    Bf16(Parts<'a, u16>),
}

impl<'a, T: AsRef<[f32]> + ?Sized> From<&'a T> for Numbers<'a> {
    fn from(numbers: &'a T) -> Self {
        Numbers::F32(numbers.as_ref())
    }
}

impl<'a, T: AsMut<[f32]> + ?Sized> From<&'a mut T> for NumbersMut<'a> {
    fn from(numbers: &'a mut T) -> Self {
        NumbersMut::F32(numbers.as_mut())
    }
}

impl<'a> Numbers<'a> {
    #[inline(always)]
    pub fn len(&self) -> usize {
        match self {
            Numbers::F32(numbers) => numbers.len(),
            Numbers::Bf16(numbers) => numbers.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline(always)]
    pub fn get(&self, i: usize) -> f32 {
        match self {
            Numbers::F32(numbers) => numbers[i],
            Numbers::Bf16(numbers) => widen(numbers[i]),
        }
    }

    #[inline(always)]
    pub fn range(self, start: usize, len: usize) -> Self {
        match self {
            Numbers::F32(numbers) => Numbers::F32(&numbers[start..][..len]),
            Numbers::Bf16(numbers) => Numbers::Bf16(&numbers[start..][..len]),
        }
    }

    /// The vector at `i`; zeros follow where the numbers end.
    #[inline(always)]
    pub(super) fn read<S: Simd>(self, s: S, i: usize) -> S::F {
        match self {
            Numbers::F32(numbers) => s.read(numbers, i),
            Numbers::Bf16(numbers) => s.read_bf16(numbers, i),
        }
    }

    /// All of them in 32 bits: themselves, or what `room` then holds.
    #[inline(always)]
    pub(super) fn widened<'r, S: Simd>(self, s: S, room: &'r mut [f32]) -> &'r [f32]
    where
        'a: 'r,
    {
        match self {
            Numbers::F32(numbers) => numbers,
            Numbers::Bf16(_) => {
                let room = &mut room[..self.len()];
                self.copy(s, room);
                room
            }
        }
    }

    /// Copies them, in 32 bits.
    #[inline(always)]
    pub(super) fn copy<S: Simd>(self, s: S, to: &mut [f32]) {
        match self {
            Numbers::F32(numbers) => to.copy_from_slice(numbers),
            Numbers::Bf16(numbers) => {
                assert_eq!(numbers.len(), to.len(), "numbers from and to");
                for i in (0..to.len()).step_by(S::LANES) {
                    s.write(to, i, s.read_bf16(numbers, i));
                }
            }
        }
    }

    /// Copies them with what a level has.
    pub fn copy_to(self, level: Level, to: NumbersMut) {
        match (self, to) {
            (Numbers::F32(from), NumbersMut::F32(to)) => to.copy_from_slice(from),
            (Numbers::Bf16(from), NumbersMut::Bf16(to)) => to.copy_from_slice(from),
            (from, to) => level.run(Convert { from, to }),
        }
    }
}

impl<'a> NumbersMut<'a> {
    #[inline(always)]
    pub fn len(&self) -> usize {
        match self {
            NumbersMut::F32(numbers) => numbers.len(),
            NumbersMut::Bf16(numbers) => numbers.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn set(&mut self, i: usize, x: f32) {
        match self {
            NumbersMut::F32(numbers) => numbers[i] = x,
            NumbersMut::Bf16(numbers) => numbers[i] = narrow(x),
        }
    }

    pub fn fill(&mut self, x: f32) {
        match self {
            NumbersMut::F32(numbers) => numbers.fill(x),
            NumbersMut::Bf16(numbers) => numbers.fill(narrow(x)),
        }
    }

    pub fn range(&mut self, start: usize, len: usize) -> NumbersMut<'_> {
        match self {
            NumbersMut::F32(numbers) => NumbersMut::F32(&mut numbers[start..][..len]),
            NumbersMut::Bf16(numbers) => NumbersMut::Bf16(&mut numbers[start..][..len]),
        }
    }

    /// Lets tasks write parts of them.
    #[inline(always)]
    pub fn share(self) -> SharedNumbers<'a> {
        match self {
            NumbersMut::F32(numbers) => SharedNumbers::F32(Parts::new(numbers)),
            NumbersMut::Bf16(numbers) => SharedNumbers::Bf16(Parts::new(numbers)),
        }
    }

    /// Writes a vector to what begins at `i`, as much of it as fits.
    #[inline(always)]
    pub(super) fn write<S: Simd>(&mut self, s: S, i: usize, x: S::F) {
        match self {
            NumbersMut::F32(numbers) => s.write(numbers, i, x),
            NumbersMut::Bf16(numbers) => s.write_bf16(numbers, i, x),
        }
    }

    /// Where to write them in 32 bits: themselves, or `room`, of which [`round`](Self::round) then makes them.
    #[inline(always)]
    pub(super) fn wide<'r>(&'r mut self, room: &'r mut [f32]) -> &'r mut [f32] {
        match self {
            NumbersMut::F32(numbers) => numbers,
            NumbersMut::Bf16(numbers) => &mut room[..numbers.len()],
        }
    }

    /// Rounds what `room` holds, where that is not what they are.
    #[inline(always)]
    pub(super) fn round<S: Simd>(&mut self, s: S, room: &[f32]) {
        if let NumbersMut::Bf16(numbers) = self {
            let room = &room[..numbers.len()];
            for i in (0..room.len()).step_by(S::LANES) {
                s.write_bf16(numbers, i, s.read(room, i));
            }
        }
    }
}

impl<'a> SharedNumbers<'a> {
    /// # Safety
    /// While the part lives, nothing else may touch it.
    #[inline(always)]
    pub unsafe fn range(self, start: usize, len: usize) -> NumbersMut<'a> {
        // SAFETY: promised.
        unsafe {
            match self {
                SharedNumbers::F32(parts) => NumbersMut::F32(parts.range(start, len)),
                SharedNumbers::Bf16(parts) => NumbersMut::Bf16(parts.range(start, len)),
            }
        }
    }
}

struct Convert<'a, 'b> {
    from: Numbers<'a>,
    to: NumbersMut<'b>,
}

impl Kernel for Convert<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        assert_eq!(self.from.len(), self.to.len(), "numbers from and to");
        for i in (0..self.from.len()).step_by(S::LANES) {
            self.to.write(s, i, self.from.read(s, i));
        }
    }
}

fn widen(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// As [`Simd::to_bf16`].
fn narrow(x: f32) -> u16 {
    let bits = if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() };
    ((u64::from(bits) + 0x7fff + u64::from(bits >> 16 & 1)) >> 16) as u16
}
