//! One sequence: its tokens and its page tables.

use crate::model::TokenId;

use super::page::{PageId, PageLayout, PoolKind, WindowTable};

/// A live sequence's part of the cache. It is given back by [`super::KvCache::finish`]; dropping it instead loses its pages for
/// good.
#[derive(Debug)]
#[must_use = "a sequence that is dropped instead of finished keeps its pages for good"]
pub struct SequenceCache {
    pub(super) id: u64,
    pub(super) tokens: Vec<TokenId>,
    pub(super) full: Vec<PageId>,
    pub(super) window: WindowTable,
    /// Copies that the next step makes.
    pub(super) pending: Vec<PendingCopy>,
}

/// A copy that a back end may not have made yet. Its source is held until it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingCopy {
    pub(super) pool: PoolKind,
    /// The number of the page.
    pub(super) number: usize,
    /// What was in the table.
    pub(super) source: PageId,
}

impl SequenceCache {
    /// How many positions are in the cache.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether no position is.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens at these positions.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// Its pages in the full pool from position 0 on, those that are only reserved included. Empty when no layer is full.
    pub fn full_pages(&self) -> &[PageId] {
        &self.full
    }

    /// Its pages in the window pool, those that are only reserved included. Empty when no layer has a window.
    pub fn window_pages(&self) -> &WindowTable {
        &self.window
    }

    /// The number of the first page in a table, and the table.
    pub(super) fn table(&self, kind: PoolKind) -> (usize, &[PageId]) {
        match kind {
            PoolKind::Full => (0, &self.full),
            PoolKind::Window => (self.window.first, &self.window.pages),
        }
    }

    pub(super) fn table_mut(&mut self, kind: PoolKind) -> &mut Vec<PageId> {
        match kind {
            PoolKind::Full => &mut self.full,
            PoolKind::Window => &mut self.window.pages,
        }
    }
}

/// How far back the window layers of a model need to see, in positions and in pages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// Positions a page.
    pub(super) page_tokens: usize,
    /// The widest window, when there are window layers.
    pub(super) window: Option<usize>,
    /// How far a sequence can be rolled back.
    pub(super) slack: usize,
}

impl Reach {
    pub(super) fn new(layout: &PageLayout, slack: usize) -> Reach {
        Reach {
            page_tokens: layout.page_tokens.max(1),
            window: (layout.window_layers > 0).then(|| layout.window.unwrap_or(usize::MAX).max(1)),
            slack,
        }
    }

    /// How many pages hold `tokens` positions from 0 on.
    pub(super) fn pages(&self, tokens: usize) -> usize {
        tokens.div_ceil(self.page_tokens)
    }

    /// The first page of the window pool without which the position after `len` others cannot be computed.
    pub(super) fn needed_from(&self, len: usize) -> usize {
        let window = self.window.unwrap_or(usize::MAX);
        (len + 1).saturating_sub(window) / self.page_tokens
    }

    /// The first page of the window pool that a sequence of `len` keeps, so that it can be rolled back.
    pub(super) fn kept_from(&self, len: usize) -> usize {
        let window = self.window.unwrap_or(usize::MAX).saturating_add(self.slack);
        (len + 1).saturating_sub(window) / self.page_tokens
    }
}
