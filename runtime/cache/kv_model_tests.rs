//! Random runs against a model: each sequence's whole history is known, a made-up back end keeps what its pages would contain, and
//! after every operation all that attention may read must be the sequence's own history.

use std::collections::{HashMap, HashSet};

use super::super::KvElement;
use super::*;
use crate::test_random::Random;

/// Tokens of so small a vocabulary that prompts overlap.
fn some_tokens(random: &mut Random, count: usize) -> Vec<TokenId> {
    (0..count).map(|_| random.below(3) as TokenId).collect()
}

/// What the keys and values at each position depend on: all tokens up to there.
fn contents(kind: PoolKind, tokens: &[TokenId]) -> Vec<u64> {
    let mut state = 1 + kind as u64;
    tokens
        .iter()
        .map(|token| {
            state = Random(state ^ (u64::from(*token) << 32)).next();
            state
        })
        .collect()
}

fn common(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

struct Live {
    cache: SequenceCache,
    tokens: Vec<TokenId>,
}

/// Something that was kept in the tree: its tokens, and where its window pages began.
struct Kept {
    tokens: Vec<TokenId>,
    window_from: usize,
}

/// A step in the making.
#[derive(Default)]
struct Batch {
    copies: Vec<PageCopy>,
    /// Sequences by their id, and the tokens that they add.
    members: Vec<(u64, Vec<TokenId>)>,
}

struct World {
    name: String,
    random: Random,
    cache: KvCache,
    page_tokens: usize,
    window: Option<usize>,
    budget: usize,
    roomy: bool,
    store: HashMap<(PoolKind, PageId), Vec<u64>>,
    seen: HashSet<(PoolKind, PageId)>,
    reported_free: HashSet<(PoolKind, PageId)>,
    live: Vec<Live>,
    histories: Vec<Vec<TokenId>>,
    kept: Vec<Kept>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let page_tokens = random.pick(&[1, 4, 4, 16]);
        let (full_layers, window_layers) = random.pick(&[(2, 0), (0, 2), (1, 3), (2, 1)]);
        let window = (window_layers > 0).then(|| random.pick(&[1, 2, 3, 7, 16, 33]));
        let layout = PageLayout {
            page_tokens,
            full_layers,
            window_layers,
            window,
            kv_heads: 1,
            head_dim: 32,
            element: KvElement::F32,
        };
        let pages = layout
            .page_bytes(PoolKind::Full)
            .max(layout.page_bytes(PoolKind::Window));
        let roomy = random.below(4) == 0;
        let budget_pages = if roomy {
            1 << 20
        } else {
            random.pick(&[3, 8, 20, 60]) * 16 / page_tokens
        };
        let slack = random.pick(&[0, 0, 2, 9]);
        let settings = CacheSettings {
            budget_bytes: budget_pages * pages,
            rollback_slack: slack,
        };
        World {
            name: format!("seed {seed}: {layout:?}, slack {slack}, room for {budget_pages} pages"),
            random,
            cache: KvCache::new(layout, settings),
            page_tokens,
            window,
            budget: settings.budget_bytes,
            roomy,
            store: HashMap::new(),
            seen: HashSet::new(),
            reported_free: HashSet::new(),
            live: Vec::new(),
            histories: vec![Vec::new()],
            kept: Vec::new(),
        }
    }

    fn run(mut self, operations: usize) -> CacheStatistics {
        for _ in 0..operations {
            self.operate(&mut Batch::default());
            self.check();
        }
        self.end()
    }

    fn operate(&mut self, batch: &mut Batch) {
        match self.random.below(16) {
            0..=2 => self.begin(),
            3..=9 => {
                if batch.members.is_empty() {
                    self.step();
                }
            }
            10 => self.fork(),
            11 | 12 => self.rollback(batch),
            13 => self.checkpoint(),
            14 => self.finish(),
            _ => self.take_released(batch),
        }
    }

    fn begin(&mut self) {
        if self.live.len() >= 6 {
            return;
        }
        let earlier = self.random.below(self.histories.len());
        let shared = self.random.below(self.histories[earlier].len() + 1);
        let mut tokens = self.histories[earlier][..shared].to_vec();
        let fresh = 1 + self.random.below(2 * self.page_tokens + 3);
        tokens.extend(some_tokens(&mut self.random, fresh));
        let cache = self.cache.begin(&tokens);
        assert!(cache.len() < tokens.len(), "{}", self.name);
        assert_eq!(cache.tokens(), &tokens[..cache.len()], "{}", self.name);
        if self.roomy {
            let expected = self.expected_hit(&tokens);
            assert!(
                cache.len() >= expected,
                "{}: a hit of {} where {expected} is kept",
                self.name,
                cache.len()
            );
        }
        tokens.truncate(cache.len());
        self.live.push(Live { cache, tokens });
    }

    /// The longest hit that a single kept sequence gives, when nothing is ever evicted.
    fn expected_hit(&self, tokens: &[TokenId]) -> usize {
        let lengths = self.kept.iter().map(|kept| {
            let shared = common(&kept.tokens, tokens).min(tokens.len() - 1);
            match self.window {
                Some(window) if shared + 1 < kept.window_from + window => 0,
                _ => shared,
            }
        });
        lengths.max().unwrap_or(0)
    }

    /// Reserves for some sequences, sometimes does other things in between, then makes the copies, writes, reads and appends.
    fn step(&mut self) {
        let mut batch = Batch::default();
        for index in 0..self.live.len() {
            if self.random.below(3) == 0 {
                continue;
            }
            let count = 1 + self.random.below(2 * self.page_tokens + 2);
            let tokens = some_tokens(&mut self.random, count);
            self.reserve(index, tokens, &mut batch);
        }
        if batch.members.is_empty() {
            return;
        }
        if self.random.below(3) == 0 {
            self.operate(&mut batch);
            self.check();
        }
        for copy in &batch.copies {
            let page = self.store.get(&(copy.pool, copy.source)).cloned();
            self.store
                .insert((copy.pool, copy.destination), page.unwrap_or_default());
        }
        if self.random.below(10) == 0 {
            // The step fails: a rollback to the present length takes back what was reserved.
            for live in &mut self.live {
                let len = live.cache.len();
                self.cache.rollback(&mut live.cache, len).expect("no way back");
            }
            return;
        }
        batch
            .members
            .retain(|(id, _)| self.live.iter().any(|live| live.cache.id == *id));
        for (id, tokens) in &batch.members {
            self.write(*id, tokens);
        }
        for (id, tokens) in batch.members {
            let live = self.live.iter_mut().find(|live| live.cache.id == id);
            let live = live.expect("it was retained");
            live.tokens.extend(&tokens);
            self.cache.append(&mut live.cache, &tokens);
        }
    }

    fn reserve(&mut self, index: usize, tokens: Vec<TokenId>, batch: &mut Batch) {
        let before = self.cache.bytes_in_use();
        let live = &mut self.live[index];
        match self.cache.reserve(&mut live.cache, tokens.len()) {
            Ok(copies) => {
                batch.copies.extend(copies);
                batch.members.push((live.cache.id, tokens));
                self.note_use();
            }
            Err(refusal) => {
                assert_eq!(self.cache.bytes_in_use(), before, "{}", self.name);
                let CacheRefusal::NoRoom {
                    needed_bytes,
                    live_bytes,
                    ..
                } = refusal
                else {
                    panic!("{}: {refusal}", self.name);
                };
                assert!(needed_bytes + live_bytes > self.budget, "{}", self.name);
                if self.random.below(4) == 0 {
                    self.cache.clear();
                    self.kept.clear();
                    let live = &mut self.live[index];
                    let again = self.cache.reserve(&mut live.cache, tokens.len());
                    assert!(again.is_err(), "{}: the tree was in the way", self.name);
                }
            }
        }
    }

    fn write(&mut self, id: u64, tokens: &[TokenId]) {
        let live = self.live.iter().find(|live| live.cache.id == id);
        let live = live.expect("it was retained");
        let history: Vec<TokenId> = live.tokens.iter().chain(tokens).copied().collect();
        for kind in self.cache.kinds() {
            let contents = contents(kind, &history);
            for (position, value) in contents.iter().enumerate().skip(live.tokens.len()) {
                let page = page_of(&live.cache, kind, position, self.page_tokens);
                let page = page.unwrap_or_else(|| panic!("{}: no page to write", self.name));
                let slots = self.store.entry((kind, page)).or_default();
                slots.resize(self.page_tokens, 0);
                slots[position % self.page_tokens] = *value;
            }
        }
    }

    fn any(&mut self) -> Option<usize> {
        (!self.live.is_empty()).then(|| self.random.below(self.live.len()))
    }

    fn fork(&mut self) {
        if self.live.len() < 6
            && let Some(index) = self.any()
        {
            let live = &self.live[index];
            let before = self.cache.bytes_in_use();
            let fork = Live {
                cache: self.cache.fork(&live.cache),
                tokens: live.tokens.clone(),
            };
            assert_eq!(self.cache.bytes_in_use(), before, "{}", self.name);
            self.live.push(fork);
        }
    }

    fn rollback(&mut self, batch: &mut Batch) {
        let Some(index) = self.any() else { return };
        let slack = self.cache.settings().rollback_slack;
        let live = &mut self.live[index];
        let len = match self.random.below(4) {
            0 => self.random.below(live.tokens.len() + 1),
            _ => live.tokens.len() - self.random.below(slack.min(live.tokens.len()) + 1),
        };
        match self.cache.rollback(&mut live.cache, len) {
            Ok(()) => {
                live.tokens.truncate(len);
                batch.members.retain(|(id, _)| *id != live.cache.id);
            }
            Err(CacheRefusal::RollbackTooFar { earliest, .. }) => {
                assert!(earliest > len, "{}", self.name);
                if earliest < live.tokens.len() {
                    self.cache
                        .rollback(&mut live.cache, earliest)
                        .unwrap_or_else(|refusal| panic!("{}: {refusal}", self.name));
                    live.tokens.truncate(earliest);
                    batch.members.retain(|(id, _)| *id != live.cache.id);
                }
            }
            Err(refusal) => panic!("{}: {refusal}", self.name),
        }
    }

    fn keep(&mut self, index: usize) {
        let live = &self.live[index];
        self.histories.push(live.tokens.clone());
        self.kept.push(Kept {
            tokens: live.tokens.clone(),
            window_from: live.cache.window_pages().first * self.page_tokens,
        });
    }

    fn checkpoint(&mut self) {
        if let Some(index) = self.any() {
            let before = self.cache.bytes_in_use();
            self.cache.checkpoint(&self.live[index].cache);
            assert!(self.cache.bytes_in_use() <= before, "{}", self.name);
            self.keep(index);
        }
    }

    fn finish(&mut self) {
        let Some(index) = self.any() else { return };
        let keep = self.random.below(3) > 0;
        if keep {
            self.keep(index);
        } else {
            self.histories.push(self.live[index].tokens.clone());
        }
        let live = self.live.swap_remove(index);
        self.cache.finish(live.cache, keep);
    }

    /// What was released is forgotten, so that whoever reads it later is found out.
    fn take_released(&mut self, batch: &Batch) {
        let tables = self.tables();
        for (kind, pages) in self.cache.take_released() {
            for page in pages {
                assert!(!tables.contains(&(kind, page)), "{}: released in use", self.name);
                let running = |id: u64| batch.members.iter().any(|(member, _)| *member == id);
                let read_later = self.live.iter().any(|live| {
                    let sources = live.cache.pending.iter();
                    running(live.cache.id)
                        && sources
                            .into_iter()
                            .any(|copy| (copy.pool, copy.source) == (kind, page))
                });
                assert!(!read_later, "{}: a copy's source was released", self.name);
                assert!(
                    self.reported_free.insert((kind, page)),
                    "{}: {kind:?} page {} was reported twice",
                    self.name,
                    page.0
                );
                self.store.remove(&(kind, page));
            }
        }
    }

    fn tables(&self) -> HashSet<(PoolKind, PageId)> {
        let mut pages = HashSet::new();
        for live in &self.live {
            pages.extend(live.cache.full_pages().iter().map(|page| (PoolKind::Full, *page)));
            let window = &live.cache.window_pages().pages;
            pages.extend(window.iter().map(|page| (PoolKind::Window, *page)));
        }
        pages
    }

    fn note_use(&mut self) {
        for page in self.tables() {
            self.reported_free.remove(&page);
            self.seen.insert(page);
        }
    }

    /// All that attention reads for the next position of each sequence is its own history; pages are within the budget.
    fn check(&mut self) {
        self.note_use();
        assert!(self.cache.bytes_in_use() <= self.budget, "{}", self.name);
        for live in &self.live {
            let len = live.tokens.len();
            assert_eq!(live.cache.tokens(), live.tokens, "{}", self.name);
            // Between a reservation and its step, what is not copied yet is read where the copy is made from.
            let mut unwritten = HashMap::new();
            for copy in &live.cache.pending {
                unwritten.insert((copy.pool, copy.number), copy.source);
            }
            for kind in self.cache.kinds() {
                let oldest = match (kind, self.window) {
                    (PoolKind::Window, Some(window)) => (len + 1).saturating_sub(window),
                    _ => 0,
                };
                let contents = contents(kind, &live.tokens);
                let pages = contents.chunks(self.page_tokens).enumerate();
                for (number, expected) in pages.skip(oldest / self.page_tokens) {
                    let position = number * self.page_tokens;
                    let page = unwritten
                        .get(&(kind, number))
                        .copied()
                        .or_else(|| page_of(&live.cache, kind, position, self.page_tokens));
                    let found = page
                        .and_then(|page| self.store.get(&(kind, page)))
                        .and_then(|slots| slots.get(..expected.len()));
                    let skip = oldest.saturating_sub(position);
                    assert_eq!(
                        found.map(|slots| &slots[skip..]),
                        Some(&expected[skip..]),
                        "{}: page {number} of {len} positions, {kind:?}",
                        self.name
                    );
                }
            }
        }
    }

    /// With the tree cleared, exactly the live tables are in use; with all finished, nothing.
    fn end(mut self) -> CacheStatistics {
        let statistics = self.cache.statistics();
        self.cache.clear();
        let layout = self.cache.layout().clone();
        let expected: usize = self
            .tables()
            .iter()
            .map(|(kind, _)| layout.page_bytes(*kind))
            .sum();
        assert_eq!(self.cache.bytes_in_use(), expected, "{}", self.name);
        for live in std::mem::take(&mut self.live) {
            self.cache.finish(live.cache, false);
        }
        assert_eq!(self.cache.bytes_in_use(), 0, "{}", self.name);
        self.take_released(&Batch::default());
        assert!(
            self.seen.is_subset(&self.reported_free),
            "{}: a page is lost",
            self.name
        );
        statistics
    }
}

fn page_of(cache: &SequenceCache, kind: PoolKind, position: usize, page_tokens: usize) -> Option<PageId> {
    match kind {
        PoolKind::Full => cache.full_pages().get(position / page_tokens).copied(),
        PoolKind::Window => cache.window_pages().page_of(position, page_tokens),
    }
}

#[test]
fn every_sequence_reads_its_own_history_whatever_happens() {
    let mut all = CacheStatistics::default();
    for seed in 0..160 {
        let statistics = World::new(seed).run(160);
        all.hits += statistics.hits;
        all.hit_tokens += statistics.hit_tokens;
        all.misses += statistics.misses;
        all.evictions += statistics.evictions;
    }
    // The runs would prove little if they seldom shared or evicted anything.
    assert!(all.hits > 500 && all.hit_tokens > 10 * all.hits, "{all:?}");
    assert!(all.evictions > 1000, "{all:?}");
}
