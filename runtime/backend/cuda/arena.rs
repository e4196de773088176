//! Where the pages of both pools lie in one piece of a device's memory.
//!
//! Pages of the full pool grow from its beginning, those of the window pool from its end, so that each kernel finds a page by a number
//! times a size. Which pool gets how much shows only as a model runs. Where they meet although there is room in the holes that were
//! left, pages move: a page's name (its id) stays, its place changes.

use std::collections::{BTreeSet, HashMap};

use crate::backend::BackendError;
use crate::cache::{PageCopy, PageId, PoolKind};

/// The place that is nobody's: rows that only fill a batch up write there.
pub(super) const SCRATCH: usize = 0;

/// Which page lies in which place of one pool.
#[derive(Debug)]
struct Places {
    kind: PoolKind,
    page_bytes: u64,
    of_page: HashMap<PageId, usize>,
    pages: Vec<Option<PageId>>,
    holes: BTreeSet<usize>,
}

/// The places of both pools.
#[derive(Debug)]
pub(super) struct Arena {
    bytes: u64,
    full: Places,
    window: Places,
}

/// A page that changes its place, within one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) pool: PoolKind,
    pub(super) from: usize,
    pub(super) to: usize,
}

impl Places {
    fn new(kind: PoolKind, page_bytes: u64) -> Places {
        Places {
            kind,
            page_bytes,
            of_page: HashMap::new(),
            // The one that is nobody's.
            pages: if page_bytes > 0 { vec![None] } else { Vec::new() },
            holes: BTreeSet::new(),
        }
    }

    /// The bytes up to the last page.
    fn extent(&self) -> u64 {
        self.pages.len() as u64 * self.page_bytes
    }

    fn release(&mut self, page: PageId) {
        let Some(place) = self.of_page.remove(&page) else {
            return;
        };
        if let Some(slot) = self.pages.get_mut(place) {
            *slot = None;
        }
        self.holes.insert(place);
        // What lies behind the last page is nobody's, so that the other pool may have it.
        while self.pages.len() > SCRATCH + 1 && self.pages.last() == Some(&None) {
            self.pages.pop();
            self.holes.remove(&self.pages.len());
        }
    }

    fn put(&mut self, page: PageId, place: usize) {
        if place >= self.pages.len() {
            self.pages.resize(place + 1, None);
        }
        if let Some(slot) = self.pages.get_mut(place) {
            *slot = Some(page);
        }
        self.holes.remove(&place);
        self.of_page.insert(page, place);
    }

    /// Moves the last page into the first hole.
    fn compact_one(&mut self) -> Option<Move> {
        let to = self.holes.first().copied()?;
        let from = self.pages.len().checked_sub(1)?;
        let page = self.pages.get(from).copied().flatten()?;
        if to >= from {
            return None;
        }
        self.release(page);
        self.put(page, to);
        Some(Move {
            pool: self.kind,
            from,
            to,
        })
    }
}

impl Arena {
    /// An arena of so many bytes, for pages of these sizes; 0 for a pool that has no layers.
    pub(super) fn new(bytes: u64, full_page: u64, window_page: u64) -> Arena {
        Arena {
            bytes,
            full: Places::new(PoolKind::Full, full_page),
            window: Places::new(PoolKind::Window, window_page),
        }
    }

    /// The bytes that pages may take, the nobody's places aside.
    pub(super) fn capacity(&self) -> u64 {
        // The window pool's places are counted from the end, and begin at a whole number of pages.
        let slack = self.bytes.checked_rem(self.window.page_bytes).unwrap_or(0);
        self.bytes
            .saturating_sub(self.full.page_bytes + self.window.page_bytes + slack)
    }

    /// The bytes of its memory.
    #[cfg(feature = "gpu-check")]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where the memory of a pool begins, as an offset in the arena, and the bytes of a page.
    pub(super) fn base(&self, pool: PoolKind) -> u64 {
        match pool {
            PoolKind::Full => 0,
            PoolKind::Window => self.bytes.checked_rem(self.window.page_bytes).unwrap_or(0),
        }
    }

    /// The number that a place has for kernels: pages from the pool's base.
    pub(super) fn number(&self, pool: PoolKind, place: usize) -> u32 {
        let number = match pool {
            PoolKind::Full => place as u64,
            PoolKind::Window => {
                let count = self.bytes.checked_div(self.window.page_bytes).unwrap_or(0);
                count.saturating_sub(1 + place as u64)
            }
        };
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// The place of a page that has been written.
    pub(super) fn place(&self, pool: PoolKind, page: PageId) -> Result<usize, BackendError> {
        let place = self.places(pool).of_page.get(&page).copied();
        place.ok_or(BackendError::MissingPage { pool, page })
    }

    /// The place of a page, which gets one when it has none. Pages that have to move for that are added to `moves`, which are to be
    /// made in that order before anything is written.
    pub(super) fn make(
        &mut self,
        pool: PoolKind,
        page: PageId,
        moves: &mut Vec<Move>,
    ) -> Result<usize, BackendError> {
        if let Some(place) = self.places(pool).of_page.get(&page) {
            return Ok(*place);
        }
        if self.places(pool).holes.is_empty() {
            self.make_room(pool, moves)?;
        }
        let places = self.places_mut(pool);
        let place = places.holes.first().copied().unwrap_or(places.pages.len());
        places.put(page, place);
        Ok(place)
    }

    /// Gives the place of a page back, when it has one.
    pub(super) fn release(&mut self, pool: PoolKind, page: PageId) {
        self.places_mut(pool).release(page);
    }

    /// Makes room for one more page behind the last of a pool, by filling the other pool's holes.
    fn make_room(&mut self, pool: PoolKind, moves: &mut Vec<Move>) -> Result<(), BackendError> {
        let needed = self.places(pool).page_bytes;
        let usable = self.bytes - self.base(PoolKind::Window);
        loop {
            let taken = self.full.extent() + self.window.extent();
            if taken + needed <= usable {
                return Ok(());
            }
            let other = match pool {
                PoolKind::Full => &mut self.window,
                PoolKind::Window => &mut self.full,
            };
            match other.compact_one() {
                Some(one) => moves.push(one),
                None => {
                    return Err(BackendError::OutOfMemory {
                        what: "a page of the KV cache on the device",
                        bytes: needed as usize,
                    });
                }
            }
        }
    }

    fn places(&self, pool: PoolKind) -> &Places {
        match pool {
            PoolKind::Full => &self.full,
            PoolKind::Window => &self.window,
        }
    }

    fn places_mut(&mut self, pool: PoolKind) -> &mut Places {
        match pool {
            PoolKind::Full => &mut self.full,
            PoolKind::Window => &mut self.window,
        }
    }
}

/// The places of a copy: source and destination. The destination gets a place when it has none.
pub(super) fn places_of_copy(
    arena: &mut Arena,
    copy: PageCopy,
    moves: &mut Vec<Move>,
) -> Result<(usize, usize), BackendError> {
    arena.place(copy.pool, copy.source)?;
    let to = arena.make(copy.pool, copy.destination, moves)?;
    // Only now, since it may have moved.
    Ok((arena.place(copy.pool, copy.source)?, to))
}

#[cfg(test)]
#[path = "arena_tests.rs"]
mod tests;
