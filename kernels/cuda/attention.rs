//! Attention over pages: for few rows, split over positions and merged; for many rows, tile by tile.

use super::elementwise::second_axis;
use super::launch::{check, count};
use super::{Artefact, CudaKvElement, CudaPages, DevicePointer, Kernel, Launch, PAGE_TOKENS, ShapeError};

const THREADS: u32 = 128;
const WARPS: usize = 4;
/// Rows times heads that a block of a decode kernel takes.
const TILE_HEADS: usize = 16;

/// Positions whose softmax is computed in one go when there are few rows. Splits begin at multiples of it.
pub const SPLIT_TOKENS: usize = 256;

/// The most rows of a tile of [`PrefillArguments`].
pub const PREFILL_ROWS: usize = 64;

/// Rows of one sequence, at positions one after another, that are computed together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct AttentionTile {
    /// The first of its rows in the step.
    pub first_row: u32,
    /// How many there are: at most [`decode_tile_rows`], or [`PREFILL_ROWS`].
    pub rows: u32,
    /// The position of the first row.
    pub first_position: u32,
    /// Where the sequence's pages begin in the table.
    pub table: u32,
    /// The number of the first page there: it holds the positions from `first_page * PAGE_TOKENS` on. Pages that no row of the tile
    /// sees are not looked at; their entries may be anything.
    pub first_page: u32,
}

/// How many rows of a sequence a tile of [`DecodeArguments`] may have: 16 by the query heads that share a KV head.
pub fn decode_tile_rows(heads: usize, kv_heads: usize) -> usize {
    TILE_HEADS * kv_heads / heads.max(1)
}

/// How many splits a row at `position` sees.
pub fn splits_seen(position: usize, window: Option<usize>) -> usize {
    let oldest = window.map_or(0, |window| (position + 1).saturating_sub(window));
    position / SPLIT_TOKENS - oldest / SPLIT_TOKENS + 1
}

/// What the kernels `decode_*` take.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct DecodeArguments {
    /// `[rows, heads, head_dim]` of bf16.
    pub queries: DevicePointer,
    /// The pool's pages, one after another.
    pub pages: DevicePointer,
    /// The bytes of a page.
    pub page_bytes: u64,
    /// Where the layer begins in a page.
    pub layer_offset: u64,
    /// [`AttentionTile`]s.
    pub tiles: DevicePointer,
    /// u32: the pages of all sequences.
    pub table: DevicePointer,
    /// `[rows, heads, splits, head_dim]` of f32: of each split that a row sees, from its first on, the weighed mean of its values.
    pub partial: DevicePointer,
    /// `[rows, heads, splits]` of f32: the logarithm to base 2 of the sum of its weights.
    pub partial_weights: DevicePointer,
    /// Query heads.
    pub heads: u32,
    /// KV heads.
    pub kv_heads: u32,
    /// The most splits that a row of the launch sees, or more ([`splits_seen`]).
    pub splits: u32,
    /// Positions that a row sees, itself included; 0 for all.
    pub window: u32,
    /// What scores are multiplied by before the softmax, times log2(e) ([`DecodeArguments::launch`] multiplies it).
    pub scale: f32,
    /// Fills the struct up; 0.
    pub unused: u32,
}

/// What the kernel `merge_splits` takes.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct MergeArguments {
    /// As in [`DecodeArguments`].
    pub partial: DevicePointer,
    /// As in [`DecodeArguments`].
    pub partial_weights: DevicePointer,
    /// `[rows]` of u32: each row's position.
    pub positions: DevicePointer,
    /// `[rows, heads, head_dim]` of bf16.
    pub out: DevicePointer,
    /// Query heads.
    pub heads: u32,
    /// Elements a head.
    pub head_dim: u32,
    /// As in [`DecodeArguments`].
    pub splits: u32,
    /// As in [`DecodeArguments`].
    pub window: u32,
}

/// What the kernels `prefill_*` take.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct PrefillArguments {
    /// `[rows, heads, head_dim]` of bf16.
    pub queries: DevicePointer,
    /// The pool's pages, one after another.
    pub pages: DevicePointer,
    /// The bytes of a page.
    pub page_bytes: u64,
    /// Where the layer begins in a page.
    pub layer_offset: u64,
    /// [`AttentionTile`]s.
    pub tiles: DevicePointer,
    /// u32: the pages of all sequences.
    pub table: DevicePointer,
    /// `[rows, heads, head_dim]` of bf16.
    pub out: DevicePointer,
    /// Query heads.
    pub heads: u32,
    /// KV heads.
    pub kv_heads: u32,
    /// Positions that a row sees, itself included; 0 for all.
    pub window: u32,
    /// What scores are multiplied by before the softmax, times log2(e) ([`PrefillArguments::launch`] multiplies it).
    pub scale: f32,
}

