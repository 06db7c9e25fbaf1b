//! AVX2 with FMA: 8 lanes, 16 registers.

use std::arch::x86_64::*;

use super::{Kernel, Level, Simd, instructions};

#[derive(Clone, Copy)]
pub struct Avx2(());

/// Runs a kernel with these instructions.
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    #[target_feature(enable = "avx2,fma")]
    fn wide<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx2(()))
    }
    assert!(Level::Avx2.is_available(), "this machine has no AVX2 with FMA");
    // SAFETY: asserted above.
    unsafe { wide(kernel) }
}

impl Simd for Avx2 {
    const LANES: usize = 8;
    const ROWS: usize = 4;
    type F = __m256;
    type I = __m256i;
    type M = __m256;

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        // SAFETY: the caller promises 8 numbers.
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: __m256) {
        // SAFETY: the caller promises 8 numbers.
        unsafe { _mm256_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16) -> __m256 {
        // SAFETY: the caller promises 8 numbers, and the token proves AVX2.
        unsafe {
            let words = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words))
        }
    }
    #[inline(always)]
    unsafe fn store_shorts(self, to: *mut u16, x: __m256i) {
        // SAFETY: as above.
        unsafe {
            let pairs = _mm256_permute4x64_epi64::<0b1000>(_mm256_packs_epi32(x, x));
            _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(pairs));
        }
    }
    #[inline(always)]
    fn transpose_fours(self, [a, b, c, d]: [__m256; 4]) -> [__m256; 4] {
        // SAFETY: the token proves AVX2.
        unsafe {
            let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let (ab, cd) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
            let (first, second) = (_mm256_unpacklo_pd(ab, cd), _mm256_unpackhi_pd(ab, cd));
            let (ab, cd) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            let (ab, cd) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
            let (third, fourth) = (_mm256_unpacklo_pd(ab, cd), _mm256_unpackhi_pd(ab, cd));
            [
                _mm256_castpd_ps(first),
                _mm256_castpd_ps(second),
                _mm256_castpd_ps(third),
                _mm256_castpd_ps(fourth),
            ]
        }
    }
    instructions! {
        splat(x: f32) -> __m256 { _mm256_set1_ps(x) }
        add(a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
        sub(a: __m256, b: __m256) -> __m256 { _mm256_sub_ps(a, b) }
        mul(a: __m256, b: __m256) -> __m256 { _mm256_mul_ps(a, b) }
        div(a: __m256, b: __m256) -> __m256 { _mm256_div_ps(a, b) }
        fma(a: __m256, b: __m256, c: __m256) -> __m256 { _mm256_fmadd_ps(a, b, c) }
        min(a: __m256, b: __m256) -> __m256 { _mm256_min_ps(a, b) }
        max(a: __m256, b: __m256) -> __m256 { _mm256_max_ps(a, b) }
        sqrt(x: __m256) -> __m256 { _mm256_sqrt_ps(x) }
        lt(a: __m256, b: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) }
        le(a: __m256, b: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_LE_OQ>(a, b) }
        eq(a: __m256, b: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b) }
        select(mask: __m256, yes: __m256, no: __m256) -> __m256 { _mm256_blendv_ps(no, yes, mask) }
        splat_int(x: i32) -> __m256i { _mm256_set1_epi32(x) }
        bits(x: __m256) -> __m256i { _mm256_castps_si256(x) }
        reinterpret(x: __m256i) -> __m256 { _mm256_castsi256_ps(x) }
        to_int(x: __m256) -> __m256i { _mm256_cvttps_epi32(x) }
        to_float(x: __m256i) -> __m256 { _mm256_cvtepi32_ps(x) }
        add_int(a: __m256i, b: __m256i) -> __m256i { _mm256_add_epi32(a, b) }
        and(a: __m256i, b: __m256i) -> __m256i { _mm256_and_si256(a, b) }
        xor(a: __m256i, b: __m256i) -> __m256i { _mm256_xor_si256(a, b) }
        lt_int(a: __m256i, b: __m256i) -> __m256 { _mm256_castsi256_ps(_mm256_cmpgt_epi32(b, a)) }
    }
    #[inline(always)]
    fn mul_wide(self, a: __m256i, b: u32) -> [__m256i; 2] {
        // SAFETY: the token proves AVX2.
        unsafe {
            let b = _mm256_set1_epi64x(i64::from(b));
            let (even, odd) = (_mm256_mul_epu32(a, b), _mm256_mul_epu32(_mm256_srli_epi64::<32>(a), b));
            let high = _mm256_blend_epi32::<0xaa>(_mm256_srli_epi64::<32>(even), odd);
            [high, _mm256_blend_epi32::<0xaa>(even, _mm256_slli_epi64::<32>(odd))]
        }
    }
    #[inline(always)]
    fn shift_left<const BITS: u32>(self, x: __m256i) -> __m256i {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_sll_epi32(x, _mm_cvtsi32_si128(BITS as i32)) }
    }
    #[inline(always)]
    fn shift_right<const BITS: u32>(self, x: __m256i) -> __m256i {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_sra_epi32(x, _mm_cvtsi32_si128(BITS as i32)) }
    }
}
