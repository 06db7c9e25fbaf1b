//! NEON: 4 lanes, 32 registers; every 64-bit Arm has it.

use std::arch::aarch64::*;

use super::{Kernel, Simd, instructions};

#[derive(Clone, Copy)]
pub struct Neon(());

/// Runs a kernel with these instructions.
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Neon(()))
}

impl Simd for Neon {
    const LANES: usize = 4;
    const ROWS: usize = 8;
    type F = float32x4_t;
    type I = int32x4_t;
    type M = uint32x4_t;

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> float32x4_t {
        // SAFETY: the caller promises 4 numbers.
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: float32x4_t) {
        // SAFETY: the caller promises 4 numbers.
        unsafe { vst1q_f32(to, x) }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16) -> float32x4_t {
        // SAFETY: the caller promises 4 numbers, and every 64-bit Arm has NEON.
        unsafe { vreinterpretq_f32_u32(vshlq_n_u32::<16>(vmovl_u16(vld1_u16(from)))) }
    }
    #[inline(always)]
    unsafe fn store_shorts(self, to: *mut u16, x: int32x4_t) {
        // SAFETY: as above.
        unsafe { vst1_u16(to, vmovn_u32(vreinterpretq_u32_s32(x))) }
    }
    instructions! {
        splat(x: f32) -> float32x4_t { vdupq_n_f32(x) }
        add(a: float32x4_t, b: float32x4_t) -> float32x4_t { vaddq_f32(a, b) }
        sub(a: float32x4_t, b: float32x4_t) -> float32x4_t { vsubq_f32(a, b) }
        mul(a: float32x4_t, b: float32x4_t) -> float32x4_t { vmulq_f32(a, b) }
        div(a: float32x4_t, b: float32x4_t) -> float32x4_t { vdivq_f32(a, b) }
        fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t { vfmaq_f32(c, a, b) }
        min(a: float32x4_t, b: float32x4_t) -> float32x4_t { vbslq_f32(vcltq_f32(a, b), a, b) }
        max(a: float32x4_t, b: float32x4_t) -> float32x4_t { vbslq_f32(vcgtq_f32(a, b), a, b) }
        sqrt(x: float32x4_t) -> float32x4_t { vsqrtq_f32(x) }
        lt(a: float32x4_t, b: float32x4_t) -> uint32x4_t { vcltq_f32(a, b) }
        le(a: float32x4_t, b: float32x4_t) -> uint32x4_t { vcleq_f32(a, b) }
        eq(a: float32x4_t, b: float32x4_t) -> uint32x4_t { vceqq_f32(a, b) }
        select(mask: uint32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t { vbslq_f32(mask, yes, no) }
        splat_int(x: i32) -> int32x4_t { vdupq_n_s32(x) }
        bits(x: float32x4_t) -> int32x4_t { vreinterpretq_s32_f32(x) }
        reinterpret(x: int32x4_t) -> float32x4_t { vreinterpretq_f32_s32(x) }
        to_int(x: float32x4_t) -> int32x4_t { vcvtq_s32_f32(x) }
        to_float(x: int32x4_t) -> float32x4_t { vcvtq_f32_s32(x) }
        add_int(a: int32x4_t, b: int32x4_t) -> int32x4_t { vaddq_s32(a, b) }
        and(a: int32x4_t, b: int32x4_t) -> int32x4_t { vandq_s32(a, b) }
        xor(a: int32x4_t, b: int32x4_t) -> int32x4_t { veorq_s32(a, b) }
        lt_int(a: int32x4_t, b: int32x4_t) -> uint32x4_t { vcltq_s32(a, b) }
    }
    #[inline(always)]
    fn mul_wide(self, a: int32x4_t, b: u32) -> [int32x4_t; 2] {
        // SAFETY: every 64-bit Arm has NEON.
        unsafe {
            let (a, b) = (vreinterpretq_u32_s32(a), vdup_n_u32(b));
            let first = vreinterpretq_s32_u64(vmull_u32(vget_low_u32(a), b));
            let second = vreinterpretq_s32_u64(vmull_u32(vget_high_u32(a), b));
            [vuzp2q_s32(first, second), vuzp1q_s32(first, second)]
        }
    }
    #[inline(always)]
    fn shift_left<const BITS: u32>(self, x: int32x4_t) -> int32x4_t {
        // SAFETY: every 64-bit Arm has NEON.
        unsafe { vshlq_s32(x, vdupq_n_s32(BITS as i32)) }
    }
    #[inline(always)]
    fn shift_right<const BITS: u32>(self, x: int32x4_t) -> int32x4_t {
        // SAFETY: every 64-bit Arm has NEON.
        unsafe { vshlq_s32(x, vdupq_n_s32(-(BITS as i32))) }
    }
}
