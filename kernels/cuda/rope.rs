//! Queries, keys and values of a step: rotated, queries rounded for attention, keys and values put into their pages.

use super::launch::{check, count};
use super::{Artefact, CudaPages, DevicePointer, Launch, ShapeError};

const THREADS: u32 = 128;

/// What the kernels `rope_*` take.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct RopeArguments {
    /// `[rows, heads + 2 * kv_heads, head_dim]` of f32: queries, keys, values.
    pub projected: DevicePointer,
    /// `[rows, heads, head_dim]` of bf16: where rotated queries go.
    pub queries: DevicePointer,
    /// The pool's pages, one after another.
    pub pages: DevicePointer,
    /// The bytes of a page.
    pub page_bytes: u64,
    /// Where the layer begins in a page.
    pub layer_offset: u64,
    /// `[rows]` of u32: the page of each row's position.
    pub row_pages: DevicePointer,
    /// `[rows]` of u32: each row's position.
    pub positions: DevicePointer,
    /// `[positions, head_dim / 2, 2]` of f32: cosine and sine of each position's angles.
    pub angles: DevicePointer,
    /// Query heads.
    pub heads: u32,
    /// KV heads.
    pub kv_heads: u32,
    /// 1 when elements 2i and 2i + 1 are rotated together, 0 when i and i + head_dim / 2 are.
    pub interleaved: u32,
    /// Fills the struct up; 0.
    pub unused: u32,
}

impl RopeArguments {
    /// The launch for `rows` rows and one layer. `page_bytes`, `layer_offset` and `kv_heads` are set from `pages` and `layer`.
    ///
    /// # Errors
    /// [`ShapeError`] when there are no rows, or no kernel for the head dimension.
    pub fn launch(
        mut self,
        pages: &CudaPages,
        layer: usize,
        rows: usize,
    ) -> Result<Launch<RopeArguments>, ShapeError> {
        let kernel = pages.kernel(
            Artefact::Rope,
            [
                ["rope_bf16_16", "rope_bf16_64", "rope_bf16_128"],
                ["rope_fp8_16", "rope_fp8_64", "rope_fp8_128"],
            ],
        );
        let name = kernel.name;
        pages.check(name)?;
        check(
            layer < pages.layers,
            name,
            "the layer",
            layer,
            "one of the layers of the pages",
        )?;
        self.page_bytes = pages.page_bytes();
        self.layer_offset = pages.layer_offset(layer);
        self.kv_heads = count(name, "the number of KV heads", pages.kv_heads)?;
        Ok(Launch {
            kernel,
            grid: [count(name, "the number of rows", rows)?, 1, 1],
            threads: THREADS,
            shared_bytes: 0,
            arguments: self,
        })
    }
}
