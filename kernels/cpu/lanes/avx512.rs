//! [`Lanes`] in one AVX-512 register.

use std::arch::x86_64::*;

use super::{Kernel, Lanes};

/// Sixteen floats in one register.
#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512);

/// Runs a kernel compiled for AVX-512 F.
///
/// # Safety
/// The processor has AVX-512 F, AVX2, FMA and F16C.
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
pub(super) unsafe fn run(kernel: impl Kernel) {
    // SAFETY: the same promise.
    unsafe { kernel.run::<Avx512>() }
}

#[allow(
    unsafe_op_in_unsafe_fn,
    reason = "each function is a few instructions, safe under the promises that the trait states"
)]
impl Lanes for Avx512 {
    const TILE: usize = 8;
    const WIDE: bool = true;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Avx512(_mm512_set1_ps(value))
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Avx512(_mm512_loadu_ps(from))
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        Avx512(_mm512_cvtph_ps(_mm256_loadu_si256(from.cast())))
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
        Avx512(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide)))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        let wide = _mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()));
        Avx512(_mm512_cvtepi32_ps(wide))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        _mm512_storeu_ps(to, self.0);
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Avx512(_mm512_add_ps(self.0, other.0))
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Avx512(_mm512_sub_ps(self.0, other.0))
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Avx512(_mm512_mul_ps(self.0, other.0))
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        Avx512(_mm512_div_ps(self.0, other.0))
    }

    #[inline(always)]
    unsafe fn fma(self, factor: Self, addend: Self) -> Self {
        Avx512(_mm512_fmadd_ps(self.0, factor.0, addend.0))
    }

    #[inline(always)]
    unsafe fn fnma(self, factor: Self, addend: Self) -> Self {
        Avx512(_mm512_fnmadd_ps(self.0, factor.0, addend.0))
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Avx512(_mm512_max_ps(self.0, other.0))
    }

    #[inline(always)]
    unsafe fn pick_less(self, bound: Self, yes: Self, no: Self) -> Self {
        let less = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, bound.0);
        Avx512(_mm512_mask_blend_ps(less, no.0, yes.0))
    }

    #[inline(always)]
    unsafe fn keep(self, first: usize, end: usize, other: f32) -> Self {
        let kept = ((1u32 << end) - 1) & !((1u32 << first) - 1);
        Avx512(_mm512_mask_blend_ps(kept as u16, _mm512_set1_ps(other), self.0))
    }

    #[inline(always)]
    unsafe fn scale_by_low_bits(self, power: Self) -> Self {
        let bits = _mm512_slli_epi32::<23>(_mm512_castps_si512(power.0));
        Avx512(_mm512_castsi512_ps(_mm512_add_epi32(
            _mm512_castps_si512(self.0),
            bits,
        )))
    }
}
