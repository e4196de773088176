//! Matrices whose codes and scales lie in arrays of their own, as kernels for GPUs read them: 8-bit floats with a scale for each row, and
//! 4-bit integers with a scale for each 128 elements of a row.
//!
//! What stands here is the definition: any faster quantiser gives the same bytes. All arithmetic is in 32-bit floats, each operation
//! rounded once.

use half::bf16;

use super::e4m3::{E4M3_MAX, e4m3_from_f32, e4m3_to_f32};
use crate::ElementType;

/// Elements of a row that share a scale in [`ElementType::I4`].
pub const I4_GROUP: usize = 128;
/// What is added to a 4-bit code, so that it is stored as 0 to 15.
const I4_BIAS: i8 = 8;

/// Why a row cannot be quantised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScaleError {
    /// A weight that is no number.
    #[error("element {column} is NaN or infinite")]
    NotFinite {
        /// Where in the row.
        column: usize,
    },
    /// The type, or the arrays for codes and scales, are not those of such rows.
    #[error("rows of {columns} elements of type {} cannot be made of the arrays given", element.name())]
    Arrays {
        /// The type.
        element: ElementType,
        /// Elements of the row.
        columns: usize,
    },
}

/// How many scales a row has; 0 for types that have theirs among the elements, or none.
pub fn scales_a_row(element: ElementType, columns: usize) -> usize {
    match element {
        ElementType::E4M3 => 1,
        ElementType::I4 => columns.div_ceil(I4_GROUP),
        _ => 0,
    }
}

/// The type of the scales of a type that has them apart.
pub fn scale_type(element: ElementType) -> Option<ElementType> {
    match element {
        ElementType::E4M3 => Some(ElementType::F32),
        ElementType::I4 => Some(ElementType::BF16),
        _ => None,
    }
}

/// Bytes of codes and of scales that a row takes; `None` for types with scales of their own, and rows that do not fill whole bytes.
pub fn scaled_row_bytes(element: ElementType, columns: usize) -> Option<(usize, usize)> {
    let scales = scale_type(element)?.bytes_of(scales_a_row(element, columns))?;
    Some((element.bytes_of(columns)?, scales))
}

/// Quantises a row.
///
/// `E4M3`: the scale (f32) is the largest magnitude by 448; a code is the nearest to the element by the scale.
/// `I4`: the scales (bf16) are those, of a few candidates for each group, that give the least squared error; a code is the integer
/// from -8 to 7 nearest to the element by the scale, ties to even; 8 is added, and the lower half of a byte is the element before the upper
/// half's. A group of zeros has the scale 1. The last group of a row may be shorter than 128.
///
/// # Errors
/// The first element that is not finite; arrays that are not of [`scaled_row_bytes`].
pub fn quantise_row(
    element: ElementType,
    row: &[f32],
    codes: &mut [u8],
    scales: &mut [u8],
) -> Result<(), ScaleError> {
    check_arrays(element, row.len(), codes.len(), scales.len())?;
    if let Some(column) = row.iter().position(|value| !value.is_finite()) {
        return Err(ScaleError::NotFinite { column });
    }
    if element == ElementType::E4M3 {
        let scale = step_of(largest(row), E4M3_MAX);
        scales.copy_from_slice(&scale.to_le_bytes());
        for (code, value) in codes.iter_mut().zip(row) {
            *code = e4m3_from_f32(value / scale);
        }
        return Ok(());
    }
    let groups = row.chunks(I4_GROUP).zip(codes.chunks_mut(I4_GROUP / 2));
    for ((group, codes), scale) in groups.zip(scales.as_chunks_mut::<2>().0) {
        let best = i4_scale(group);
        *scale = best.to_le_bytes();
        for (byte, pair) in codes.iter_mut().zip(group.as_chunks::<2>().0) {
            let [low, high] = pair.map(|value| (i4_code(value, best.to_f32()) + I4_BIAS).cast_unsigned());
            *byte = high << 4 | low;
        }
    }
    Ok(())
}

/// The floats of a row: code by scale, rounded once.
///
/// # Errors
/// Arrays that are not of [`scaled_row_bytes`]; `out` is then untouched.
pub fn dequantise_row(
    element: ElementType,
    codes: &[u8],
    scales: &[u8],
    out: &mut [f32],
) -> Result<(), ScaleError> {
    check_arrays(element, out.len(), codes.len(), scales.len())?;
    if element == ElementType::E4M3 {
        let scale = scales
            .first_chunk()
            .map_or(0.0, |bytes| f32::from_le_bytes(*bytes));
        for (value, code) in out.iter_mut().zip(codes) {
            *value = e4m3_to_f32(*code) * scale;
        }
        return Ok(());
    }
    let groups = out.chunks_mut(I4_GROUP).zip(codes.chunks(I4_GROUP / 2));
    for ((group, codes), scale) in groups.zip(scales.as_chunks::<2>().0) {
        let scale = bf16::from_le_bytes(*scale).to_f32();
        for (pair, byte) in group.as_chunks_mut::<2>().0.iter_mut().zip(codes) {
            *pair = i4_pair(*byte).map(|code| code * scale);
        }
    }
    Ok(())
}

/// The two codes of a byte, the earlier element first.
pub(super) fn i4_pair(byte: u8) -> [f32; 2] {
    [byte & 15, byte >> 4].map(|code| f32::from(code.cast_signed() - I4_BIAS))
}

fn check_arrays(element: ElementType, columns: usize, codes: usize, scales: usize) -> Result<(), ScaleError> {
    if scaled_row_bytes(element, columns) == Some((codes, scales)) {
        Ok(())
    } else {
        Err(ScaleError::Arrays { element, columns })
    }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// What one step is when the largest value takes `steps` of them. Never zero, so that nothing is divided by it.
fn step_of(largest: f32, steps: f32) -> f32 {
    if largest == 0.0 {
        return 1.0;
    }
    (largest / steps).max(f32::MIN_POSITIVE)
}

fn i4_code(value: f32, scale: f32) -> i8 {
    (value / scale).round_ties_even().clamp(-8.0, 7.0) as i8
}

/// The scale of a group with the least squared error. Cutting the largest magnitudes a little can make all others finer, and a group
/// whose largest element is negative may use the code -8.
fn i4_scale(group: &[f32]) -> bf16 {
    const STEPS: [f32; 9] = [7.0, 7.25, 7.5, 7.75, 8.0, 8.25, 8.5, 9.0, 9.5];
    let largest = largest(group);
    if largest == 0.0 {
        return bf16::ONE;
    }
    let error = |scale: bf16| {
        let scale = scale.to_f32();
        let squares = group.iter().map(|value| {
            let difference = f32::from(i4_code(*value, scale)) * scale - value;
            f64::from(difference) * f64::from(difference)
        });
        squares.sum::<f64>()
    };
    let mut best = (f64::INFINITY, bf16::ONE);
    for steps in STEPS {
        // A bf16 that rounds to zero or below its normal numbers would lose the group.
        let scale = bf16::from_f32(step_of(largest, steps)).max(bf16::MIN_POSITIVE);
        let found = error(scale);
        // The first of equals, so that the choice is the same everywhere.
        if found < best.0 {
            best = (found, scale);
        }
    }
    best.1
}

#[cfg(test)]
#[path = "scaled_tests.rs"]
mod tests;
