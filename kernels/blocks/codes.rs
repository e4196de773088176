//! One block taken apart: its integer codes and the scales that go with them.

use crate::ElementType;
use half::f16;

/// A block taken apart. Which fields mean something depends on its type.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// The elements' integers as unsigned numbers, in order; signed formats are shifted by [`code_offset`].
    pub(crate) codes: [u8; 256],
    /// The block's scale.
    pub(crate) scale: f16,
    /// The block's minimum: added (`Q4_1`, `Q5_1`), or the scale of the groups' minima, subtracted (`Q4_K`, `Q5_K`).
    pub(crate) minimum: f16,
    /// Integer scales: of 8 groups of 32 (`Q4_K`, `Q5_K`), or of 16 groups of 16 (`Q6_K`, signed).
    pub(crate) scales: [u8; 16],
    /// Integer minima of 8 groups of 32 (`Q4_K`, `Q5_K`).
    pub(crate) minima: [u8; 8],
}

impl Default for Block {
    fn default() -> Self {
        Block {
            codes: [0; 256],
            scale: f16::ZERO,
            minimum: f16::ZERO,
            scales: [0; 16],
            minima: [0; 8],
        }
    }
}

/// What to subtract from a code to get the integer that the scale multiplies.
pub(crate) const fn code_offset(element: ElementType) -> i32 {
    match element {
        ElementType::Q4_0 => 8,
        ElementType::Q5_0 => 16,
        ElementType::Q6_K => 32,
        ElementType::Q8_0 => 128,
        _ => 0,
    }
}

impl Block {
    /// Takes a stored block of a quantised type apart. `stored` has the type's block length; what is missing reads as before.
    pub(crate) fn read(&mut self, element: ElementType, stored: &[u8]) {
        match element {
            ElementType::Q4_0 => self.read_q4_0(stored),
            ElementType::Q4_1 => self.read_q4_1(stored),
            ElementType::Q5_0 => self.read_q5_0(stored),
            ElementType::Q5_1 => self.read_q5_1(stored),
            ElementType::Q8_0 => self.read_q8_0(stored),
            ElementType::Q4_K => self.read_q4_k(stored),
            ElementType::Q5_K => self.read_q5_k(stored),
            ElementType::Q6_K => self.read_q6_k(stored),
            ElementType::F32 | ElementType::F16 | ElementType::BF16 | ElementType::E4M3 | ElementType::I4 => {
            }
        }
    }

    /// The floats that the block stands for: the same products and sums, in the same order, as the format's reference.
    pub(crate) fn dequantise(&self, element: ElementType, out: &mut [f32]) {
        let scale = self.scale.to_f32();
        let minimum = self.minimum.to_f32();
        let offset = code_offset(element);
        let group = if element == ElementType::Q6_K { 16 } else { 32 };
        for (index, (values, codes)) in out.chunks_mut(group).zip(self.codes.chunks(group)).enumerate() {
            let (scale, added) = match element {
                ElementType::Q4_1 | ElementType::Q5_1 => (scale, minimum),
                ElementType::Q4_K | ElementType::Q5_K => (
                    scale * f32::from(self.scales[index]),
                    -(minimum * f32::from(self.minima[index])),
                ),
                ElementType::Q6_K => (scale * f32::from(self.scales[index].cast_signed()), 0.0),
                _ => (scale, 0.0),
            };
            // Adding a zero would turn a product of -0 into +0, which the reference keeps.
            let has_minimum = element_has_minimum(element);
            for (value, &code) in values.iter_mut().zip(codes) {
                let product = scale * (i32::from(code) - offset) as f32;
                *value = if has_minimum { product + added } else { product };
            }
        }
    }

    fn read_q4_0(&mut self, stored: &[u8]) {
        let Some((head, quants)) = stored.split_first_chunk::<2>() else {
            return;
        };
        self.scale = f16::from_le_bytes(*head);
        split_nibbles(quants, &mut self.codes[..32]);
    }

    fn read_q4_1(&mut self, stored: &[u8]) {
        let Some((head, quants)) = stored.split_first_chunk::<4>() else {
            return;
        };
        self.read_scale_and_minimum(*head);
        split_nibbles(quants, &mut self.codes[..32]);
    }

    fn read_q5_0(&mut self, stored: &[u8]) {
        let Some((head, rest)) = stored.split_first_chunk::<2>() else {
            return;
        };
        self.scale = f16::from_le_bytes(*head);
        self.read_fifth_bits(rest);
    }

    fn read_q5_1(&mut self, stored: &[u8]) {
        let Some((head, rest)) = stored.split_first_chunk::<4>() else {
            return;
        };
        self.read_scale_and_minimum(*head);
        self.read_fifth_bits(rest);
    }

