//! [`Lanes`] in two AVX2 registers.

use std::arch::x86_64::*;

use super::{Kernel, Lanes};

/// Sixteen floats in two registers.
#[derive(Clone, Copy)]
pub(super) struct Avx2([__m256; 2]);

/// Runs a kernel compiled for AVX2.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn run(kernel: impl Kernel) {
    // SAFETY: the same promise.
    unsafe { kernel.run::<Avx2>() }
}

#[allow(
    unsafe_op_in_unsafe_fn,
    reason = "each function is a few instructions, safe under the promises that the trait states"
)]
impl Lanes for Avx2 {
    const TILE: usize = 6;
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Avx2([_mm256_set1_ps(value); 2])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Avx2([_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))])
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        let half = |at: usize| _mm256_cvtph_ps(_mm_loadu_si128(from.add(at).cast()));
        Avx2([half(0), half(8)])
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        let half = |at: usize| {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(at).cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        };
        Avx2([half(0), half(8)])
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        let bytes = _mm_loadu_si128(from.cast());
        let half = |bytes| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
        Avx2([half(bytes), half(_mm_srli_si128::<8>(bytes))])
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        _mm256_storeu_ps(to, self.0[0]);
        _mm256_storeu_ps(to.add(8), self.0[1]);
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        let half = |i: usize| _mm256_add_ps(self.0[i], other.0[i]);
        Avx2([half(0), half(1)])
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        let half = |i: usize| _mm256_sub_ps(self.0[i], other.0[i]);
        Avx2([half(0), half(1)])
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        let half = |i: usize| _mm256_mul_ps(self.0[i], other.0[i]);
        Avx2([half(0), half(1)])
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        let half = |i: usize| _mm256_div_ps(self.0[i], other.0[i]);
        Avx2([half(0), half(1)])
    }

    #[inline(always)]
    unsafe fn fma(self, factor: Self, addend: Self) -> Self {
        let half = |i: usize| _mm256_fmadd_ps(self.0[i], factor.0[i], addend.0[i]);
        Avx2([half(0), half(1)])
    }

    #[inline(always)]
    unsafe fn fnma(self, factor: Self, addend: Self) -> Self {
        let half = |i: usize| _mm256_fnmadd_ps(self.0[i], factor.0[i], addend.0[i]);
        Avx2([half(0), half(1)])
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        let half = |i: usize| _mm256_max_ps(self.0[i], other.0[i]);
        Avx2([half(0), half(1)])
    }

    #[inline(always)]
    unsafe fn pick_less(self, bound: Self, yes: Self, no: Self) -> Self {
        let half = |i: usize| {
            let less = _mm256_cmp_ps::<_CMP_LT_OQ>(self.0[i], bound.0[i]);
            _mm256_blendv_ps(no.0[i], yes.0[i], less)
        };
        Avx2([half(0), half(1)])
    }

    #[inline(always)]
    unsafe fn keep(self, first: usize, end: usize, other: f32) -> Self {
        let other = _mm256_set1_ps(other);
        let (first, end) = (_mm256_set1_epi32(first as i32), _mm256_set1_epi32(end as i32));
        let half = |i: usize| {
            let lane = _mm256_add_epi32(
                _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                _mm256_set1_epi32(8 * i as i32),
            );
            let kept = _mm256_andnot_si256(_mm256_cmpgt_epi32(first, lane), _mm256_cmpgt_epi32(end, lane));
            _mm256_blendv_ps(other, self.0[i], _mm256_castsi256_ps(kept))
        };
        Avx2([half(0), half(1)])
    }

    #[inline(always)]
    unsafe fn scale_by_low_bits(self, power: Self) -> Self {
        let half = |i: usize| {
            let bits = _mm256_slli_epi32::<23>(_mm256_castps_si256(power.0[i]));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(self.0[i]), bits))
        };
        Avx2([half(0), half(1)])
    }
}
