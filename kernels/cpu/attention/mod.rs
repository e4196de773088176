//! Attention over pages of the KV cache: exact softmax in one pass, with sliding windows and grouped queries.
//!
//! Softmax is computed online (Milakov and Gimelshein, 2018, <https://arxiv.org/abs/1805.02867>; Dao et al., 2022,
//! <https://arxiv.org/abs/2205.14135>), page by page, and anew in every chunk of [`CHUNK`] positions; the chunks are then merged
//! from first to last. Where pages and chunks begin is a matter of absolute positions alone, so a row's result depends on its own
//! position and its cache, and on nothing that is computed beside it.

mod block;
mod schedule;
mod source;
mod state;
mod tile;

use super::pages::KvPages;
use super::{Isa, ThreadPool};

/// Positions whose softmax is computed in one go (one page's, when pages are larger).
const CHUNK: usize = 512;

/// What all sequences of a call have in common.
#[derive(Debug, Clone, Copy)]
pub struct AttentionCall<'a> {
    /// The instructions to use.
    pub isa: Isa,
    /// The threads to use.
    pub pool: &'a ThreadPool,
    /// The form of the pages.
    pub pages: &'a KvPages,
    /// Which of the pages' layers.
    pub layer: usize,
    /// Query heads: a multiple of the KV heads; query head h uses KV head `h / (heads / kv_heads)`.
    pub heads: usize,
    /// What scores are multiplied by before the softmax.
    pub scale: f32,
    /// Position i sees j when `j <= i` and, with a window, `i - j < window`. At least 1.
    pub window: Option<usize>,
}

/// The rows of one sequence: its positions from `first_position` on, one after another.
#[derive(Debug)]
pub struct AttentionSequence<'a> {
    /// The position of the first row.
    pub first_position: usize,
    /// `[rows, heads, head_dim]`.
    pub queries: &'a [f32],
    /// `[rows, heads, head_dim]`.
    pub out: &'a mut [f32],
    /// The number of the first page of `tables`: it holds the positions from `first_page * page_tokens` on.
    pub first_page: usize,
    /// The sequence's pages from there to its last row's position, the rows' own keys and values included.
    pub tables: Vec<&'a [u8]>,
}

/// Computes attention for the rows of several sequences in one parallel region. Each row is the same, bit for bit, whatever else is
/// in the call, with any number of threads and any instructions.
///
/// # Panics
/// When a length does not fit the call, or a row sees a position that none of its pages holds.
pub fn attention(call: &AttentionCall<'_>, sequences: &mut [AttentionSequence<'_>]) {
    call.check();
    for sequence in sequences.iter() {
        sequence.check(call);
    }
    schedule::run(call, sequences);
}

impl AttentionCall<'_> {
    fn check(&self) {
        let pages = self.pages;
        assert!(
            pages.page_tokens > 0 && pages.page_tokens.is_multiple_of(16) && pages.head_dim > 0,
            "pages hold a multiple of 16 positions"
        );
        assert!(
            pages.kv_heads > 0 && self.heads.is_multiple_of(pages.kv_heads),
            "every KV head has the same number of query heads"
        );
        assert!(
            self.window != Some(0),
            "a window holds at least the row's own position"
        );
        assert!(self.layer < pages.layers, "the layer is in the pages");
    }

    /// Query heads a KV head.
    fn group(&self) -> usize {
        self.heads / self.pages.kv_heads
    }

    /// Elements a row.
    fn width(&self) -> usize {
        self.heads * self.pages.head_dim
    }

    /// The oldest position that `position` sees.
    fn oldest(&self, position: usize) -> usize {
        self.window
            .map_or(0, |window| (position + 1).saturating_sub(window))
    }

    /// How many pages belong to a chunk.
    fn chunk_pages(&self) -> usize {
        (CHUNK / self.pages.page_tokens).max(1)
    }

    /// The chunk that holds `position`.
    fn chunk_of(&self, position: usize) -> usize {
        position / self.pages.page_tokens / self.chunk_pages()
    }
}

impl AttentionSequence<'_> {
    fn rows(&self, call: &AttentionCall<'_>) -> usize {
        self.queries.len() / call.width().max(1)
    }

    fn check(&self, call: &AttentionCall<'_>) {
        let rows = self.rows(call);
        assert!(
            self.queries.len() == rows * call.width() && self.out.len() == self.queries.len(),
            "queries and results are whole rows"
        );
        if rows == 0 {
            return;
        }
        let page_tokens = call.pages.page_tokens;
        assert!(
            self.first_page <= call.oldest(self.first_position) / page_tokens
                && (self.first_position + rows).div_ceil(page_tokens) <= self.first_page + self.tables.len(),
            "the pages hold every position that a row sees"
        );
        let page_bytes = call.pages.page_bytes();
        assert!(
            self.tables.iter().all(|page| page.len() == page_bytes),
            "pages are of the call's layout"
        );
    }
}

#[cfg(test)]
#[path = "attention_tests.rs"]
mod tests;
