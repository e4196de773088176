//! The types in which tensors and cached keys and values are stored.

use serde::{Deserialize, Serialize};

/// The type of a stored tensor's elements. The `Q` types are GGUF's block formats: a row is a whole number of
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
    /// 8-bit floats, to be multiplied by a scale for each row. The scales lie apart.
    E4M3,
    /// 4-bit integers, to be multiplied by a scale for each 128 elements of a row. The scales lie apart.
    I4,
}

impl ElementType {
    /// All of them.
    pub const ALL: [ElementType; 13] = [
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
        ElementType::E4M3,
        ElementType::I4,
    ];

    /// The name that GGUF tools print, where they have one.
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
            ElementType::E4M3 => "E4M3",
            ElementType::I4 => "I4",
        }
    }

    /// How many elements share a block; 1 for floats.
    pub const fn block_elements(self) -> usize {
        match self {
            ElementType::F32 | ElementType::F16 | ElementType::BF16 | ElementType::E4M3 => 1,
            ElementType::I4 => 2,
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
            ElementType::E4M3 | ElementType::I4 => 1,
        }
    }

    /// Whether numbers were rounded to a few bits and a scale.
    pub fn is_quantised(self) -> bool {
        !matches!(self, ElementType::F32 | ElementType::F16 | ElementType::BF16)
    }

    /// Whether its scales lie in an array of their own, and not among the elements.
    pub fn has_scales_apart(self) -> bool {
        matches!(self, ElementType::E4M3 | ElementType::I4)
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
    /// 8-bit floats without scales; what is beyond 448 becomes 448.
    #[serde(rename = "e4m3")]
    E4M3,
}

impl KvElement {
    /// The bytes of one head's key or value at one position.
    pub fn head_bytes(self, head_dim: usize) -> usize {
        match self {
            KvElement::F32 => head_dim * 4,
            KvElement::F16 | KvElement::BF16 => head_dim * 2,
            KvElement::Q8 => head_dim + head_dim.div_ceil(32) * 2,
            KvElement::E4M3 => head_dim,
        }
    }
}
