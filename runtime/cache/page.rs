//! Pages: their names, their pools and their sizes.

use cwm_kernels::KvElement;
use serde::{Deserialize, Serialize};

use crate::model::{Attention, ModelSpec};

/// A page of one of the two pools; ids are small and reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageId(pub u32);

/// Which pool a page is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// Keys and values of all layers that attend to everything.
    Full,
    /// Keys and values of all layers with a sliding window.
    Window,
}

/// A page to be copied before a step, within one pool: the destination is about to be written, the source is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCopy {
    /// The pool of both.
    pub pool: PoolKind,
    /// What is read.
    pub source: PageId,
    /// What is written.
    pub destination: PageId,
}

/// A sequence's pages in the window pool. Those behind the window are gone, so the table begins at a later page than 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowTable {
    /// The number of the first page here: it holds the positions from `first * page_tokens` on.
    pub first: usize,
    /// The pages from there to the sequence's end.
    pub pages: Vec<PageId>,
}

impl WindowTable {
    /// The page that holds `position`, while it is still there.
    pub fn page_of(&self, position: usize, page_tokens: usize) -> Option<PageId> {
        let index = (position / page_tokens).checked_sub(self.first)?;
        self.pages.get(index).copied()
    }
}

/// The form of the pages of a model's cache, the same for all back ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageLayout {
    /// Positions a page; a multiple of 16.
    pub page_tokens: usize,
    /// How many layers' keys and values a page of the full pool holds.
    pub full_layers: usize,
    /// How many layers' keys and values a page of the window pool holds.
    pub window_layers: usize,
    /// The widest window, when there is one.
    pub window: Option<usize>,
    /// Key and value heads a layer.
    pub kv_heads: usize,
    /// Elements a head.
    pub head_dim: usize,
    /// How elements are stored.
    pub element: KvElement,
}

impl PageLayout {
    /// The layout for a model.
    pub fn of(spec: &ModelSpec, page_tokens: usize, element: KvElement) -> PageLayout {
        let full_layers = spec
            .layers
            .iter()
            .filter(|layer| layer.attention == Attention::Full)
            .count();
        PageLayout {
            page_tokens,
            full_layers,
            window_layers: spec.layers.len() - full_layers,
            window: spec.window(),
            kv_heads: spec.kv_heads,
            head_dim: spec.head_dim,
            element,
        }
    }

    /// How many layers a page of that pool holds.
    pub fn layers(&self, pool: PoolKind) -> usize {
        match pool {
            PoolKind::Full => self.full_layers,
            PoolKind::Window => self.window_layers,
        }
    }

    /// The bytes of a page of that pool.
    pub fn page_bytes(&self, pool: PoolKind) -> usize {
        self.layers(pool) * self.page_tokens * self.kv_heads * self.element.head_bytes(self.head_dim) * 2
    }

    /// The bytes that one more position takes in all layers.
    pub fn token_bytes(&self) -> usize {
        (self.full_layers + self.window_layers) * self.kv_heads * self.element.head_bytes(self.head_dim) * 2
    }
}
