//! RMSNorm of rows of the residual stream, after something has been added to it.

use super::launch::{check, count};
use super::{Artefact, DevicePointer, Kernel, Launch, ShapeError};

const THREADS: u32 = 256;
/// Two floats a warp.
const SHARED_BYTES: u32 = 2 * 4 * THREADS / 32;

/// What normed rows are rounded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormOutput {
    /// bf16, the input of products.
    Bf16,
    /// e4m3 with a scale a row.
    Fp8,
}

/// What the kernels `norm_bf16` and `norm_fp8` take.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct NormArguments {
    /// `[rows, width]` of f32: the residual stream. Changed when there is a `delta`.
    pub residual: DevicePointer,
    /// `[rows, width]` of f32, added to the residual stream first; may be null. Not to be combined with repeated `source_rows`.
    pub delta: DevicePointer,
    /// `[width]` of f32.
    pub weight: DevicePointer,
    /// `[rows]` of u32: which row of the residual stream each row of the result takes; null when they are the same.
    pub source_rows: DevicePointer,
    /// `[rows, width]` of bf16 or e4m3.
    pub out: DevicePointer,
    /// `[rows]` of f32, with e4m3: what a row's numbers are to be multiplied by; else null.
    pub scales: DevicePointer,
    /// Elements a row; a multiple of 4.
    pub width: u32,
    /// Added to the mean square.
    pub epsilon: f32,
}

impl NormArguments {
    /// The launch for `rows` rows of the result.
    ///
    /// # Errors
    /// [`ShapeError`] when there are no rows, or `width` is not a multiple of 4.
    pub fn launch(self, output: NormOutput, rows: usize) -> Result<Launch<NormArguments>, ShapeError> {
        let name = match output {
            NormOutput::Bf16 => "norm_bf16",
            NormOutput::Fp8 => "norm_fp8",
        };
        let width = self.width;
        check(
            width > 0 && width.is_multiple_of(4),
            name,
            "the width",
            width as usize,
            "a multiple of 4",
        )?;
        Ok(Launch {
            kernel: Kernel {
                artefact: Artefact::Norm,
                name,
            },
            grid: [count(name, "the number of rows", rows)?, 1, 1],
            threads: THREADS,
            shared_bytes: SHARED_BYTES,
            arguments: self,
        })
    }
}
