//! The cache: sequences that begin, grow, fork, roll back and end, in two page pools under one budget.

use std::collections::HashMap;

use crate::model::TokenId;

use super::errors::CacheRefusal;
use super::need::Need;
use super::page::{PageCopy, PageId, PageLayout, PoolKind, WindowTable};
use super::pool::{Holder, Pools};
use super::sequence::{PendingCopy, Reach, SequenceCache};
use super::tree::{NodeId, PrefixTree};

/// How large the cache may be, and what it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// The most bytes that the pages of both pools may take together.
    pub budget_bytes: usize,
    /// How many tokens a sequence can surely be rolled back in a model with window layers. Where there are none, any rollback is
    /// possible.
    pub rollback_slack: usize,
}

/// What the prefix tree was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStatistics {
    /// Sequences that began with tokens that were there already.
    pub hits: u64,
    /// Sequences that began with nothing.
    pub misses: u64,
    /// Tokens that did not have to be computed again.
    pub hit_tokens: u64,
    /// Leaves and checkpoints that had to make room.
    pub evictions: u64,
}

/// The KV cache of a model, without its tensors: it says which page holds what, and back ends hold the pages.
///
/// A step goes like this: [`KvCache::reserve`] for each sequence that runs, the copies that it returns in that order and before
/// everything else, the step itself, then [`KvCache::append`]. A sequence may be forked, kept, rolled back or finished in between, and
/// when the step fails; a rollback (also to its present length) takes back what was reserved.
#[derive(Debug)]
pub struct KvCache {
    layout: PageLayout,
    settings: CacheSettings,
    reach: Reach,
    pools: Pools,
    tree: PrefixTree,
    /// The last checkpoint of each live sequence.
    pins: HashMap<u64, NodeId>,
    next_sequence: u64,
    statistics: CacheStatistics,
}

impl KvCache {
    /// An empty cache.
    pub fn new(layout: PageLayout, settings: CacheSettings) -> KvCache {
        let reach = Reach::new(&layout, settings.rollback_slack);
        KvCache {
            pools: Pools::new(&layout),
            tree: PrefixTree::new(reach),
            pins: HashMap::new(),
            next_sequence: 0,
            statistics: CacheStatistics::default(),
            layout,
            settings,
            reach,
        }
    }

    /// The form of its pages.
    pub fn layout(&self) -> &PageLayout {
        &self.layout
    }

    /// What it was made with.
    pub fn settings(&self) -> CacheSettings {
        self.settings
    }

    /// The bytes of all pages in use, by sequences or by the prefix tree; never above the budget.
    pub fn bytes_in_use(&self) -> usize {
        self.pools.bytes_in_use()
    }

    /// What the prefix tree was good for until now.
    pub fn statistics(&self) -> CacheStatistics {
        self.statistics
    }

    /// A sequence for these tokens. Its [`SequenceCache::len`] says how many of the first of them are there already: as many as the prefix
    /// tree can give exactly, but never the last one, which has to be computed for its logits. The others are to be
    /// [reserved](KvCache::reserve), computed and [appended](KvCache::append).
    pub fn begin(&mut self, tokens: &[TokenId]) -> SequenceCache {
        let usable = tokens.split_last().map_or(tokens, |(_, before)| before);
        let hit = self.tree.find(usable);
        if hit.len > 0 {
            self.statistics.hits += 1;
            self.statistics.hit_tokens += hit.len as u64;
        } else {
            self.statistics.misses += 1;
        }
        let known = usable.get(..hit.len).unwrap_or_default().to_vec();
        self.admit(known, hit.full, hit.window)
    }

