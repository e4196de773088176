//! Random pages come and go; each keeps what was written to it, and no two share a byte.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const FULL: u64 = 16;
const WINDOW: u64 = 48;

/// Memory of which each byte says whose it is, and the pages that are in it.
struct Model {
    arena: Arena,
    memory: Vec<Option<(PoolKind, PageId)>>,
    pages: HashMap<(PoolKind, PageId), ()>,
}

impl Model {
    fn new(bytes: u64) -> Model {
        Model {
            arena: Arena::new(bytes, FULL, WINDOW),
            memory: vec![None; bytes as usize],
            pages: HashMap::new(),
        }
    }

    fn range(&self, pool: PoolKind, place: usize) -> std::ops::Range<usize> {
        let size = if pool == PoolKind::Full { FULL } else { WINDOW };
        let start = self.arena.base(pool) + u64::from(self.arena.number(pool, place)) * size;
        start as usize..(start + size) as usize
    }

    fn make(&mut self, pool: PoolKind, page: PageId) -> Result<(), BackendError> {
        let mut moves = Vec::new();
        let place = self.arena.make(pool, page, &mut moves);
        for one in moves {
            let bytes = self.memory[self.range(one.pool, one.from)].to_vec();
            let to = self.range(one.pool, one.to);
            self.memory[to].copy_from_slice(&bytes);
        }
        let range = self.range(pool, place?);
        self.memory[range].fill(Some((pool, page)));
        self.pages.insert((pool, page), ());
        Ok(())
    }

    fn check(&self) {
        let scratch = [PoolKind::Full, PoolKind::Window].map(|pool| self.range(pool, SCRATCH));
        for (pool, page) in self.pages.keys() {
            let range = self.range(*pool, self.arena.place(*pool, *page).unwrap());
            for nobodys in &scratch {
                assert!(range.end <= nobodys.start || nobodys.end <= range.start);
            }
            assert!(
                self.memory[range]
                    .iter()
                    .all(|owner| *owner == Some((*pool, *page)))
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_keep_their_bytes_and_all_of_the_capacity_can_be_used(
        bytes in 200_u64..900,
        turns in prop::collection::vec((any::<bool>(), 0_u32..24, any::<bool>()), 1..200),
    ) {
        let mut model = Model::new(bytes);
        let mut used = 0;
        for (full, page, release) in turns {
            let (pool, size) = if full { (PoolKind::Full, FULL) } else { (PoolKind::Window, WINDOW) };
            let page = PageId(page);
            let there = model.pages.contains_key(&(pool, page));
            if release {
                model.arena.release(pool, page);
                if model.pages.remove(&(pool, page)).is_some() {
                    used -= size;
                }
            } else if there || used + size <= model.arena.capacity() {
                model.make(pool, page).unwrap();
                used += if there { 0 } else { size };
            }
            model.check();
        }
    }
}

#[test]
fn a_full_arena_says_so_and_stays_as_it_is() {
    let mut model = Model::new(16 * 4 + 48);
    assert_eq!(model.arena.capacity(), 2 * FULL);
    for page in 0..2 {
        model.make(PoolKind::Full, PageId(page)).unwrap();
    }
    let error = model.make(PoolKind::Full, PageId(2)).unwrap_err();
    assert!(matches!(error, BackendError::OutOfMemory { .. }), "{error}");
    let error = model.make(PoolKind::Window, PageId(0)).unwrap_err();
    assert!(matches!(error, BackendError::OutOfMemory { .. }), "{error}");
    model.check();
}
