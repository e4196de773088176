//! Packed products with AVX2: a register holds four columns of half the rows of a tile, so each tile is gone over in two halves.

use super::{Tile, superblocks};
use crate::cpu::activations::ActivationGroup;
use crate::cpu::packed::encoding::{Encoding, LINE, Scales, TILE_ROWS};
use std::arch::x86_64::*;

/// See [`super::TileKernel`]. The processor has been asked for AVX2 before this is chosen.
pub(super) fn tile<E: Encoding>(
    tile: Tile<'_>,
    activations: &[ActivationGroup],
    out: &mut [[f32; TILE_ROWS]],
) {
    let rows = out.len();
    let mut first = 0;
    macro_rules! take {
        ($($count:literal)*) => {$(
            while let Some((out, _)) = out[first..].split_first_chunk_mut::<$count>() {
                #[allow(unsafe_code, reason = "calls code for instructions that were looked for")]
                // SAFETY: `matmul` refuses to run when the processor lacks the instructions.
                unsafe {
                    tile_rows::<E, $count>(tile, activations, rows, first, out);
                }
                first += $count;
            }
        )*};
    }
    take!(16 4 1);
}

/// The rows from `first` on, `ROWS` of them.
#[target_feature(enable = "avx2,fma,f16c")]
fn tile_rows<E: Encoding, const ROWS: usize>(
    tile: Tile<'_>,
    activations: &[ActivationGroup],
    stride: usize,
    first: usize,
    out: &mut [[f32; TILE_ROWS]; ROWS],
) {
    let mut acc = [[_mm256_setzero_ps(); 2]; ROWS];
    for (header, codes, activations) in superblocks::<E>(tile, activations, stride) {
        let groups = codes
            .chunks_exact(E::CODE_BYTES)
            .zip(activations.chunks_exact(stride));
        for (group, (codes, activations)) in groups.enumerate() {
            let activations = &activations[first..first + ROWS];
            for half in 0..2 {
                #[allow(unsafe_code, reason = "vector loads, and helpers that are inlined here")]
                // SAFETY: this function has the instructions; headers and codes are as long as `superblocks` cuts them.
                let (chunks, scales) = unsafe {
                    (
                        unpack::<E>(codes.as_ptr().add(32 * half)),
                        GroupScales::load::<E>(header.as_ptr(), group, half),
                    )
                };
                for (acc, activation) in acc.iter_mut().zip(activations) {
                    #[allow(unsafe_code, reason = "helpers that are inlined here")]
                    // SAFETY: this function has the instructions.
                    unsafe {
                        acc[half] = multiply::<E>(&chunks, &scales, activation, acc[half]);
                    }
                }
            }
        }
    }
    for (out, acc) in out.iter_mut().zip(acc) {
        #[allow(unsafe_code, reason = "vector stores")]
        // SAFETY: a row of a tile is 16 floats.
        unsafe {
            _mm256_storeu_ps(out.as_mut_ptr(), acc[0]);
            _mm256_storeu_ps(out.as_mut_ptr().add(8), acc[1]);
        }
    }
}

/// What the integer sums of a group are multiplied by, for half the rows of the tile.
struct GroupScales {
    scale: __m256,
    /// Of the second half of the columns, where halves have scales of their own.
    second: __m256,
    minimum: __m256,
}

impl GroupScales {
    /// # Safety
    /// The processor has the instructions, and `header` points to a header of `E`; `half` is 0 or 1.
    #[inline(always)]
    #[allow(unsafe_code, reason = "vector loads")]
    unsafe fn load<E: Encoding>(header: *const u8, group: usize, half: usize) -> GroupScales {
        // SAFETY: the offsets are those of the header's form.
        unsafe {
            let halves = |at: usize| _mm256_cvtph_ps(_mm_loadu_si128(header.add(at + 16 * half).cast()));
            let bytes = |at: usize| _mm_loadl_epi64(header.add(at + 32 * group + 8 * half).cast());
            let unsigned = |at: usize| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes(at)));
            let signed = |at: usize| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes(at)));
            let zero = _mm256_setzero_ps();
            let scale = halves(0);
            match E::SCALES {
                Scales::Plain => GroupScales {
                    scale,
                    second: zero,
                    minimum: zero,
                },
                Scales::Minimum => GroupScales {
                    scale,
                    second: zero,
                    minimum: halves(32),
                },
                Scales::Super => GroupScales {
                    scale: _mm256_mul_ps(scale, unsigned(64)),
                    second: zero,
                    minimum: _mm256_mul_ps(halves(32), unsigned(80)),
                },
                Scales::SuperHalves => GroupScales {
                    scale: _mm256_mul_ps(scale, signed(32)),
                    second: _mm256_mul_ps(scale, signed(48)),
                    minimum: zero,
                },
            }
        }
    }
}

