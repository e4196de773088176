//! Products with float weights, 16 columns in two registers.

use super::{Call, LANES, Stored, by_blocks};
use crate::ElementType;
use crate::cpu::packed::encoding::TILE_ROWS;
use std::arch::x86_64::*;

/// Multiplies `lanes` rows of weights by every row of activations. The processor has been asked for AVX2 before this is chosen.
pub(super) fn tile<S: Stored>(call: &Call<'_>, lanes: usize, out: &mut [[f32; TILE_ROWS]]) {
    by_blocks!(call, lanes, out, 2, 2, dot::<S>);
}

/// `W` rows of weights from `lane` on by `A` rows of activations from `row` on.
#[target_feature(enable = "avx2,fma,f16c")]
fn dot<S: Stored, const W: usize, const A: usize>(
    call: &Call<'_>,
    lane: usize,
    row: usize,
    out: &mut [[f32; TILE_ROWS]],
) {
    let mut weight_rows: [&[u8]; W] = [&[]; W];
    let mut activation_rows: [&[f32]; A] = [&[]; A];
    weight_rows
        .iter_mut()
        .enumerate()
        .for_each(|(index, weights)| *weights = call.weight_row(lane + index));
    activation_rows
        .iter_mut()
        .enumerate()
        .for_each(|(index, values)| *values = call.activation_row(row + index));
    let mut sums = [[[_mm256_setzero_ps(); 2]; W]; A];
    let whole = call.columns / LANES;
    for piece in 0..whole {
        for half in 0..2 {
            let at = piece * LANES + 8 * half;
            let mut weights = [_mm256_setzero_ps(); W];
            for (weights, row) in weights.iter_mut().zip(weight_rows) {
                #[allow(unsafe_code, reason = "a vector load")]
                // SAFETY: this function has the instructions; the piece lies within the row.
                unsafe {
                    *weights = load::<S>(row.as_ptr().add(at * S::SIZE))
                }
            }
            for (sums, activations) in sums.iter_mut().zip(activation_rows) {
                #[allow(unsafe_code, reason = "a vector load")]
                // SAFETY: the piece lies within the row.
                let activations = unsafe { _mm256_loadu_ps(activations.as_ptr().add(at)) };
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    sum[half] = _mm256_fmadd_ps(weights, activations, sum[half]);
                }
            }
        }
    }
    if whole * LANES < call.columns {
        for (sums, activations) in sums.iter_mut().zip(activation_rows) {
            let mut last = [0.0f32; LANES];
            last[..call.columns - whole * LANES].copy_from_slice(&activations[whole * LANES..]);
            for (sum, weights) in sums.iter_mut().zip(weight_rows) {
                let mut stored = [0u8; LANES * 4];
                let rest = &weights[whole * LANES * S::SIZE..];
                stored[..rest.len()].copy_from_slice(rest);
                for (half, sum) in sum.iter_mut().enumerate() {
                    #[allow(unsafe_code, reason = "vector loads")]
                    // SAFETY: this function has the instructions; both arrays hold 16 elements.
                    unsafe {
                        let weights = load::<S>(stored.as_ptr().add(8 * half * S::SIZE));
                        let activations = _mm256_loadu_ps(last.as_ptr().add(8 * half));
                        *sum = _mm256_fmadd_ps(weights, activations, *sum);
                    }
                }
            }
        }
    }
    for (sums, out) in sums.iter().zip(&mut out[row..]) {
        for (sum, out) in sums.iter().zip(&mut out[lane..]) {
            *out = total(sum[0], sum[1]);
        }
    }
}

/// # Safety
/// The processor has the instructions, and `from` points to 8 elements.
#[inline(always)]
#[allow(unsafe_code, reason = "a vector load")]
unsafe fn load<S: Stored>(from: *const u8) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        match S::ELEMENT {
            ElementType::F32 => _mm256_loadu_ps(from.cast()),
            ElementType::F16 => _mm256_cvtph_ps(_mm_loadu_si128(from.cast())),
            _ => {
                let upper = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(upper))
            }
        }
    }
}

/// The sum of the lanes, in the order of the definition.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn total(low: __m256, high: __m256) -> f32 {
    let eight = _mm256_add_ps(low, high);
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}