    /// Makes the next `tokens` positions of a sequence writable. The copies must be made, in this order, before the step that
    /// writes them. When there is no room, the prefix tree's least recently used pages are evicted; when that would not be enough
    /// either, nothing changes and the refusal says what is lacking.
    pub fn reserve(
        &mut self,
        sequence: &mut SequenceCache,
        tokens: usize,
    ) -> Result<Vec<PageCopy>, CacheRefusal> {
        if tokens == 0 {
            return Ok(Vec::new());
        }
        let budget = self.settings.budget_bytes;
        let without_tree = self.bytes_to_reserve(sequence, tokens, Pools::is_shared_by_sequences);
        let refusal = CacheRefusal::NoRoom {
            len: sequence.len(),
            tokens,
            needed_bytes: without_tree,
            live_bytes: self.pools.live_bytes(),
            budget_bytes: budget,
        };
        if self.pools.live_bytes().saturating_add(without_tree) > budget {
            return Err(refusal);
        }
        // An eviction can also make a copy needless, so what is needed is counted anew.
        while self.pools.bytes_in_use().saturating_add(self.bytes_to_reserve(
            sequence,
            tokens,
            Pools::is_shared,
        )) > budget
        {
            if !self.tree.evict(&mut self.pools) {
                return Err(refusal);
            }
            self.statistics.evictions += 1;
        }
        let mut copies = Vec::new();
        for kind in self.kinds() {
            self.make_writable(kind, sequence, tokens, &mut copies);
        }
        Ok(copies)
    }

    /// Takes note of the tokens whose keys and values a step has written; they must have been reserved. Window pages that neither
    /// the next position nor a rollback within the slack needs are let go.
    pub fn append(&mut self, sequence: &mut SequenceCache, tokens: &[TokenId]) {
        sequence.tokens.extend_from_slice(tokens);
        for copy in sequence.pending.drain(..) {
            self.pools.release(copy.pool, copy.source, Holder::Copy);
        }
        let len = sequence.len();
        debug_assert!(
            self.layout.full_layers == 0 || sequence.full.len() >= self.reach.pages(len),
            "{len} tokens were appended, but not reserved"
        );
        if self.reach.window.is_none() {
            return;
        }
        let behind = self
            .reach
            .kept_from(len)
            .saturating_sub(sequence.window.first)
            .min(sequence.window.pages.len());
        for page in sequence.window.pages.drain(..behind) {
            self.pools.release(PoolKind::Window, page, Holder::Sequence);
        }
        sequence.window.first += behind;
    }

    /// A second sequence with the same tokens, which shares all pages until one of the two writes.
    pub fn fork(&mut self, sequence: &SequenceCache) -> SequenceCache {
        let (full, window) = self.written_pages(sequence);
        self.admit(sequence.tokens.clone(), full, window)
    }

    /// Takes back all tokens from `len` on, and what was reserved. In a model with window layers that is possible only while the
    /// window before `len` is still there: within the slack at least, and always back to 0.
    pub fn rollback(&mut self, sequence: &mut SequenceCache, len: usize) -> Result<(), CacheRefusal> {
        if len > sequence.len() {
            return Err(CacheRefusal::RollbackAhead {
                len: sequence.len(),
                wanted: len,
            });
        }
        let first = sequence.window.first;
        if let Some(window) = self.reach.window
            && len > 0
            && self.reach.needed_from(len) < first
        {
            return Err(CacheRefusal::RollbackTooFar {
                len: sequence.len(),
                wanted: len,
                earliest: first * self.reach.page_tokens + window - 1,
            });
        }
        self.take_back_reserved(sequence);
        sequence.tokens.truncate(len);
        let pages = self.reach.pages(len);
        for page in sequence.full.drain(pages.min(sequence.full.len())..) {
            self.pools.release(PoolKind::Full, page, Holder::Sequence);
        }
        let kept = pages.saturating_sub(first).min(sequence.window.pages.len());
        for page in sequence.window.pages.drain(kept..) {
            self.pools.release(PoolKind::Window, page, Holder::Sequence);
        }
        if len == 0 {
            sequence.window.first = 0;
        }
        Ok(())
    }

