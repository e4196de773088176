//! How packed weights lie in memory, for each stored type.
//!
//! A tile is 16 rows (the lanes of the vector kernels). It begins with its headers, rounded up to whole lines of 64 bytes, then come
//! the codes of one group of 32 columns after the other. A group is 8 chunks of 4 columns by 16 rows, byte `4 * row + column` of a
//! chunk being one code; what is stored of a chunk depends on the width of a code:
//!
//! * 8 bits: 64 bytes a chunk;
//! * 4 bits: 64 bytes a pair of chunks, the even chunk in the low nibbles;
//! * 5 bits: the same, then 64 bytes of which bit `c` of byte `b` is the fifth bit of byte `b` of chunk `c`;
//! * 6 bits: the same as 4, then two times 64 bytes, each with two more bits of four chunks.

use crate::ElementType;

/// Rows of a tile.
pub(crate) const TILE_ROWS: usize = 16;
/// Columns of a group: those that share one integer sum.
pub(crate) const GROUP_COLUMNS: usize = 32;
/// Bytes of a line.
pub(crate) const LINE: usize = 64;

/// How the header of a superblock lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scales {
    /// A superblock is a group: 16 scales (f16).
    Plain,
    /// A superblock is a group: 16 scales, then 16 minima that are added (f16).
    Minimum,
    /// Eight groups: 16 scales and 16 scales of minima (f16), then for each group 16 integer scales and 16 integer minima (u8).
    Super,
    /// Eight groups: 16 scales (f16), then for each group 16 integer scales of its first half and 16 of its second (i8).
    SuperHalves,
}

/// What kernels need to know of a stored type, as constants.
pub(crate) trait Encoding {
    /// The stored type.
    const ELEMENT: ElementType;
    /// Width of a code.
    const BITS: usize;
    /// Form of the headers.
    const SCALES: Scales;
    /// What is subtracted from a code, as a power of two; 0 when nothing is.
    const OFFSET_SHIFT: u32;
    /// Groups under one header.
    const GROUPS: usize = match Self::SCALES {
        Scales::Plain | Scales::Minimum => 1,
        Scales::Super | Scales::SuperHalves => 8,
    };
    /// Bytes of a header.
    const HEADER_BYTES: usize = match Self::SCALES {
        Scales::Plain => 32,
        Scales::Minimum => 64,
        Scales::Super => 64 + 8 * 32,
        Scales::SuperHalves => 32 + 8 * 32,
    };
    /// Bytes of a group's codes in a tile.
    const CODE_BYTES: usize = Self::BITS * LINE;
}

macro_rules! encodings {
    ($($name:ident $bits:literal $scales:ident $shift:literal)*) => {$(
        #[derive(Debug, Clone, Copy)]
        #[allow(non_camel_case_types, reason = "these are the names that the file format gives them")]
        pub(crate) struct $name;
        impl Encoding for $name {
            const ELEMENT: ElementType = ElementType::$name;
            const BITS: usize = $bits;
            const SCALES: Scales = Scales::$scales;
            const OFFSET_SHIFT: u32 = $shift;
        }
    )*};
}

encodings! {
    Q4_0 4 Plain 3
    Q4_1 4 Minimum 0
    Q5_0 5 Plain 4
    Q5_1 5 Minimum 0
    Q8_0 8 Plain 7
    Q4_K 4 Super 0
    Q5_K 5 Super 0
    Q6_K 6 SuperHalves 5
}

/// Evaluates `$body` with `$encoding` naming the [`Encoding`] of `$element`, or `$otherwise` for plain floats.
macro_rules! with_encoding {
    ($element:expr, $encoding:ident => $body:expr, else $otherwise:expr) => {{
        use $crate::cpu::packed::encoding as types;
        match $element {
            $crate::ElementType::Q4_0 => {
                type $encoding = types::Q4_0;
                $body
            }
            $crate::ElementType::Q4_1 => {
                type $encoding = types::Q4_1;
                $body
            }
            $crate::ElementType::Q5_0 => {
                type $encoding = types::Q5_0;
                $body
            }
            $crate::ElementType::Q5_1 => {
                type $encoding = types::Q5_1;
                $body
            }
            $crate::ElementType::Q8_0 => {
                type $encoding = types::Q8_0;
                $body
            }
            $crate::ElementType::Q4_K => {
                type $encoding = types::Q4_K;
                $body
            }
            $crate::ElementType::Q5_K => {
                type $encoding = types::Q5_K;
                $body
            }
            $crate::ElementType::Q6_K => {
                type $encoding = types::Q6_K;
                $body
            }
            $crate::ElementType::F32
            | $crate::ElementType::F16
            | $crate::ElementType::BF16
            | $crate::ElementType::E4M3
            | $crate::ElementType::I4 => $otherwise,
        }
    }};
}
pub(crate) use with_encoding;
