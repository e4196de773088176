//! Products with float weights, 16 columns in a register.

use super::{Call, LANES, Stored, by_blocks};
use crate::ElementType;
use crate::cpu::packed::encoding::TILE_ROWS;
use std::arch::x86_64::*;

/// Multiplies `lanes` rows of weights by every row of activations. The processor has been asked for AVX-512 before this is chosen.
pub(super) fn tile<S: Stored>(call: &Call<'_>, lanes: usize, out: &mut [[f32; TILE_ROWS]]) {
    by_blocks!(call, lanes, out, 4, 4, dot::<S>);
}

/// `W` rows of weights from `lane` on by `A` rows of activations from `row` on.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
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
    let mut sums = [[_mm512_setzero_ps(); W]; A];
    let whole = call.columns / LANES;
    for piece in 0..whole {
        let mut weights = [_mm512_setzero_ps(); W];
        for (weights, row) in weights.iter_mut().zip(weight_rows) {
            #[allow(unsafe_code, reason = "a vector load")]
            // SAFETY: this function has the instructions; the piece lies within the row.
            unsafe {
                *weights = load::<S>(row.as_ptr().add(piece * LANES * S::SIZE))
            }
        }
        for (sums, activations) in sums.iter_mut().zip(activation_rows) {
            #[allow(unsafe_code, reason = "a vector load")]
            // SAFETY: the piece lies within the row.
            let activations = unsafe { _mm512_loadu_ps(activations.as_ptr().add(piece * LANES)) };
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = _mm512_fmadd_ps(weights, activations, *sum);
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
                #[allow(unsafe_code, reason = "vector loads")]
                // SAFETY: this function has the instructions; both arrays hold 16 elements.
                unsafe {
                    *sum = _mm512_fmadd_ps(load::<S>(stored.as_ptr()), _mm512_loadu_ps(last.as_ptr()), *sum);
                }
            }
        }
    }
    for (sums, out) in sums.iter().zip(&mut out[row..]) {
        for (sum, out) in sums.iter().zip(&mut out[lane..]) {
            *out = total(*sum);
        }
    }
}

/// # Safety
/// The processor has the instructions, and `from` points to 16 elements.
#[inline(always)]
#[allow(unsafe_code, reason = "a vector load")]
unsafe fn load<S: Stored>(from: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        match S::ELEMENT {
            ElementType::F32 => _mm512_loadu_ps(from.cast()),
            ElementType::F16 => _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())),
            _ => {
                let upper = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(upper))
            }
        }
    }
}

/// The sum of the lanes, in the order of the definition.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn total(sums: __m512) -> f32 {
    let eight = _mm256_add_ps(_mm512_castps512_ps256(sums), _mm512_extractf32x8_ps::<1>(sums));
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}
