//! Looks for numbers that no trained model has: NaN and infinities, in floats and in the scales of quantised blocks.

use cwm_kernels::ElementType;
use half::{bf16, f16};

use super::error::FormatError;
use super::tensor::Tensor;

/// Blocks of a large tensor that are looked at when it is opened.
const SAMPLES: usize = 8;
/// Tensors of one dimension up to this size are looked at whole: norms and biases.
const SMALL: usize = 1 << 20;

/// Looks at all of a norm or bias, and at some blocks of a matrix, spread evenly.
pub(super) fn check_sample(tensor: &Tensor) -> Result<(), FormatError> {
    let blocks = tensor.bytes().len() / tensor.element.block_bytes();
    if tensor.shape.len() == 1 && blocks <= SMALL {
        return check_all(tensor);
    }
    (0..SAMPLES)
        .map(|sample| blocks.saturating_sub(1) / (SAMPLES - 1) * sample)
        .try_for_each(|block| check_block(tensor, block))
}

/// Looks at all of a tensor.
pub(super) fn check_all(tensor: &Tensor) -> Result<(), FormatError> {
    let size = tensor.element.block_bytes();
    match tensor
        .bytes()
        .chunks_exact(size)
        .position(|block| !is_sound(tensor.element, block))
    {
        None => Ok(()),
        Some(block) => Err(unsound(tensor, block)),
    }
}

fn check_block(tensor: &Tensor, block: usize) -> Result<(), FormatError> {
    let size = tensor.element.block_bytes();
    let bytes = block
        .checked_mul(size)
        .and_then(|start| tensor.bytes().get(start..)?.get(..size));
    match bytes {
        Some(bytes) if !is_sound(tensor.element, bytes) => Err(unsound(tensor, block)),
        _ => Ok(()),
    }
}

fn unsound(tensor: &Tensor, block: usize) -> FormatError {
    let per_row = tensor.columns().div_ceil(tensor.element.block_elements()).max(1);
    let (row, within) = (block / per_row, block % per_row);
    let what = if tensor.element.is_quantised() && tensor.element != ElementType::E4M3 {
        format!("a scale of block {within} of row {row} is NaN or infinite")
    } else {
        format!("element {within} of row {row} is NaN or infinite")
    };
    FormatError::tensor(tensor.file().path(), &tensor.name, what)
}

/// Whether a block's floats are finite: the element itself, or the scales of a quantised block.
fn is_sound(element: ElementType, block: &[u8]) -> bool {
    let half_at = |offset: usize| {
        let bytes = block.get(offset..).and_then(|bytes| bytes.first_chunk());
        bytes.is_some_and(|bytes| f16::from_le_bytes(*bytes).is_finite())
    };
    match element {
        ElementType::F32 => block
            .first_chunk()
            .is_some_and(|bytes| f32::from_le_bytes(*bytes).is_finite()),
        ElementType::BF16 => block
            .first_chunk()
            .is_some_and(|bytes| bf16::from_le_bytes(*bytes).is_finite()),
        ElementType::F16 | ElementType::Q4_0 | ElementType::Q5_0 | ElementType::Q8_0 => half_at(0),
        // A scale and a minimum.
        ElementType::Q4_1 | ElementType::Q5_1 | ElementType::Q4_K | ElementType::Q5_K => {
            half_at(0) && half_at(2)
        }
        // The scale is the block's last number.
        ElementType::Q6_K => half_at(208),
        ElementType::E4M3 => block.first().is_some_and(|code| code & 0x7f != 0x7f),
        // Any integer is one; the scales are floats in a tensor of their own.
        ElementType::I4 => true,
    }
}
