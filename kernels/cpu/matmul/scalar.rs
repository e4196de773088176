//! The definition of a packed product, in plain Rust.

use super::{Tile, superblocks};
use crate::cpu::activations::ActivationGroup;
use crate::cpu::packed::encoding::{Encoding, LINE, Scales, TILE_ROWS};
use half::f16;

/// A value for each row of a tile.
type Lanes = [f32; TILE_ROWS];

/// See [`super::TileKernel`].
pub(super) fn tile<E: Encoding>(tile: Tile<'_>, activations: &[ActivationGroup], out: &mut [Lanes]) {
    out.fill([0.0; TILE_ROWS]);
    let rows = out.len();
    for (header, codes, activations) in superblocks::<E>(tile, activations, rows) {
        let groups = codes
            .chunks_exact(E::CODE_BYTES)
            .zip(activations.chunks_exact(rows));
        for (group, (codes, activations)) in groups.enumerate() {
            let codes = unpack::<E>(codes);
            let (scales, second, minima) = group_scales::<E>(header, group);
            for (out, activation) in out.iter_mut().zip(activations) {
                let sums = integer_sums::<E>(&codes, activation);
                for lane in 0..TILE_ROWS {
                    let step =
                        |sum: i32, scale: f32, acc: f32| (sum as f32).mul_add(scale * activation.scale, acc);
                    let acc = &mut out[lane];
                    if E::SCALES == Scales::SuperHalves {
                        *acc = step(sums[0][lane], scales[lane], *acc);
                        *acc = step(sums[1][lane], second[lane], *acc);
                    } else {
                        *acc = step(sums[0][lane] + sums[1][lane], scales[lane], *acc);
                    }
                    if matches!(E::SCALES, Scales::Minimum | Scales::Super) {
                        *acc = minima[lane].mul_add(activation.sum, *acc);
                    }
                }
            }
        }
    }
}

/// The kernel of types that are never packed.
pub(super) fn nothing(_: Tile<'_>, _: &[ActivationGroup], out: &mut [Lanes]) {
    out.fill([0.0; TILE_ROWS]);
}

/// The codes of a group, a byte each: eight chunks `[row, 4 columns]`.
fn unpack<E: Encoding>(codes: &[u8]) -> [[u8; LINE]; 8] {
    let mut chunks = [[0; LINE]; 8];
    for (index, chunk) in chunks.iter_mut().enumerate() {
        for (byte, code) in chunk.iter_mut().enumerate() {
            *code = match E::BITS {
                8 => codes[index * LINE + byte],
                _ => (codes[index / 2 * LINE + byte] >> (4 * (index % 2))) & 15,
            };
            if E::BITS == 5 {
                *code |= ((codes[4 * LINE + byte] >> index) & 1) << 4;
            }
            if E::BITS == 6 {
                *code |= ((codes[(4 + index / 4) * LINE + byte] >> (2 * (index % 4))) & 3) << 4;
            }
        }
    }
    chunks
}

/// For each row: the scale of a group (of its first half), that of its second half, and what is added for its minimum.
fn group_scales<E: Encoding>(header: &[u8], group: usize) -> (Lanes, Lanes, Lanes) {
    let half = |at: usize, lane: usize| {
        f16::from_le_bytes([header[at + 2 * lane], header[at + 2 * lane + 1]]).to_f32()
    };
    let mut lanes = ([0.0; TILE_ROWS], [0.0; TILE_ROWS], [0.0; TILE_ROWS]);
    for lane in 0..TILE_ROWS {
        let scale = half(0, lane);
        match E::SCALES {
            Scales::Plain => lanes.0[lane] = scale,
            Scales::Minimum => {
                lanes.0[lane] = scale;
                lanes.2[lane] = half(32, lane);
            }
            Scales::Super => {
                lanes.0[lane] = scale * f32::from(header[64 + 32 * group + lane]);
                lanes.2[lane] = -(half(32, lane) * f32::from(header[80 + 32 * group + lane]));
            }
            Scales::SuperHalves => {
                lanes.0[lane] = scale * f32::from(header[32 + 32 * group + lane].cast_signed());
                lanes.1[lane] = scale * f32::from(header[48 + 32 * group + lane].cast_signed());
            }
        }
    }
    lanes
}

/// For each row, the sums over the first and over the last 16 columns of weight integers times activation integers.
fn integer_sums<E: Encoding>(codes: &[[u8; LINE]; 8], activation: &ActivationGroup) -> [[i32; TILE_ROWS]; 2] {
    let offset = if E::OFFSET_SHIFT == 0 {
        0
    } else {
        1 << E::OFFSET_SHIFT
    };
    let mut sums = [[0; TILE_ROWS]; 2];
    for (index, (chunk, values)) in codes.iter().zip(activation.values.as_chunks::<4>().0).enumerate() {
        for (sum, codes) in sums[index / 4].iter_mut().zip(chunk.as_chunks::<4>().0) {
            for (&code, &value) in codes.iter().zip(values) {
                *sum += (i32::from(code) - offset) * i32::from(value);
            }
        }
    }
    sums
}
