//! The types in which tensors and cached keys and values are stored.

use serde::{Deserialize, Serialize};

/// The type of a stored tensor's elements. Types with a block length above 1 are GGUF's block formats: a row is a whole number of
/// blocks, each with scales of its own (the layouts are those of the `ggml` library).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(
    non_camel_case_types,
    reason = "these are the names that the file format gives them"
)]
pub enum ElementType {
    /// 32-bit IEEE floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// The upper half of a 32-bit float.
    BF16,
    /// 4 bits, a scale a block of 32.
    Q4_0,
    /// 4 bits, a scale and a minimum a block of 32.
    Q4_1,
    /// 5 bits, a scale a block of 32.
    Q5_0,
    /// 5 bits, a scale and a minimum a block of 32.
    Q5_1,
    /// 8 bits, a scale a block of 32.
    Q8_0,
    /// 4 bits, 6-bit scales and minima a group of 32 in a block of 256.
    Q4_K,
    /// 5 bits, 6-bit scales and minima a group of 32 in a block of 256.
    Q5_K,
    /// 6 bits, 8-bit scales a group of 16 in a block of 256.
    Q6_K,
}

impl ElementType {
    /// All of them.
    pub const ALL: [ElementType; 11] = [
        ElementType::F32,
        ElementType::F16,
        ElementType::BF16,
        ElementType::Q4_0,
        ElementType::Q4_1,
        ElementType::Q5_0,
        ElementType::Q5_1,
        ElementType::Q8_0,
        ElementType::Q4_K,
        ElementType::Q5_K,
        ElementType::Q6_K,
    ];

    /// The name that GGUF tools print.
    pub fn name(self) -> &'static str {
        match self {
            ElementType::F32 => "F32",
            ElementType::F16 => "F16",
            ElementType::BF16 => "BF16",
            ElementType::Q4_0 => "Q4_0",
            ElementType::Q4_1 => "Q4_1",
            ElementType::Q5_0 => "Q5_0",
            ElementType::Q5_1 => "Q5_1",
            ElementType::Q8_0 => "Q8_0",
            ElementType::Q4_K => "Q4_K",
            ElementType::Q5_K => "Q5_K",
            ElementType::Q6_K => "Q6_K",
        }
    }

    /// How many elements share a block; 1 for plain floats.
    pub const fn block_elements(self) -> usize {
        match self {
            ElementType::F32 | ElementType::F16 | ElementType::BF16 => 1,
            ElementType::Q4_0
            | ElementType::Q4_1
            | ElementType::Q5_0
            | ElementType::Q5_1
            | ElementType::Q8_0 => 32,
            ElementType::Q4_K | ElementType::Q5_K | ElementType::Q6_K => 256,
        }
    }

    /// How many bytes a block takes.
    pub const fn block_bytes(self) -> usize {
        match self {
            ElementType::F32 => 4,
            ElementType::F16 | ElementType::BF16 => 2,
            ElementType::Q4_0 => 18,
            ElementType::Q4_1 => 20,
            ElementType::Q5_0 => 22,
            ElementType::Q5_1 => 24,
            ElementType::Q8_0 => 34,
            ElementType::Q4_K => 144,
            ElementType::Q5_K => 176,
            ElementType::Q6_K => 210,
        }
    }

    /// Whether it is one of the block formats.
    pub fn is_quantised(self) -> bool {
        self.block_elements() > 1
    }

    /// The bytes of `elements` elements; `None` when they are not a whole number of blocks, or too many to count.
    pub fn bytes_of(self, elements: usize) -> Option<usize> {
        if !elements.is_multiple_of(self.block_elements()) {
            return None;
        }
        (elements / self.block_elements()).checked_mul(self.block_bytes())
    }
}

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvElement {
    /// 32-bit floats, for comparisons.
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// The upper half of 32-bit floats.
    BF16,
    /// 8-bit integers, with a 16-bit scale for each 32 elements of a head (or for the whole head, when it is shorter).
    Q8,
}

impl KvElement {
    /// The bytes of one head's key or value at one position.
    pub fn head_bytes(self, head_dim: usize) -> usize {
        match self {
            KvElement::F32 => head_dim * 4,
            KvElement::F16 | KvElement::BF16 => head_dim * 2,
            KvElement::Q8 => head_dim + head_dim.div_ceil(32) * 2,
        }
    }
}