    /// Keeps the sequence's tokens in the prefix tree, so that later sequences can go on exactly from its present end. While the
    /// sequence lives, its last checkpoint is evicted only after all that no live sequence has made.
    pub fn checkpoint(&mut self, sequence: &SequenceCache) {
        self.unpin(sequence.id);
        if let Some(node) = self.insert(sequence) {
            self.tree.pin(node);
            self.pins.insert(sequence.id, node);
        }
    }

    /// Ends a sequence. With `keep`, its tokens stay in the prefix tree with a checkpoint at their end, until others need the room.
    pub fn finish(&mut self, mut sequence: SequenceCache, keep: bool) {
        self.unpin(sequence.id);
        if keep {
            self.insert(&sequence);
        }
        self.take_back_reserved(&mut sequence);
        for page in sequence.full.drain(..) {
            self.pools.release(PoolKind::Full, page, Holder::Sequence);
        }
        for page in sequence.window.pages.drain(..) {
            self.pools.release(PoolKind::Window, page, Holder::Sequence);
        }
    }

    /// Whether `samples` sequences that begin with one prompt and then add up to `new_tokens` each fit into the budget when nothing
    /// else runs and steps have at most 512 tokens.
    pub fn fits(&self, prompt_tokens: usize, new_tokens: usize, samples: usize) -> Result<(), CacheRefusal> {
        self.fits_in_steps(prompt_tokens, new_tokens, samples, 512)
    }

    /// As [`KvCache::fits`], with the prompt computed in steps of at most `step_tokens`: window layers hold a window and a step.
    pub fn fits_in_steps(
        &self,
        prompt_tokens: usize,
        new_tokens: usize,
        samples: usize,
        step_tokens: usize,
    ) -> Result<(), CacheRefusal> {
        let need = Need {
            prompt_tokens,
            new_tokens,
            samples: samples.max(1),
            step_tokens: step_tokens.max(1),
        };
        let needed_bytes = need.bytes(self.reach, &self.layout);
        if needed_bytes <= self.settings.budget_bytes {
            return Ok(());
        }
        Err(CacheRefusal::RequestTooLarge {
            prompt_tokens,
            new_tokens,
            samples,
            needed_bytes,
            budget_bytes: self.settings.budget_bytes,
        })
    }

    /// The pages that became free since the last call and were not handed out again: a back end may give their memory back.
    pub fn take_released(&mut self) -> Vec<(PoolKind, Vec<PageId>)> {
        self.pools.take_released()
    }

    /// Forgets the whole prefix tree. Live sequences keep their pages.
    pub fn clear(&mut self) {
        self.tree.clear(&mut self.pools);
        self.pins.clear();
    }

    /// The pools in which a layer has pages.
    fn kinds(&self) -> impl Iterator<Item = PoolKind> + use<> {
        let full = (self.layout.full_layers > 0).then_some(PoolKind::Full);
        let window = self.reach.window.map(|_| PoolKind::Window);
        full.into_iter().chain(window)
    }

    /// A live sequence that refers to these pages.
    fn admit(&mut self, tokens: Vec<TokenId>, full: Vec<PageId>, window: WindowTable) -> SequenceCache {
        for page in &full {
            self.pools.retain(PoolKind::Full, *page, Holder::Sequence);
        }
        for page in &window.pages {
            self.pools.retain(PoolKind::Window, *page, Holder::Sequence);
        }
        let id = self.next_sequence;
        self.next_sequence += 1;
        SequenceCache {
            id,
            tokens,
            full,
            window,
            pending: Vec::new(),
        }
    }

    /// The pages with at least one written position; in place of a copy that is still to be made, what it is made from.
    fn written_pages(&self, sequence: &SequenceCache) -> (Vec<PageId>, WindowTable) {
        let pages = self.reach.pages(sequence.len());
        let mut full = sequence.full.clone();
        full.truncate(pages);
        let mut window = sequence.window.clone();
        window.pages.truncate(pages.saturating_sub(window.first));
        for copy in &sequence.pending {
            let place = match copy.pool {
                PoolKind::Full => full.get_mut(copy.number),
                PoolKind::Window => window.pages.get_mut(copy.number - window.first),
            };
            if let Some(place) = place {
                *place = copy.source;
            }
        }
        (full, window)
    }

