//! Plain Rust over four lanes, for machines without a better level and as the reference of the others.

use super::Simd;

#[derive(Clone, Copy)]
pub struct Scalar;

type F = [f32; 4];
type I = [i32; 4];

#[inline(always)]
fn zip<A: Copy, B: Copy, C>(a: [A; 4], b: [B; 4], f: impl Fn(A, B) -> C) -> [C; 4] {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Simd for Scalar {
    const LANES: usize = 4;
    const ROWS: usize = 4;
    type F = F;
    type I = I;
    type M = [bool; 4];

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> F {
        // SAFETY: the caller promises four numbers.
        unsafe { from.cast::<F>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: F) {
        // SAFETY: the caller promises four numbers.
        unsafe { to.cast::<F>().write_unaligned(x) }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16) -> F {
        // SAFETY: the caller promises four numbers.
        let halves = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        halves.map(|half| f32::from_bits(u32::from(half) << 16))
    }
    #[inline(always)]
    unsafe fn store_shorts(self, to: *mut u16, x: I) {
        // SAFETY: the caller promises four numbers.
        unsafe { to.cast::<[u16; 4]>().write_unaligned(x.map(|x| x as u16)) }
    }
    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: F, b: F, c: F) -> F {
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, x: F) -> F {
        x.map(f32::sqrt)
    }
    #[inline(always)]
    fn lt(self, a: F, b: F) -> [bool; 4] {
        zip(a, b, |a, b| a < b)
    }
    #[inline(always)]
    fn le(self, a: F, b: F) -> [bool; 4] {
        zip(a, b, |a, b| a <= b)
    }
    #[inline(always)]
    fn eq(self, a: F, b: F) -> [bool; 4] {
        zip(a, b, |a, b| a == b)
    }
    #[inline(always)]
    fn select(self, mask: [bool; 4], yes: F, no: F) -> F {
        zip(mask, zip(yes, no, |yes, no| (yes, no)), |mask, (yes, no)| if mask { yes } else { no })
    }
    #[inline(always)]
    fn splat_int(self, x: i32) -> I {
        [x; 4]
    }
    #[inline(always)]
    fn bits(self, x: F) -> I {
        x.map(|x| x.to_bits() as i32)
    }
    #[inline(always)]
    fn reinterpret(self, x: I) -> F {
        x.map(|x| f32::from_bits(x as u32))
    }
    #[inline(always)]
    fn to_int(self, x: F) -> I {
        x.map(|x| x as i32)
    }
    #[inline(always)]
    fn to_float(self, x: I) -> F {
        x.map(|x| x as f32)
    }
    #[inline(always)]
    fn add_int(self, a: I, b: I) -> I {
        zip(a, b, i32::wrapping_add)
    }
    #[inline(always)]
    fn and(self, a: I, b: I) -> I {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn xor(self, a: I, b: I) -> I {
        zip(a, b, |a, b| a ^ b)
    }
    #[inline(always)]
    fn mul_wide(self, a: I, b: u32) -> [I; 2] {
        let products = a.map(|a| u64::from(a as u32) * u64::from(b));
        [products.map(|product| (product >> 32) as i32), products.map(|product| product as i32)]
    }
    #[inline(always)]
    fn lt_int(self, a: I, b: I) -> [bool; 4] {
        zip(a, b, |a, b| a < b)
    }
    #[inline(always)]
    fn shift_left<const BITS: u32>(self, x: I) -> I {
        x.map(|x| x << BITS)
    }
    #[inline(always)]
    fn shift_right<const BITS: u32>(self, x: I) -> I {
        x.map(|x| x >> BITS)
    }
}
