//! Block formats of files in the order in which kernels read them. Nothing is rounded: bytes and bits change places only.

use crate::ElementType;
use crate::blocks::Block;

/// The parts of a matrix, as [`super::Weights`] points to them. Parts that a format does not have are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Planes {
    /// `codes` of [`super::Weights`].
    pub codes: Vec<u8>,
    /// Its `upper`.
    pub upper: Vec<u8>,
    /// Its `scales`.
    pub scales: Vec<u8>,
    /// Its `block_scales`.
    pub block_scales: Vec<u8>,
}

/// Blocks of `Q8_0` (whole rows), codes and scales apart. `None` when the bytes are not whole blocks.
pub fn planes_of_q8_0(bytes: &[u8]) -> Option<Planes> {
    let mut planes = Planes::default();
    let blocks = bytes.chunks_exact(ElementType::Q8_0.block_bytes());
    if !blocks.remainder().is_empty() {
        return None;
    }
    for block in blocks {
        let (scale, codes) = block.split_at_checked(2)?;
        planes.scales.extend_from_slice(scale);
        planes.codes.extend_from_slice(codes);
    }
    Some(planes)
}

/// Blocks of `Q6_K` (whole rows), their parts apart. `None` when the bytes are not whole blocks.
///
/// Of each 128 columns the kernels' slot t (0 to 3) takes columns 16 s + 4 t + i of the steps s (0 to 7), i from 0 to 3. Their lower four bits
/// are 16 bytes, slot after slot: four 32-bit words of two steps each. In a word the pair (i = 0, 1) of the first step is bits 0 to 3 and 16 to 19,
/// its pair (2, 3) the next higher ones, then come those of the second step. The upper two bits are 8 bytes in the same way: a word
/// has four steps.
pub fn planes_of_q6_k(bytes: &[u8]) -> Option<Planes> {
    let mut planes = Planes::default();
    let mut parts = Block::default();
    let blocks = bytes.chunks_exact(ElementType::Q6_K.block_bytes());
    if !blocks.remainder().is_empty() {
        return None;
    }
    for block in blocks {
        parts.read(ElementType::Q6_K, block);
        for half in parts.codes.as_chunks::<128>().0 {
            for slot in 0..4 {
                let (lower, upper) = slot_words(half, slot);
                planes
                    .codes
                    .extend(lower.iter().flat_map(|word| word.to_le_bytes()));
                planes
                    .upper
                    .extend(upper.iter().flat_map(|word| word.to_le_bytes()));
            }
        }
        planes.scales.extend_from_slice(&parts.scales);
        planes.block_scales.extend_from_slice(&parts.scale.to_le_bytes());
    }
    Some(planes)
}

/// The lower and the upper bits of a slot's columns among 128.
fn slot_words(codes: &[u8; 128], slot: usize) -> ([u32; 4], [u32; 2]) {
    let (mut lower, mut upper) = ([0; 4], [0; 2]);
    for (step, columns) in codes.as_chunks::<16>().0.iter().enumerate() {
        for (i, code) in columns.iter().skip(4 * slot).take(4).enumerate() {
            let pair = step % 2 * 2 + i / 2;
            let code = u32::from(*code);
            if let Some(word) = lower.get_mut(step / 2) {
                *word |= (code & 15) << (4 * pair + i % 2 * 16);
            }
            if let Some(word) = upper.get_mut(step / 4) {
                *word |= (code >> 4) << (step / 2 % 2 * 8 + 2 * pair + i % 2 * 16);
            }
        }
    }
    (lower, upper)
}
