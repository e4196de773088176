//! Packed products with AVX-512 VNNI: a register holds four columns of all 16 rows of a tile.

use super::{Tile, superblocks};
use crate::cpu::activations::ActivationGroup;
use crate::cpu::packed::encoding::{Encoding, LINE, Scales, TILE_ROWS};
use std::arch::x86_64::*;

/// See [`super::TileKernel`]. The processor has been asked for AVX-512 before this is chosen.
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
    take!(16 8 4 2 1);
}

/// With so few rows of activations the weights are what is waited for.
const PREFETCH_ROWS: usize = 4;

/// How far ahead of the codes in use others are asked for, in bytes: what memory delivers while a group is computed, several times over.
const PREFETCH_DISTANCE: usize = 4096;

/// Asks for the codes of a group further on. The processor's own prefetching stops at the end of each page.
#[inline(always)]
fn prefetch<E: Encoding>(codes: *const u8) {
    for line in 0..E::CODE_BYTES / LINE {
        let ahead = codes.wrapping_add(PREFETCH_DISTANCE + line * LINE);
        #[allow(unsafe_code, reason = "an intrinsic")]
        // SAFETY: a prefetch is a hint; no address faults.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
        }
    }
}

/// Two tiles for one row of activations, so that twice as many weights are on their way from memory at once.
pub(super) fn tile_pair<E: Encoding>(
    tiles: [Tile<'_>; 2],
    activations: &[ActivationGroup],
    out: &mut [[f32; TILE_ROWS]; 2],
) {
    #[allow(unsafe_code, reason = "calls code for instructions that were looked for")]
    // SAFETY: `matmul` refuses to run when the processor lacks the instructions.
    unsafe {
        tile_pair_row::<E>(tiles, activations, out);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn tile_pair_row<E: Encoding>(
    [one, two]: [Tile<'_>; 2],
    activations: &[ActivationGroup],
    out: &mut [[f32; TILE_ROWS]; 2],
) {
    let mut acc = [_mm512_setzero_ps(); 2];
    let pairs = superblocks::<E>(one, activations, 1).zip(superblocks::<E>(two, activations, 1));
    for ((header, codes, activations), (other_header, other_codes, _)) in pairs {
        let groups = codes
            .chunks_exact(E::CODE_BYTES)
            .zip(other_codes.chunks_exact(E::CODE_BYTES))
            .zip(activations);
        for (group, ((codes, other_codes), activation)) in groups.enumerate() {
            prefetch::<E>(codes.as_ptr());
            prefetch::<E>(other_codes.as_ptr());
            #[allow(unsafe_code, reason = "vector loads, and helpers that are inlined here")]
            // SAFETY: this function has the instructions; headers and codes are as long as `superblocks` cuts them.
            unsafe {
                let chunks = unpack::<E>(codes.as_ptr());
                let scales = GroupScales::load::<E>(header.as_ptr(), group);
                acc[0] = multiply::<E>(&chunks, &scales, activation, acc[0]);
                let chunks = unpack::<E>(other_codes.as_ptr());
                let scales = GroupScales::load::<E>(other_header.as_ptr(), group);
                acc[1] = multiply::<E>(&chunks, &scales, activation, acc[1]);
            }
        }
    }
    for (out, acc) in out.iter_mut().zip(acc) {
        #[allow(unsafe_code, reason = "a vector store")]
        // SAFETY: a row of a tile is 16 floats.
        unsafe {
            _mm512_storeu_ps(out.as_mut_ptr(), acc);
        }
    }
}

/// The rows from `first` on, `ROWS` of them: their sums stay in registers throughout.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn tile_rows<E: Encoding, const ROWS: usize>(
    tile: Tile<'_>,
    activations: &[ActivationGroup],
    stride: usize,
    first: usize,
    out: &mut [[f32; TILE_ROWS]; ROWS],
) {
    let mut acc = [_mm512_setzero_ps(); ROWS];
    for (header, codes, activations) in superblocks::<E>(tile, activations, stride) {
        let groups = codes
            .chunks_exact(E::CODE_BYTES)
            .zip(activations.chunks_exact(stride));
        for (group, (codes, activations)) in groups.enumerate() {
            let Some(activations) = activations[first..].first_chunk::<ROWS>() else {
                continue;
            };
            if ROWS <= PREFETCH_ROWS {
                prefetch::<E>(codes.as_ptr());
            }
            #[allow(unsafe_code, reason = "vector loads, and helpers that are inlined here")]
            // SAFETY: this function has the instructions; headers and codes are as long as `superblocks` cuts them.
            let (chunks, scales) = unsafe {
                (
                    unpack::<E>(codes.as_ptr()),
                    GroupScales::load::<E>(header.as_ptr(), group),
                )
            };
            // Spelt out, since the compiler leaves a loop of sixteen, and with it the sums, in memory.
            macro_rules! each {
                ($($row:literal)*) => {$(
                    if $row < ROWS {
                        #[allow(unsafe_code, reason = "helpers that are inlined here")]
                        // SAFETY: this function has the instructions.
                        unsafe {
                            acc[$row] = multiply::<E>(&chunks, &scales, &activations[$row], acc[$row]);
                        }
                    }
                )*};
            }
            each!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        }
    }
    for (out, acc) in out.iter_mut().zip(acc) {
        #[allow(unsafe_code, reason = "a vector store")]
        // SAFETY: a row of a tile is 16 floats.
        unsafe {
            _mm512_storeu_ps(out.as_mut_ptr(), acc);
        }
    }
}

/// What the integer sums of a group are multiplied by, for each row of the tile.
struct GroupScales {
    scale: __m512,
    /// Of the second half of the columns, where halves have scales of their own.
    second: __m512,
    minimum: __m512,
}

impl GroupScales {
    /// # Safety
    /// The processor has the instructions, and `header` points to a header of `E`.
    #[inline(always)]
    #[allow(unsafe_code, reason = "vector loads")]
    unsafe fn load<E: Encoding>(header: *const u8, group: usize) -> GroupScales {
        // SAFETY: the offsets are those of the header's form.
        unsafe {
            let halves = |at: usize| _mm512_cvtph_ps(_mm256_loadu_si256(header.add(at).cast()));
            let unsigned = |at: usize| {
                _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(
                    header.add(at + 32 * group).cast(),
                )))
            };
            let signed = |at: usize| {
                _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(
                    header.add(at + 32 * group).cast(),
                )))
            };
            let zero = _mm512_setzero_ps();
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
                    scale: _mm512_mul_ps(scale, unsigned(64)),
                    second: zero,
                    minimum: _mm512_mul_ps(halves(32), unsigned(80)),
                },
                Scales::SuperHalves => GroupScales {
                    scale: _mm512_mul_ps(scale, signed(32)),
                    second: _mm512_mul_ps(scale, signed(48)),
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
    chunks: &[__m512i; 8],
    scales: &GroupScales,
    activation: &ActivationGroup,
    acc: __m512,
) -> __m512 {
    // SAFETY: the caller's promise; the words read are the group's 32 integers.
    unsafe {
        let scale = _mm512_set1_ps(activation.scale);
        if E::SCALES == Scales::SuperHalves {
            let [low, high] = activation.negative_half_sums;
            let acc = _mm512_fmadd_ps(
                integer_sum::<E, 0, 4>(chunks, activation, low),
                _mm512_mul_ps(scales.scale, scale),
                acc,
            );
            return _mm512_fmadd_ps(
                integer_sum::<E, 4, 8>(chunks, activation, high),
                _mm512_mul_ps(scales.second, scale),
                acc,
            );
        }
        let acc = _mm512_fmadd_ps(
            integer_sum::<E, 0, 8>(chunks, activation, activation.negative_sum),
            _mm512_mul_ps(scales.scale, scale),
            acc,
        );
        let activation_sum = _mm512_set1_ps(activation.sum);
        match E::SCALES {
            Scales::Minimum => _mm512_fmadd_ps(scales.minimum, activation_sum, acc),
            Scales::Super => _mm512_fnmadd_ps(scales.minimum, activation_sum, acc),
            _ => acc,
        }
    }
}

/// The exact sums over the chunks of columns from `FROM` to `TO`, as floats. Not a closure: those are not always inlined, and an
/// instruction that is not inlined here is a call.
///
/// # Safety
/// The processor has the instructions.
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
unsafe fn integer_sum<E: Encoding, const FROM: usize, const TO: usize>(
    chunks: &[__m512i; 8],
    activation: &ActivationGroup,
    negative_sum: i32,
) -> __m512 {
    // SAFETY: the caller's promise; the words read are the group's 32 integers.
    unsafe {
        let words = activation.values.as_ptr().cast::<i32>();
        let mut sum = if E::OFFSET_SHIFT == 0 {
            _mm512_setzero_si512()
        } else {
            // An immediate shift would need the amount as a literal.
            _mm512_sll_epi32(
                _mm512_set1_epi32(negative_sum),
                _mm_cvtsi32_si128(E::OFFSET_SHIFT as i32),
            )
        };
        for (index, &chunk) in chunks.iter().enumerate().take(TO).skip(FROM) {
            sum = _mm512_dpbusd_epi32(sum, chunk, _mm512_set1_epi32(words.add(index).read()));
        }
        _mm512_cvtepi32_ps(sum)
    }
}

/// The codes of a group, a byte each: eight chunks `[row, 4 columns]`.
///
/// # Safety
/// The processor has the instructions, and `codes` points to a group's codes of `E`.
#[inline(always)]
#[allow(unsafe_code, reason = "vector loads")]
unsafe fn unpack<E: Encoding>(codes: *const u8) -> [__m512i; 8] {
    // SAFETY: the lines read are those that a group of `E::BITS` bits has.
    unsafe {
        let line = |index: usize| _mm512_loadu_si512(codes.add(index * LINE).cast());
        if E::BITS == 8 {
            return std::array::from_fn(line);
        }
        let nibbles = _mm512_set1_epi8(15);
        let pair = |index: usize| {
            let both = line(index);
            (
                _mm512_and_si512(both, nibbles),
                _mm512_and_si512(_mm512_srli_epi16::<4>(both), nibbles),
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
                _mm512_slli_epi16::<4>(bits),
                _mm512_slli_epi16::<3>(bits),
                _mm512_slli_epi16::<2>(bits),
                _mm512_slli_epi16::<1>(bits),
                bits,
                _mm512_srli_epi16::<1>(bits),
                _mm512_srli_epi16::<2>(bits),
                _mm512_srli_epi16::<3>(bits),
            ];
            (high, _mm512_set1_epi8(0x10))
        } else {
            let (first, second) = (line(4), line(5));
            let high = [
                _mm512_slli_epi16::<4>(first),
                _mm512_slli_epi16::<2>(first),
                first,
                _mm512_srli_epi16::<2>(first),
                _mm512_slli_epi16::<4>(second),
                _mm512_slli_epi16::<2>(second),
                second,
                _mm512_srli_epi16::<2>(second),
            ];
            (high, _mm512_set1_epi8(0x30))
        };
        std::array::from_fn(|index| _mm512_or_si512(low[index], _mm512_and_si512(high[index], mask)))
    }
}
