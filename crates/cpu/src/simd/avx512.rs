//! AVX-512 (F, VL, DQ and BW): 16 lanes, 32 registers, masked tails.

use std::arch::x86_64::*;

use super::{Kernel, Level, Simd, instructions};

#[derive(Clone, Copy)]
pub struct Avx512(());

/// Runs a kernel with these instructions.
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    fn wide<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx512(()))
    }
    assert!(Level::Avx512.is_available(), "this machine has no AVX-512");
    // SAFETY: asserted above.
    unsafe { wide(kernel) }
}

#[inline(always)]
fn first(len: usize) -> u16 {
    ((1u32 << len) - 1) as u16
}

/// The words whose upper halves these are.
///
/// # Safety
/// The machine must have AVX-512.
#[inline(always)]
unsafe fn widened(halves: __m256i) -> __m512 {
    // SAFETY: promised.
    unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves))) }
}

/// Four numbers of rows `i`, `4 + i`, `8 + i` and `12 + i`.
///
/// # Safety
/// The machine must have AVX-512, and the numbers must be there.
#[inline(always)]
unsafe fn quarters(from: impl Fn(usize) -> *const f32, i: usize) -> __m512 {
    // SAFETY: promised.
    unsafe {
        let first = _mm512_castps128_ps512(_mm_loadu_ps(from(i)));
        let second = _mm512_insertf32x4::<1>(first, _mm_loadu_ps(from(4 + i)));
        let third = _mm512_insertf32x4::<2>(second, _mm_loadu_ps(from(8 + i)));
        _mm512_insertf32x4::<3>(third, _mm_loadu_ps(from(12 + i)))
    }
}

impl Simd for Avx512 {
    const LANES: usize = 16;
    const ROWS: usize = 8;
    type F = __m512;
    type I = __m512i;
    type M = __mmask16;

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: the caller promises 16 numbers.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: __m512) {
        // SAFETY: the caller promises 16 numbers.
        unsafe { _mm512_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn load_part(self, from: *const f32, len: usize) -> __m512 {
        // SAFETY: the caller promises `len` numbers; the others are masked.
        unsafe { _mm512_maskz_loadu_ps(first(len), from) }
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, x: __m512, len: usize) {
        // SAFETY: the caller promises `len` numbers; the others are masked.
        unsafe { _mm512_mask_storeu_ps(to, first(len), x) }
    }
    #[inline(always)]
    unsafe fn transpose(self, (from, step): (*const f32, usize), (to, row): (*mut f32, usize)) {
        for left in (0..16).step_by(4) {
            // SAFETY: the caller promises 16 rows of 16 numbers on both sides.
            unsafe {
                let from = |i: usize| from.add(i * step + left);
                let rows = [quarters(from, 0), quarters(from, 1), quarters(from, 2), quarters(from, 3)];
                for (j, column) in self.transpose_fours(rows).into_iter().enumerate() {
                    _mm512_storeu_ps(to.add((left + j) * row), column);
                }
            }
        }
    }
    #[inline(always)]
    fn transpose_fours(self, [a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
        // SAFETY: the token proves AVX-512.
        unsafe {
            let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
            let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
            let (first, second) = (_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd));
            let (ab, cd) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
            let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
            let (third, fourth) = (_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd));
            [
                _mm512_castpd_ps(first),
                _mm512_castpd_ps(second),
                _mm512_castpd_ps(third),
                _mm512_castpd_ps(fourth),
            ]
        }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16) -> __m512 {
        // SAFETY: the caller promises 16 numbers, and the token proves AVX-512.
        unsafe { widened(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn load_bf16_part(self, from: *const u16, len: usize) -> __m512 {
        // SAFETY: the caller promises `len` numbers; the others are masked.
        unsafe { widened(_mm256_maskz_loadu_epi16(first(len), from.cast())) }
    }
    #[inline(always)]
    unsafe fn store_shorts(self, to: *mut u16, x: __m512i) {
        // SAFETY: the caller promises 16 numbers, and the token proves AVX-512.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(x)) }
    }
    #[inline(always)]
    unsafe fn store_shorts_part(self, to: *mut u16, x: __m512i, len: usize) {
        // SAFETY: the caller promises `len` numbers; the others are masked.
        unsafe { _mm256_mask_storeu_epi16(to.cast(), first(len), _mm512_cvtepi32_epi16(x)) }
    }
    #[inline(always)]
    fn mul_wide(self, a: __m512i, b: u32) -> [__m512i; 2] {
        // SAFETY: the token proves AVX-512.
        unsafe {
            let b = _mm512_set1_epi64(i64::from(b));
            let (even, odd) = (_mm512_mul_epu32(a, b), _mm512_mul_epu32(_mm512_srli_epi64::<32>(a), b));
            // One shuffle each; the compiler makes three more multiplications of a shift to the left.
            let high = _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, even);
            [high, _mm512_mask_shuffle_epi32::<0b10_10_00_00>(even, 0xaaaa, odd)]
        }
    }
    /// An estimate of 14 bits, made twice as long by one step of Newton's.
    #[inline(always)]
    fn recip(self, x: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512.
        let estimate = unsafe { _mm512_rcp14_ps(x) };
        // SAFETY: as above.
        let error = unsafe { _mm512_fnmadd_ps(x, estimate, _mm512_set1_ps(1.0)) };
        self.fma(estimate, error, estimate)
    }
    instructions! {
        splat(x: f32) -> __m512 { _mm512_set1_ps(x) }
        add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
        sub(a: __m512, b: __m512) -> __m512 { _mm512_sub_ps(a, b) }
        mul(a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
        div(a: __m512, b: __m512) -> __m512 { _mm512_div_ps(a, b) }
        fma(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
        min(a: __m512, b: __m512) -> __m512 { _mm512_min_ps(a, b) }
        max(a: __m512, b: __m512) -> __m512 { _mm512_max_ps(a, b) }
        scale(x: __m512, n: __m512) -> __m512 { _mm512_scalef_ps(x, n) }
        round(x: __m512) -> __m512 { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x) }
        sqrt(x: __m512) -> __m512 { _mm512_sqrt_ps(x) }
        lt(a: __m512, b: __m512) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
        le(a: __m512, b: __m512) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b) }
        eq(a: __m512, b: __m512) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b) }
        select(mask: __mmask16, yes: __m512, no: __m512) -> __m512 { _mm512_mask_blend_ps(mask, no, yes) }
        splat_int(x: i32) -> __m512i { _mm512_set1_epi32(x) }
        bits(x: __m512) -> __m512i { _mm512_castps_si512(x) }
        reinterpret(x: __m512i) -> __m512 { _mm512_castsi512_ps(x) }
        to_int(x: __m512) -> __m512i { _mm512_cvttps_epi32(x) }
        to_float(x: __m512i) -> __m512 { _mm512_cvtepi32_ps(x) }
        add_int(a: __m512i, b: __m512i) -> __m512i { _mm512_add_epi32(a, b) }
        and(a: __m512i, b: __m512i) -> __m512i { _mm512_and_si512(a, b) }
        xor(a: __m512i, b: __m512i) -> __m512i { _mm512_xor_si512(a, b) }
        lt_int(a: __m512i, b: __m512i) -> __mmask16 { _mm512_cmplt_epi32_mask(a, b) }
    }
    #[inline(always)]
    fn shift_left<const BITS: u32>(self, x: __m512i) -> __m512i {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_slli_epi32::<BITS>(x) }
    }
    #[inline(always)]
    fn shift_right<const BITS: u32>(self, x: __m512i) -> __m512i {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_srai_epi32::<BITS>(x) }
    }
}
