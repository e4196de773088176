//! What touches every number once: embeddings, the gated activation, copies of pages.

use super::launch::{check, count};
use super::{Artefact, DevicePointer, Kernel, Launch, ShapeError};

const THREADS: u32 = 256;

/// Added to a row's number, it makes a token of [`EmbeddingArguments::tokens`] stand for what was sampled in that row.
pub const SAMPLED_TOKEN: u32 = 1 << 31;

/// What the kernel `embedding` takes.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct EmbeddingArguments {
    /// `[rows]` of u32: a token, or [`SAMPLED_TOKEN`] + a row of `sampled`.
    pub tokens: DevicePointer,
    /// u32: what the step before sampled, row by row; null when no token refers to it.
    pub sampled: DevicePointer,
    /// `[vocabulary, width]` of bf16.
    pub table: DevicePointer,
    /// `[rows, width]` of f32. A token beyond the vocabulary gives NaN.
    pub out: DevicePointer,
    /// Elements a row; a multiple of 4.
    pub width: u32,
    /// Rows of the table.
    pub vocabulary: u32,
}

/// What the kernel `silu_gate` takes: `out = silu(gate) * up`.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct GateArguments {
    /// `[rows, 2, width]` of f32: gates, then what they gate.
    pub gate_up: DevicePointer,
    /// `[rows, width]` of bf16.
    pub out: DevicePointer,
    /// Elements a row; a multiple of 4.
    pub width: u32,
    /// Fills the struct up; 0.
    pub unused: u32,
}

/// What the kernel `copy_pages` takes.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct CopyArguments {
    /// The pool's pages, one after another.
    pub pages: DevicePointer,
    /// The bytes of a page; a multiple of 16.
    pub page_bytes: u64,
    /// `[copies, 2]` of u32: the page that is read, the one that is written. No page that is written is read by another copy.
    pub copies: DevicePointer,
}

fn kernel(name: &'static str) -> Kernel {
    Kernel {
        artefact: Artefact::Elementwise,
        name,
    }
}

fn check_width(name: &'static str, width: u32) -> Result<(), ShapeError> {
    check(
        width > 0 && width.is_multiple_of(4),
        name,
        "the width",
        width as usize,
        "a multiple of 4",
    )
}

impl EmbeddingArguments {
    /// The launch for `rows` tokens.
    ///
    /// # Errors
    /// [`ShapeError`] when there are no rows, or `width` is not a multiple of 4.
    pub fn launch(self, rows: usize) -> Result<Launch<EmbeddingArguments>, ShapeError> {
        let name = "embedding";
        check_width(name, self.width)?;
        Ok(Launch {
            kernel: kernel(name),
            grid: [count(name, "the number of rows", rows)?, 1, 1],
            threads: THREADS,
            shared_bytes: 0,
            arguments: self,
        })
    }
}

impl GateArguments {
    /// The launch for `rows` rows, at most 65535.
    ///
    /// # Errors
    /// [`ShapeError`] when the number of rows is not possible, or `width` is not a multiple of 4.
    pub fn launch(self, rows: usize) -> Result<Launch<GateArguments>, ShapeError> {
        let name = "silu_gate";
        check_width(name, self.width)?;
        Ok(Launch {
            kernel: kernel(name),
            grid: [
                self.width.div_ceil(THREADS * 4),
                second_axis(name, "the number of rows", rows)?,
                1,
            ],
            threads: THREADS,
            shared_bytes: 0,
            arguments: self,
        })
    }
}

impl CopyArguments {
    /// The launch for `copies` copies, at most 65535.
    ///
    /// # Errors
    /// [`ShapeError`] when the number of copies or the size of a page is not possible.
    pub fn launch(self, copies: usize) -> Result<Launch<CopyArguments>, ShapeError> {
        let name = "copy_pages";
        let bytes = self.page_bytes as usize;
        check(
            bytes > 0 && bytes.is_multiple_of(16),
            name,
            "the size of a page",
            bytes,
            "a multiple of 16",
        )?;
        let blocks = bytes.div_ceil(THREADS as usize * 64);
        Ok(Launch {
            kernel: kernel(name),
            grid: [
                count(name, "the size of a page", blocks)?,
                second_axis(name, "the number of copies", copies)?,
                1,
            ],
            threads: THREADS,
            shared_bytes: 0,
            arguments: self,
        })
    }
}

/// A number of blocks along an axis that holds no more than 65535.
pub(super) fn second_axis(name: &'static str, what: &'static str, number: usize) -> Result<u32, ShapeError> {
    check(
        (1..=65535).contains(&number),
        name,
        what,
        number,
        "between 1 and 65535",
    )?;
    count(name, what, number)
}