fn decode_kernel(pages: &CudaPages) -> Kernel {
    pages.kernel(
        Artefact::Decode,
        [
            ["decode_bf16_16", "decode_bf16_64", "decode_bf16_128"],
            ["decode_fp8_16", "decode_fp8_64", "decode_fp8_128"],
        ],
    )
}

fn prefill_kernel(pages: &CudaPages) -> Kernel {
    pages.kernel(
        Artefact::Prefill,
        [
            ["prefill_bf16_16", "prefill_bf16_64", "prefill_bf16_128"],
            ["prefill_fp8_16", "prefill_fp8_64", "prefill_fp8_128"],
        ],
    )
}

fn check_heads(name: &'static str, pages: &CudaPages, layer: usize, heads: u32) -> Result<(), ShapeError> {
    pages.check(name)?;
    let heads = heads as usize;
    check(
        layer < pages.layers,
        name,
        "the layer",
        layer,
        "one of the layers of the pages",
    )?;
    check(
        heads > 0 && heads.is_multiple_of(pages.kv_heads),
        name,
        "the number of query heads",
        heads,
        "a multiple of the KV heads",
    )
}

impl DecodeArguments {
    /// The launch for so many tiles and one layer. `page_bytes`, `layer_offset` and `kv_heads` are set from `pages` and `layer`.
    ///
    /// # Errors
    /// [`ShapeError`] when there are no tiles or splits, or no kernel for the heads.
    pub fn launch(
        mut self,
        pages: &CudaPages,
        layer: usize,
        tiles: usize,
    ) -> Result<Launch<DecodeArguments>, ShapeError> {
        let kernel = decode_kernel(pages);
        let name = kernel.name;
        check_heads(name, pages, layer, self.heads)?;
        let group = self.heads as usize / pages.kv_heads;
        check(
            group <= TILE_HEADS,
            name,
            "the number of query heads that share a KV head",
            group,
            "at most 16",
        )?;
        self.page_bytes = pages.page_bytes();
        self.layer_offset = pages.layer_offset(layer);
        self.kv_heads = second_axis(name, "the number of KV heads", pages.kv_heads)?;
        self.scale *= std::f32::consts::LOG2_E;
        Ok(Launch {
            kernel,
            grid: [
                count(name, "the number of splits", self.splits as usize)?,
                self.kv_heads,
                second_axis(name, "the number of tiles", tiles)?,
            ],
            threads: THREADS,
            shared_bytes: (WARPS * TILE_HEADS * (pages.head_dim + 2) * 4) as u32,
            arguments: self,
        })
    }

    /// What merges the launch's splits afterwards, for `rows` rows.
    ///
    /// # Errors
    /// [`ShapeError`] when there are no rows, or too many.
    pub fn merge(
        &self,
        pages: &CudaPages,
        rows: usize,
        positions: DevicePointer,
        out: DevicePointer,
    ) -> Result<Launch<MergeArguments>, ShapeError> {
        let name = "merge_splits";
        check_heads(name, pages, 0, self.heads)?;
        Ok(Launch {
            kernel: Kernel {
                artefact: Artefact::Decode,
                name,
            },
            grid: [self.heads, second_axis(name, "the number of rows", rows)?, 1],
            threads: THREADS,
            shared_bytes: 0,
            arguments: MergeArguments {
                partial: self.partial,
                partial_weights: self.partial_weights,
                positions,
                out,
                heads: self.heads,
                head_dim: count(name, "the head dimension", pages.head_dim)?,
                splits: self.splits,
                window: self.window,
            },
        })
    }
}

impl PrefillArguments {
    /// The launch for so many tiles and one layer. `page_bytes`, `layer_offset` and `kv_heads` are set from `pages` and `layer`.
    ///
    /// # Errors
    /// [`ShapeError`] when there are no tiles, or no kernel for the heads.
    pub fn launch(
        mut self,
        pages: &CudaPages,
        layer: usize,
        tiles: usize,
    ) -> Result<Launch<PrefillArguments>, ShapeError> {
        let kernel = prefill_kernel(pages);
        let name = kernel.name;
        check_heads(name, pages, layer, self.heads)?;
        self.page_bytes = pages.page_bytes();
        self.layer_offset = pages.layer_offset(layer);
        self.kv_heads = count(name, "the number of KV heads", pages.kv_heads)?;
        self.scale *= std::f32::consts::LOG2_E;
        let element_bytes = match pages.element {
            CudaKvElement::Bf16 => 2,
            CudaKvElement::Fp8 => 1,
        };
        Ok(Launch {
            kernel,
            grid: [
                count(name, "the number of tiles", tiles)?,
                second_axis(name, "the number of query heads", self.heads as usize)?,
                1,
            ],
            threads: THREADS,
            // Keys and values of two pages.
            shared_bytes: (4 * PAGE_TOKENS * pages.head_dim * element_bytes) as u32,
            arguments: self,
        })
    }
}
