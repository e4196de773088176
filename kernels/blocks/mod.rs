//! The block formats of weights: how the bytes that files store turn into numbers.
//!
//! Layouts are those of the `ggml` library (`block_q4_0` … `block_q6_K`). [`dequantise`] gives the very floats that its scalar code
//! and the `gguf` Python package give; the packed kernels start from the same [`Block`]s. Two formats are not GGUF's: those of
//! `scaled`, whose scales lie apart, as kernels for GPUs want them.

mod codes;
mod e4m3;
mod scaled;

use crate::ElementType;
use half::{bf16, f16};

pub(crate) use codes::Block;
pub(crate) use e4m3::e4m3_numbers;
pub use e4m3::{E4M3_MAX, e4m3_from_f32, e4m3_to_f32};
pub use scaled::{
    I4_GROUP, ScaleError, dequantise_row, quantise_row, scale_type, scaled_row_bytes, scales_a_row,
};

/// Why bytes are not what their element type and count call for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The elements do not fill whole blocks.
    #[error(
        "{elements} elements of type {} are not a whole number of blocks of {}; the tensor's shape or type is wrong",
        element.name(),
        element.block_elements()
    )]
    PartialBlock {
        /// The stored type.
        element: ElementType,
        /// How many elements were asked for.
        elements: usize,
    },
    /// More elements than memory can hold.
    #[error(
        "a matrix of {rows} rows and {columns} columns has more elements than can be counted; the tensor's shape is wrong"
    )]
    TooLarge {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// The bytes are fewer or more than the elements take.
    #[error("{elements} elements of type {} take {expected} bytes, not {found}; the file is damaged or the tensor's shape is wrong", element.name())]
    Length {
        /// The stored type.
        element: ElementType,
        /// How many elements were asked for.
        elements: usize,
        /// The bytes that they take.
        expected: usize,
        /// The bytes that were given.
        found: usize,
    },
    /// A kernel for one family of types was given another.
    #[error("type {} cannot be used here: {reason}", element.name())]
    WrongFamily {
        /// The stored type.
        element: ElementType,
        /// What the kernel takes instead.
        reason: &'static str,
    },
    /// Memory for the packed weights could not be had.
    #[error("no memory for {bytes} bytes of packed weights; free some, or use a smaller model")]
    OutOfMemory {
        /// The bytes asked for.
        bytes: usize,
    },
}

/// Turns stored elements into floats.
///
/// `bytes` holds exactly `out.len()` elements of type `element`, from the start of a block on. NaN and infinite scales give NaN and
/// infinite floats. Types whose scales lie apart give the numbers that are to be multiplied by them.
///
/// # Errors
/// [`BlockError`] when `out` is not a whole number of blocks, or `bytes` is not as long as it takes; `out` is then untouched.
pub fn dequantise(element: ElementType, bytes: &[u8], out: &mut [f32]) -> Result<(), BlockError> {
    check_length(element, out.len(), bytes.len())?;
    match element {
        ElementType::F32 => {
            for (value, stored) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*stored);
            }
        }
        ElementType::F16 => {
            for (value, stored) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *value = f16::from_le_bytes(*stored).to_f32();
            }
        }
        ElementType::BF16 => {
            for (value, stored) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *value = bf16::from_le_bytes(*stored).to_f32();
            }
        }
        ElementType::E4M3 => {
            for (value, code) in out.iter_mut().zip(bytes) {
                *value = e4m3_to_f32(*code);
            }
        }
        ElementType::I4 => {
            for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
                *pair = scaled::i4_pair(*byte);
            }
        }
        _ => {
            let mut block = Block::default();
            let blocks = bytes.chunks_exact(element.block_bytes());
            for (values, stored) in out.chunks_exact_mut(element.block_elements()).zip(blocks) {
                block.read(element, stored);
                block.dequantise(element, values);
            }
        }
    }
    Ok(())
}

/// Checks that `found` bytes are what `elements` elements take.
pub(crate) fn check_length(element: ElementType, elements: usize, found: usize) -> Result<(), BlockError> {
    let Some(expected) = element.bytes_of(elements) else {
        return Err(BlockError::PartialBlock { element, elements });
    };
    if expected != found {
        return Err(BlockError::Length {
            element,
            elements,
            expected,
            found,
        });
    }
    Ok(())
}

/// Checks that `found` bytes are a matrix of whole blocks in every row.
pub(crate) fn check_matrix(
    element: ElementType,
    rows: usize,
    columns: usize,
    found: usize,
) -> Result<(), BlockError> {
    if !columns.is_multiple_of(element.block_elements()) {
        return Err(BlockError::PartialBlock {
            element,
            elements: columns,
        });
    }
    let too_large = BlockError::TooLarge { rows, columns };
    let elements = rows.checked_mul(columns).ok_or(too_large)?;
    check_length(element, elements, found)
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