/// Adds the products of a group with one row of activations to that row's sums.
///
/// # Safety
/// The processor has the instructions.
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
unsafe fn multiply<E: Encoding>(
    chunks: &[__m256i; 8],
    scales: &GroupScales,
    activation: &ActivationGroup,
    acc: __m256,
) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        let scale = _mm256_set1_ps(activation.scale);
        if E::SCALES == Scales::SuperHalves {
            let [low, high] = activation.negative_half_sums;
            let first = integer_sum::<E>(chunks, activation, 0..4, low);
            let second = integer_sum::<E>(chunks, activation, 4..8, high);
            let acc = _mm256_fmadd_ps(first, _mm256_mul_ps(scales.scale, scale), acc);
            return _mm256_fmadd_ps(second, _mm256_mul_ps(scales.second, scale), acc);
        }
        let sum = integer_sum::<E>(chunks, activation, 0..8, activation.negative_sum);
        let acc = _mm256_fmadd_ps(sum, _mm256_mul_ps(scales.scale, scale), acc);
        let activation_sum = _mm256_set1_ps(activation.sum);
        match E::SCALES {
            Scales::Minimum => _mm256_fmadd_ps(scales.minimum, activation_sum, acc),
            Scales::Super => _mm256_fnmadd_ps(scales.minimum, activation_sum, acc),
            _ => acc,
        }
    }
}

/// The exact sums over some chunks of columns, as floats.
///
/// # Safety
/// The processor has the instructions; `range` lies within 0..8.
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
unsafe fn integer_sum<E: Encoding>(
    chunks: &[__m256i; 8],
    activation: &ActivationGroup,
    range: std::ops::Range<usize>,
    negative_sum: i32,
) -> __m256 {
    // How many products of pairs fit 16 bits: 8 * 2 * 15 * 127, 4 * 2 * 31 * 127, 2 * 2 * 63 * 127 and 2 * 128 * 127 are below 2^15.
    let run = match E::BITS {
        4 => 8,
        5 => 4,
        6 => 2,
        _ => 1,
    };
    // SAFETY: the caller's promise; the words read are the group's 32 integers.
    unsafe {
        let words = activation.values.as_ptr().cast::<i32>();
        let ones = _mm256_set1_epi16(1);
        let pairs = |chunk: usize| {
            let values = _mm256_set1_epi32(words.add(chunk).read());
            if E::BITS == 8 {
                // The instruction wants one side unsigned: the weight's sign goes over to the activation.
                let weights = _mm256_xor_si256(chunks[chunk], _mm256_set1_epi8(i8::MIN));
                return _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(values, weights));
            }
            _mm256_maddubs_epi16(chunks[chunk], values)
        };
        let mut sum = if E::BITS == 8 || E::OFFSET_SHIFT == 0 {
            _mm256_setzero_si256()
        } else {
            _mm256_sll_epi32(
                _mm256_set1_epi32(negative_sum),
                _mm_cvtsi32_si128(E::OFFSET_SHIFT as i32),
            )
        };
        let mut chunk = range.start;
        while chunk < range.end {
            let mut short = pairs(chunk);
            for next in chunk + 1..chunk + run {
                short = _mm256_add_epi16(short, pairs(next));
            }
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(short, ones));
            chunk += run;
        }
        _mm256_cvtepi32_ps(sum)
    }
}

/// The codes of half the rows of a group, a byte each: eight chunks `[row, 4 columns]`.
///
/// # Safety
/// The processor has the instructions, and `codes` points to the first byte of those rows in a group's codes of `E`.
#[inline(always)]
#[allow(unsafe_code, reason = "vector loads")]
unsafe fn unpack<E: Encoding>(codes: *const u8) -> [__m256i; 8] {
    // SAFETY: the lines read are those that a group of `E::BITS` bits has.
    unsafe {
        let line = |index: usize| _mm256_loadu_si256(codes.add(index * LINE).cast());
        if E::BITS == 8 {
            return std::array::from_fn(line);
        }
        let nibbles = _mm256_set1_epi8(15);
        let pair = |index: usize| {
            let both = line(index);
            (
                _mm256_and_si256(both, nibbles),
                _mm256_and_si256(_mm256_srli_epi16::<4>(both), nibbles),
            )
        };
        let ((c0, c1), (c2, c3), (c4, c5), (c6, c7)) = (pair(0), pair(1), pair(2), pair(3));
        let low = [c0, c1, c2, c3, c4, c5, c6, c7];
        if E::BITS == 4 {
            return low;
        }
        let (high, mask) = if E::BITS == 5 {
            let bits = line(4);
            let high = [
                _mm256_slli_epi16::<4>(bits),
                _mm256_slli_epi16::<3>(bits),
                _mm256_slli_epi16::<2>(bits),
                _mm256_slli_epi16::<1>(bits),
                bits,
                _mm256_srli_epi16::<1>(bits),
                _mm256_srli_epi16::<2>(bits),
                _mm256_srli_epi16::<3>(bits),
            ];
            (high, _mm256_set1_epi8(0x10))
        } else {
            let (first, second) = (line(4), line(5));
            let high = [
                _mm256_slli_epi16::<4>(first),
                _mm256_slli_epi16::<2>(first),
                first,
                _mm256_srli_epi16::<2>(first),
                _mm256_slli_epi16::<4>(second),
                _mm256_slli_epi16::<2>(second),
                second,
                _mm256_srli_epi16::<2>(second),
            ];
            (high, _mm256_set1_epi8(0x30))
        };
        std::array::from_fn(|index| _mm256_or_si256(low[index], _mm256_and_si256(high[index], mask)))
    }
}