    fn read_q8_0(&mut self, stored: &[u8]) {
        let Some((head, quants)) = stored.split_first_chunk::<2>() else {
            return;
        };
        self.scale = f16::from_le_bytes(*head);
        for (code, &quant) in self.codes.iter_mut().zip(quants) {
            *code = quant ^ 0x80;
        }
    }

    fn read_q4_k(&mut self, stored: &[u8]) {
        let Some((head, rest)) = stored.split_first_chunk::<16>() else {
            return;
        };
        self.read_six_bit_scales(head);
        for (codes, quants) in self.codes.chunks_exact_mut(64).zip(rest.chunks_exact(32)) {
            split_nibbles(quants, codes);
        }
    }

    fn read_q5_k(&mut self, stored: &[u8]) {
        let Some((head, rest)) = stored.split_first_chunk::<16>() else {
            return;
        };
        let Some((high, rest)) = rest.split_first_chunk::<32>() else {
            return;
        };
        self.read_six_bit_scales(head);
        for (index, (codes, quants)) in self
            .codes
            .chunks_exact_mut(64)
            .zip(rest.chunks_exact(32))
            .enumerate()
        {
            split_nibbles(quants, codes);
            let (low, up) = codes.split_at_mut(32);
            for ((low, up), bits) in low.iter_mut().zip(up).zip(high) {
                let pair = bits >> (2 * index);
                *low |= (pair & 1) << 4;
                *up |= (pair & 2) << 3;
            }
        }
    }

    fn read_q6_k(&mut self, stored: &[u8]) {
        let Some((low, rest)) = stored.split_first_chunk::<128>() else {
            return;
        };
        let Some((high, rest)) = rest.split_first_chunk::<64>() else {
            return;
        };
        let Some((scales, rest)) = rest.split_first_chunk::<16>() else {
            return;
        };
        let Some((scale, _)) = rest.split_first_chunk::<2>() else {
            return;
        };
        self.scales = *scales;
        self.scale = f16::from_le_bytes(*scale);
        // Each half of 128 elements: 64 bytes of nibbles, 32 bytes that hold four 2-bit numbers each.
        let halves = self
            .codes
            .chunks_exact_mut(128)
            .zip(low.chunks_exact(64))
            .zip(high.chunks_exact(32));
        for ((codes, low), high) in halves {
            split_nibbles(low, codes);
            for (quarter, codes) in codes.chunks_exact_mut(32).enumerate() {
                for (code, bits) in codes.iter_mut().zip(high) {
                    *code |= ((bits >> (2 * quarter)) & 3) << 4;
                }
            }
        }
    }

    fn read_scale_and_minimum(&mut self, [s0, s1, m0, m1]: [u8; 4]) {
        self.scale = f16::from_le_bytes([s0, s1]);
        self.minimum = f16::from_le_bytes([m0, m1]);
    }

    /// Four bytes of fifth bits, then 16 bytes of nibbles.
    fn read_fifth_bits(&mut self, rest: &[u8]) {
        let Some((bits, quants)) = rest.split_first_chunk::<4>() else {
            return;
        };
        let bits = u32::from_le_bytes(*bits);
        split_nibbles(quants, &mut self.codes[..32]);
        for (index, code) in self.codes[..32].iter_mut().enumerate() {
            *code |= (((bits >> index) & 1) as u8) << 4;
        }
    }

    /// A scale, a scale of minima, and 12 bytes that hold eight scales and eight minima of six bits each.
    fn read_six_bit_scales(&mut self, head: &[u8; 16]) {
        let [s0, s1, m0, m1, packed @ ..] = head;
        self.read_scale_and_minimum([*s0, *s1, *m0, *m1]);
        for group in 0..4 {
            let (first, second, last) = (packed[group], packed[group + 4], packed[group + 8]);
            self.scales[group] = first & 63;
            self.minima[group] = second & 63;
            self.scales[group + 4] = (last & 15) | ((first >> 6) << 4);
            self.minima[group + 4] = (last >> 4) | ((second >> 6) << 4);
        }
    }
}

/// Whether codes of this type are unsigned and come with a minimum.
const fn element_has_minimum(element: ElementType) -> bool {
    matches!(
        element,
        ElementType::Q4_1 | ElementType::Q5_1 | ElementType::Q4_K | ElementType::Q5_K
    )
}

/// Low nibbles to the first half of `codes`, high nibbles to the second.
fn split_nibbles(quants: &[u8], codes: &mut [u8]) {
    let (low, high) = codes.split_at_mut(codes.len() / 2);
    for ((low, high), &byte) in low.iter_mut().zip(high).zip(quants) {
        *low = byte & 15;
        *high = byte >> 4;
    }
}