    fn insert(&mut self, sequence: &SequenceCache) -> Option<NodeId> {
        let (full, window) = self.written_pages(sequence);
        self.tree
            .insert(&mut self.pools, &sequence.tokens, &full, &window)
    }

    fn unpin(&mut self, sequence: u64) {
        if let Some(node) = self.pins.remove(&sequence) {
            self.tree.unpin(node);
        }
    }

    /// Lets go of what was reserved: puts the sources of copies that may not have been made back into the tables.
    fn take_back_reserved(&mut self, sequence: &mut SequenceCache) {
        for copy in std::mem::take(&mut sequence.pending) {
            let (first, _) = sequence.table(copy.pool);
            if let Some(place) = sequence.table_mut(copy.pool).get_mut(copy.number - first) {
                let copied = std::mem::replace(place, copy.source);
                self.pools.retain(copy.pool, copy.source, Holder::Sequence);
                self.pools.release(copy.pool, copied, Holder::Sequence);
            }
            self.pools.release(copy.pool, copy.source, Holder::Copy);
        }
    }

    /// The bytes of the pages that making the next positions writable takes, copies included.
    fn bytes_to_reserve(
        &self,
        sequence: &SequenceCache,
        tokens: usize,
        is_shared: impl Fn(&Pools, PoolKind, PageId, usize) -> bool,
    ) -> usize {
        let len = sequence.len();
        self.kinds()
            .map(|kind| {
                let (first, pages) = sequence.table(kind);
                let wanted = self.reach.pages(len.saturating_add(tokens));
                let copied = self.page_to_share(first, pages, len).is_some_and(|(_, page)| {
                    is_shared(&self.pools, kind, page, len % self.reach.page_tokens)
                });
                let fresh = wanted.saturating_sub(first + pages.len()) + usize::from(copied);
                fresh.saturating_mul(self.layout.page_bytes(kind))
            })
            .fold(0, usize::saturating_add)
    }

    /// The page that the next position shares with earlier ones, with its place in the table.
    fn page_to_share(&self, first: usize, pages: &[PageId], len: usize) -> Option<(usize, PageId)> {
        if len.is_multiple_of(self.reach.page_tokens) {
            return None;
        }
        let index = (len / self.reach.page_tokens).checked_sub(first)?;
        Some((index, *pages.get(index)?))
    }

    fn make_writable(
        &mut self,
        pool: PoolKind,
        sequence: &mut SequenceCache,
        tokens: usize,
        copies: &mut Vec<PageCopy>,
    ) {
        let len = sequence.len();
        let (first, pages) = sequence.table(pool);
        if let Some((index, source)) = self.page_to_share(first, pages, len)
            && self.pools.is_shared(pool, source, len % self.reach.page_tokens)
        {
            let destination = self.pools.allocate(pool);
            self.pools
                .hold_for_copy(pool, source, len % self.reach.page_tokens);
            self.pools.release(pool, source, Holder::Sequence);
            sequence.pending.push(PendingCopy {
                pool,
                number: first + index,
                source,
            });
            if let Some(place) = sequence.table_mut(pool).get_mut(index) {
                *place = destination;
            }
            copies.push(PageCopy {
                pool,
                source,
                destination,
            });
        }
        let wanted = self.reach.pages(len + tokens).saturating_sub(first);
        while sequence.table(pool).1.len() < wanted {
            let page = self.pools.allocate(pool);
            sequence.table_mut(pool).push(page);
        }
    }
}

#[cfg(test)]
#[path = "kv_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "kv_model_tests.rs"]
mod model_tests;
