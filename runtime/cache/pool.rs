//! The pages of one pool: who refers to each, which are free, and which became free since that was last asked.
//!
//! Ids are handed out lazily, lowest first, so that a back end's pool grows only as far as it must.

use std::collections::BTreeSet;

use super::page::{PageId, PageLayout, PoolKind};

/// Who refers to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// A sequence's page table.
    Sequence,
    /// A node of the prefix tree.
    Tree,
    /// A copy that a back end has yet to make, or that may be taken back.
    Copy,
}

#[derive(Debug, Clone, Copy, Default)]
struct References {
    sequences: u32,
    tree: u32,
    copies: u32,
    /// How many of its slots pending copies read.
    copied_slots: usize,
}

impl References {
    fn of(&mut self, holder: Holder) -> &mut u32 {
        match holder {
            Holder::Sequence => &mut self.sequences,
            Holder::Tree => &mut self.tree,
            Holder::Copy => &mut self.copies,
        }
    }

    fn is_live(self) -> bool {
        self.sequences > 0 || self.copies > 0
    }

    fn is_used(self) -> bool {
        self.is_live() || self.tree > 0
    }
}

/// The pages of one pool.
#[derive(Debug)]
pub(super) struct PagePool {
    page_bytes: usize,
    references: Vec<References>,
    /// Free pages whose release was reported.
    free: BTreeSet<PageId>,
    /// Free pages whose release was not reported yet.
    released: BTreeSet<PageId>,
    used: usize,
    live: usize,
}

impl PagePool {
    fn new(page_bytes: usize) -> PagePool {
        PagePool {
            page_bytes,
            references: Vec::new(),
            free: BTreeSet::new(),
            released: BTreeSet::new(),
            used: 0,
            live: 0,
        }
    }

    /// A page that a sequence refers to. Those whose memory a back end surely still has come first.
    fn allocate(&mut self) -> PageId {
        let page = self
            .released
            .pop_first()
            .or_else(|| self.free.pop_first())
            .unwrap_or_else(|| {
                self.references.push(References::default());
                PageId(self.references.len() as u32 - 1)
            });
        self.change(page, |references| references.sequences += 1);
        page
    }

    fn change(&mut self, page: PageId, change: impl FnOnce(&mut References)) {
        let Some(references) = self.references.get_mut(page.0 as usize) else {
            debug_assert!(false, "page {} was never handed out", page.0);
            return;
        };
        let before = *references;
        change(references);
        let after = *references;
        self.used = self.used + usize::from(after.is_used()) - usize::from(before.is_used());
        self.live = self.live + usize::from(after.is_live()) - usize::from(before.is_live());
        if before.is_used() && !after.is_used() {
            self.released.insert(page);
        }
    }

    fn references(&self, page: PageId) -> References {
        self.references.get(page.0 as usize).copied().unwrap_or_default()
    }
}

/// Both pools.
#[derive(Debug)]
pub(super) struct Pools {
    full: PagePool,
    window: PagePool,
}

/// In the order in which they are reported.
const KINDS: [PoolKind; 2] = [PoolKind::Full, PoolKind::Window];

impl Pools {
    pub(super) fn new(layout: &PageLayout) -> Pools {
        Pools {
            full: PagePool::new(layout.page_bytes(PoolKind::Full)),
            window: PagePool::new(layout.page_bytes(PoolKind::Window)),
        }
    }

    fn pool(&self, kind: PoolKind) -> &PagePool {
        match kind {
            PoolKind::Full => &self.full,
            PoolKind::Window => &self.window,
        }
    }

    fn pool_mut(&mut self, kind: PoolKind) -> &mut PagePool {
        match kind {
            PoolKind::Full => &mut self.full,
            PoolKind::Window => &mut self.window,
        }
    }

    /// A page for a sequence.
    pub(super) fn allocate(&mut self, kind: PoolKind) -> PageId {
        self.pool_mut(kind).allocate()
    }

    pub(super) fn retain(&mut self, kind: PoolKind, page: PageId, holder: Holder) {
        self.pool_mut(kind)
            .change(page, |references| *references.of(holder) += 1);
    }

    pub(super) fn release(&mut self, kind: PoolKind, page: PageId, holder: Holder) {
        self.pool_mut(kind).change(page, |references| {
            let count = references.of(holder);
            debug_assert!(*count > 0, "page {} is released once too often", page.0);
            *count = count.saturating_sub(1);
            if references.copies == 0 {
                references.copied_slots = 0;
            }
        });
    }

    /// Keeps a page as the source of a copy of its first `slots` slots.
    pub(super) fn hold_for_copy(&mut self, kind: PoolKind, page: PageId, slots: usize) {
        self.pool_mut(kind).change(page, |references| {
            references.copies += 1;
            references.copied_slots = references.copied_slots.max(slots);
        });
    }

    /// Whether a sequence that holds the page may not write from `slot` on, since someone else holds the page too or a copy is yet
    /// to be made of what would be overwritten. (Copies of earlier slots do no harm.)
    pub(super) fn is_shared(&self, kind: PoolKind, page: PageId, slot: usize) -> bool {
        let references = self.pool(kind).references(page);
        references.tree > 0 || self.is_shared_by_sequences(kind, page, slot)
    }

    /// As [`Pools::is_shared`], if the tree let go of the page.
    pub(super) fn is_shared_by_sequences(&self, kind: PoolKind, page: PageId, slot: usize) -> bool {
        let references = self.pool(kind).references(page);
        references.sequences > 1 || slot < references.copied_slots
    }

    /// Whether nothing but the tree holds it, so that it is free once the tree lets go.
    pub(super) fn is_idle(&self, kind: PoolKind, page: PageId) -> bool {
        !self.pool(kind).references(page).is_live()
    }

    /// The bytes of all pages that anyone holds.
    pub(super) fn bytes_in_use(&self) -> usize {
        self.full.used * self.full.page_bytes + self.window.used * self.window.page_bytes
    }

    /// The bytes of the pages that sequences or pending copies hold, and that no eviction can free.
    pub(super) fn live_bytes(&self) -> usize {
        self.full.live * self.full.page_bytes + self.window.live * self.window.page_bytes
    }

    /// The free pages that were not reported before.
    pub(super) fn take_released(&mut self) -> Vec<(PoolKind, Vec<PageId>)> {
        let mut taken = Vec::new();
        for kind in KINDS {
            let pool = self.pool_mut(kind);
            let released = std::mem::take(&mut pool.released);
            if !released.is_empty() {
                pool.free.extend(&released);
                taken.push((kind, released.into_iter().collect()));
            }
        }
        taken
    }
}
