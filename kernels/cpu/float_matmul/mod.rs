//! Products with float weights, read where the file has them.
//!
//! Every output is the same sequence of roundings on every instruction set and beside any rows: lane `i` of 16 sums the columns
//! `i mod 16` in order, each with one `fma`; a last, partial piece is filled up with zeros; then lanes `i` and `i + 8` are added,
//! `i` and `i + 4`, `i` and `i + 2`, and the last two.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

use super::Isa;
use super::packed::encoding::TILE_ROWS;
use crate::ElementType;
use crate::blocks::{BlockError, check_matrix};
use half::{bf16, f16};

/// Sums that each output is made of.
const LANES: usize = 16;

/// A float matrix `[rows, columns]` in the bytes of a file, row after row, at any alignment.
#[derive(Debug, Clone, Copy)]
pub struct FloatMatrix<'a> {
    element: ElementType,
    rows: usize,
    columns: usize,
    bytes: &'a [u8],
}

impl<'a> FloatMatrix<'a> {
    /// Takes `bytes` as `rows` rows of `columns` floats of type `element`.
    ///
    /// # Errors
    /// [`BlockError`] when `element` is not a float type or `bytes` has another length than that takes.
    pub fn new(
        element: ElementType,
        rows: usize,
        columns: usize,
        bytes: &'a [u8],
    ) -> Result<FloatMatrix<'a>, BlockError> {
        if element.is_quantised() {
            let reason = "only floats are used where they lie; quantised types are packed first";
            return Err(BlockError::WrongFamily { element, reason });
        }
        check_matrix(element, rows, columns, bytes.len())?;
        Ok(FloatMatrix {
            element,
            rows,
            columns,
            bytes,
        })
    }

    /// The stored type.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Rows: elements of a product's output.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: elements of a product's input.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes of a row.
    pub(crate) fn row_bytes(&self) -> usize {
        self.columns * self.element.block_bytes()
    }
}

/// What kernels need to know of a float type.
trait Stored {
    /// The type.
    const ELEMENT: ElementType;
    /// One element's bytes.
    const SIZE: usize = Self::ELEMENT.block_bytes();

    /// One element; zero when bytes are missing.
    fn read(bytes: &[u8]) -> f32;
}

struct F32;
struct F16;
struct Bf16;

impl Stored for F32 {
    const ELEMENT: ElementType = ElementType::F32;

    fn read(bytes: &[u8]) -> f32 {
        bytes
            .first_chunk()
            .map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
    }
}

impl Stored for F16 {
    const ELEMENT: ElementType = ElementType::F16;

    fn read(bytes: &[u8]) -> f32 {
        bytes
            .first_chunk()
            .map_or(0.0, |bytes| f16::from_le_bytes(*bytes).to_f32())
    }
}

impl Stored for Bf16 {
    const ELEMENT: ElementType = ElementType::BF16;

    fn read(bytes: &[u8]) -> f32 {
        bytes
            .first_chunk()
            .map_or(0.0, |bytes| bf16::from_le_bytes(*bytes).to_f32())
    }
}

/// Multiplies up to 16 rows of weights from `first` on by rows of activations: `[rows, 16]`. Lanes without a row are left as they are.
pub(super) fn tile(
    isa: Isa,
    weights: &FloatMatrix<'_>,
    first: usize,
    activations: &[f32],
    out: &mut [[f32; TILE_ROWS]],
) {
    match weights.element {
        ElementType::F32 => tile_of::<F32>(isa, weights, first, activations, out),
        ElementType::F16 => tile_of::<F16>(isa, weights, first, activations, out),
        _ => tile_of::<Bf16>(isa, weights, first, activations, out),
    }
}

fn tile_of<S: Stored>(
    isa: Isa,
    weights: &FloatMatrix<'_>,
    first: usize,
    activations: &[f32],
    out: &mut [[f32; TILE_ROWS]],
) {
    let row_bytes = weights.row_bytes();
    let lanes = (weights.rows - first).min(TILE_ROWS);
    let call = Call {
        weights: &weights.bytes[first * row_bytes..][..lanes * row_bytes],
        activations,
        columns: weights.columns,
        row_bytes,
    };
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::tile::<S>(&call, lanes, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::tile::<S>(&call, lanes, out),
        _ => scalar::tile::<S>(&call, lanes, out),
    }
}

/// The rows that a kernel multiplies.
struct Call<'a> {
    /// `[lanes, columns]`, as stored.
    weights: &'a [u8],
    /// `[rows, columns]`.
    activations: &'a [f32],
    columns: usize,
    row_bytes: usize,
}

impl Call<'_> {
    fn weight_row(&self, lane: usize) -> &[u8] {
        &self.weights[lane * self.row_bytes..][..self.row_bytes]
    }

    fn activation_row(&self, row: usize) -> &[f32] {
        &self.activations[row * self.columns..][..self.columns]
    }
}

/// Goes over the outputs in blocks of `weights` rows by `activations` rows, then over what is left one row at a time.
macro_rules! by_blocks {
    ($call:expr, $lanes:expr, $out:expr, $weights:literal, $activations:literal, $dot:ident::<$stored:ident>) => {{
        let rows = $out.len();
        let mut lane = 0;
        while lane < $lanes {
            let many = $lanes - lane >= $weights;
            let mut row = 0;
            while row < rows {
                let several = rows - row >= $activations;
                #[allow(unsafe_code, reason = "calls code for instructions that were looked for")]
                // SAFETY: `matmul` refuses to run when the processor lacks the instructions.
                unsafe {
                    match (many, several) {
                        (true, true) => $dot::<$stored, $weights, $activations>($call, lane, row, $out),
                        (true, false) => $dot::<$stored, $weights, 1>($call, lane, row, $out),
                        (false, true) => $dot::<$stored, 1, $activations>($call, lane, row, $out),
                        (false, false) => $dot::<$stored, 1, 1>($call, lane, row, $out),
                    }
                }
                row += if several { $activations } else { 1 };
            }
            lane += if many { $weights } else { 1 };
        }
    }};
}
use by_blocks;

#[cfg(test)]
#[path = "float_matmul_tests.rs"]
mod tests;
