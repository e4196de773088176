//! The memory of the two page pools. A page's memory is taken when it is first written, and given back when it is released.

use std::collections::HashMap;

use cwm_kernels::cpu::KvPages;

use crate::backend::{BackendError, PlanError, SequenceStep, StepPlan, oldest_seen};
use crate::cache::{PageCopy, PageId, PageLayout, PoolKind};

/// Both pools.
pub(super) struct PagePools {
    full: PagePool,
    window: PagePool,
}

/// Pages of one form. Ids come from plans and may be any number, so they are looked up, not used as indices.
struct PagePool {
    kind: PoolKind,
    form: KvPages,
    slots: HashMap<PageId, usize>,
    memory: Vec<Vec<u8>>,
    free: Vec<usize>,
}

/// A sequence's pages of one pool as indices into the pool's memory, looked up once a step.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SlotTable {
    /// The number of the first page.
    pub(super) first_page: usize,
    slots: Vec<usize>,
}

impl PagePools {
    pub(super) fn new(layout: &PageLayout) -> PagePools {
        let pool = |kind| PagePool {
            kind,
            form: KvPages {
                page_tokens: layout.page_tokens,
                layers: layout.layers(kind),
                kv_heads: layout.kv_heads,
                head_dim: layout.head_dim,
                element: layout.element,
            },
            slots: HashMap::new(),
            memory: Vec::new(),
            free: Vec::new(),
        };
        PagePools {
            full: pool(PoolKind::Full),
            window: pool(PoolKind::Window),
        }
    }

    /// The form of a pool's pages.
    pub(super) fn form(&self, kind: PoolKind) -> &KvPages {
        &self.pool(kind).form
    }

    /// The pages that the sequences of a plan read and write in one pool. Those that hold new positions only are made.
    pub(super) fn resolve(
        &mut self,
        kind: PoolKind,
        plan: &StepPlan,
        window: Option<usize>,
    ) -> Result<Vec<SlotTable>, BackendError> {
        let pool = self.pool_mut(kind);
        if pool.form.layers == 0 {
            return Ok(plan.sequences.iter().map(|_| SlotTable::default()).collect());
        }
        plan.sequences
            .iter()
            .map(|step| pool.resolve(step, window))
            .collect()
    }

    /// The page of `table` that holds `position`, to be written.
    pub(super) fn page_mut(
        &mut self,
        kind: PoolKind,
        table: &SlotTable,
        position: usize,
    ) -> Option<&mut [u8]> {
        let pool = self.pool_mut(kind);
        let index = (position / pool.form.page_tokens).checked_sub(table.first_page)?;
        let slot = table.slots.get(index)?;
        pool.memory.get_mut(*slot).map(Vec::as_mut_slice)
    }

    /// All pages of `table`.
    pub(super) fn pages_of(&self, kind: PoolKind, table: &SlotTable) -> Vec<&[u8]> {
        let memory = &self.pool(kind).memory;
        let pages = table.slots.iter().filter_map(|slot| memory.get(*slot));
        pages.map(Vec::as_slice).collect()
    }

    pub(super) fn read(&self, kind: PoolKind, page: PageId) -> Result<&[u8], BackendError> {
        let pool = self.pool(kind);
        pool.slot(page)
            .and_then(|slot| pool.memory.get(slot).map(Vec::as_slice).ok_or(pool.missing(page)))
    }

    pub(super) fn copy(&mut self, copy: PageCopy) -> Result<(), BackendError> {
        if copy.source == copy.destination {
            return self.read(copy.pool, copy.source).map(|_| ());
        }
        let pool = self.pool_mut(copy.pool);
        let source = pool.slot(copy.source)?;
        let destination = pool.make(copy.destination)?;
        if let Ok([source, destination]) = pool.memory.get_disjoint_mut([source, destination]) {
            destination.copy_from_slice(source);
        }
        Ok(())
    }

    pub(super) fn import(&mut self, kind: PoolKind, page: PageId, bytes: &[u8]) -> Result<(), BackendError> {
        let pool = self.pool_mut(kind);
        let expected = pool.form.page_bytes();
        if bytes.len() != expected {
            return Err(BackendError::PageSize {
                pool: kind,
                expected,
                found: bytes.len(),
            });
        }
        let slot = pool.make(page)?;
        if let Some(memory) = pool.memory.get_mut(slot) {
            memory.copy_from_slice(bytes);
        }
        Ok(())
    }

    pub(super) fn release(&mut self, kind: PoolKind, page: PageId) {
        let pool = self.pool_mut(kind);
        if let Some(slot) = pool.slots.remove(&page)
            && let Some(memory) = pool.memory.get_mut(slot)
        {
            *memory = Vec::new();
            pool.free.push(slot);
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
}

impl PagePool {
    /// A sequence's pages from the oldest position that its new tokens see to the last of them.
    fn resolve(&mut self, step: &SequenceStep, window: Option<usize>) -> Result<SlotTable, BackendError> {
        let page_tokens = self.form.page_tokens;
        let oldest = oldest_seen(step.first_position, window);
        let first_page = oldest / page_tokens;
        let end = (step.first_position + step.tokens.len()).div_ceil(page_tokens);
        if step.tokens.is_empty() {
            return Ok(SlotTable::default());
        }
        let slots = (first_page..end).map(|number| {
            let page = self.page_id(step, number)?;
            if number * page_tokens < step.first_position {
                self.slot(page)
            } else {
                self.make(page)
            }
        });
        Ok(SlotTable {
            slots: slots.collect::<Result<_, _>>()?,
            first_page,
        })
    }

    fn page_id(&self, step: &SequenceStep, number: usize) -> Result<PageId, PlanError> {
        step.page_of(self.kind, number * self.form.page_tokens, self.form.page_tokens)
    }

    /// Where a page is that has been written.
    fn slot(&self, page: PageId) -> Result<usize, BackendError> {
        self.slots.get(&page).copied().ok_or(self.missing(page))
    }

    fn missing(&self, page: PageId) -> BackendError {
        BackendError::MissingPage {
            pool: self.kind,
            page,
        }
    }

    /// Where a page is; its memory is taken when it has none.
    fn make(&mut self, page: PageId) -> Result<usize, BackendError> {
        if let Some(slot) = self.slots.get(&page) {
            return Ok(*slot);
        }
        let bytes = self.form.page_bytes();
        let mut memory = Vec::new();
        memory
            .try_reserve_exact(bytes)
            .map_err(|_| BackendError::OutOfMemory {
                what: "a page of the KV cache",
                bytes,
            })?;
        memory.resize(bytes, 0);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.memory.push(Vec::new());
                self.memory.len() - 1
            }
        };
        if let Some(place) = self.memory.get_mut(slot) {
            *place = memory;
        }
        self.slots.insert(page, slot);
        Ok(slot)
    }
}
