//! A back end for tests whose logits are a function of the tokens that it finds in its pages.
//!
//! It stores each token in the slot of its position, in the pages of both pools, and hashes what it reads back. A wrong page table, a
//! copy that is missing or late, a page that is written by two or given back too early changes every later token, or is an error.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::backend::{Backend, BackendError, SequenceStep, StepOutput, StepPlan, TokenSource};
use crate::cache::{CacheSettings, KvCache, KvElement, PageCopy, PageId, PageLayout, PoolKind};
use crate::engine::sampling::Sampler;
use crate::engine::{Request, TokenHistory};
use crate::model::TokenId;

pub(super) const VOCABULARY: usize = 300;
pub(super) const PAGE_TOKENS: usize = 16;

/// What happened in the back end, for the test to look at.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) plans: Vec<StepPlan>,
    /// How many pages hold anything after the last step.
    pub(super) pages: usize,
    /// Steps with these numbers fail.
    pub(super) fail: Vec<u64>,
    /// The step with this number panics.
    pub(super) panic: Option<u64>,
    /// The step with this number does not begin while it is set.
    pub(super) hold: Option<u64>,
    /// After so many tokens these follow, whatever else there is.
    pub(super) script: Option<(usize, Vec<TokenId>)>,
    /// The step with this number gives logits that are no numbers.
    pub(super) spoil: Option<u64>,
}

/// A token at its position.
type Slot = Option<(usize, TokenId)>;

pub(super) struct HistoryBackend {
    layout: PageLayout,
    pages: HashMap<(PoolKind, PageId), Vec<Slot>>,
    record: Arc<Mutex<Record>>,
}

/// Small pages for a model with as many window layers as full ones; `None` has full layers only.
pub(super) fn layout(window: Option<usize>) -> PageLayout {
    PageLayout {
        page_tokens: PAGE_TOKENS,
        full_layers: 1,
        window_layers: usize::from(window.is_some()),
        window,
        kv_heads: 1,
        head_dim: 2,
        element: KvElement::F32,
    }
}

/// A cache of so many pages of either pool.
pub(super) fn cache(layout: &PageLayout, pages: usize) -> KvCache {
    let settings = CacheSettings {
        budget_bytes: pages * layout.page_bytes(PoolKind::Full),
        rollback_slack: 0,
    };
    KvCache::new(layout.clone(), settings)
}

impl HistoryBackend {
    pub(super) fn new(layout: PageLayout, record: Arc<Mutex<Record>>) -> HistoryBackend {
        HistoryBackend {
            layout,
            pages: HashMap::new(),
            record,
        }
    }

    fn page_of(&self, step: &SequenceStep, pool: PoolKind, position: usize) -> Option<PageId> {
        match pool {
            PoolKind::Full => step.full_pages.get(position / PAGE_TOKENS).copied(),
            PoolKind::Window => step.window_pages.page_of(position, PAGE_TOKENS),
        }
    }

    fn pools(&self) -> Vec<PoolKind> {
        let window = self.layout.window.map(|_| PoolKind::Window);
        [PoolKind::Full].into_iter().chain(window).collect()
    }

    fn write(&mut self, step: &SequenceStep) {
        for (index, source) in step.tokens.iter().enumerate() {
            let TokenSource::Known(token) = *source else {
                panic!("the engine samples itself");
            };
            let position = step.first_position + index;
            for pool in self.pools() {
                let page = self.page_of(step, pool, position).unwrap();
                let slots = self
                    .pages
                    .entry((pool, page))
                    .or_insert_with(|| vec![None; PAGE_TOKENS]);
                slots[position % PAGE_TOKENS] = Some((position, token));
            }
        }
    }

    /// The token that a page holds for a position.
    fn read(&self, step: &SequenceStep, pool: PoolKind, position: usize) -> Result<TokenId, BackendError> {
        let page = self.page_of(step, pool, position).unwrap_or(PageId(u32::MAX));
        let slots = self.pages.get(&(pool, page));
        match slots.and_then(|slots| slots[position % PAGE_TOKENS]) {
            Some((found, token)) if found == position => Ok(token),
            _ => Err(BackendError::MissingPage { pool, page }),
        }
    }

    fn logits(&self, step: &SequenceStep, index: usize) -> Result<Vec<f32>, BackendError> {
        let last = step.first_position + index;
        let all: Result<Vec<TokenId>, _> = (0..=last)
            .map(|position| self.read(step, PoolKind::Full, position))
            .collect();
        let all = all?;
        if let Some(window) = self.layout.window {
            for (position, token) in all.iter().enumerate().skip((last + 1).saturating_sub(window)) {
                let found = self.read(step, PoolKind::Window, position)?;
                assert_eq!(found, *token, "the pools disagree at position {position}");
            }
        }
        let record = self.record.lock().unwrap();
        let scripted = record
            .script
            .as_ref()
            .and_then(|(start, tokens)| tokens.get(all.len() - start));
        Ok(match scripted {
            Some(next) => (0..VOCABULARY as TokenId)
                .map(|token| f32::from(u8::from(token == *next)))
                .collect(),
            None => logits_after(&all),
        })
    }
}

/// The logits after these tokens.
pub(super) fn logits_after(tokens: &[TokenId]) -> Vec<f32> {
    let hash = tokens.iter().fold(1, |hash, token| mix(hash ^ u64::from(*token)));
    (0..VOCABULARY as u64)
        .map(|token| (mix(hash.wrapping_add(token)) >> 40) as f32 / (1 << 21) as f32)
        .collect()
}

/// One step of SplitMix64.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The tokens of a sample, each computed from all before it, with nothing in between.
pub(super) fn naive(request: &Request, sample: usize, context: usize) -> Vec<TokenId> {
    let mut sampler = Sampler::default();
    let mut tokens = request.prompt.clone();
    let mut history = TokenHistory::new(&request.sampling, &tokens);
    while tokens.len() < context && tokens.len() < request.prompt.len() + request.max_tokens {
        let logits = logits_after(&tokens);
        let token = sampler
            .sample(&logits, &request.sampling, &history, sample, tokens.len())
            .unwrap();
        tokens.push(token);
        history.push(token);
        if request.stop_ids.contains(&token) {
            break;
        }
    }
    tokens.split_off(request.prompt.len())
}

impl Backend for HistoryBackend {
    fn name(&self) -> &'static str {
        "history"
    }

    fn layout(&self) -> &PageLayout {
        &self.layout
    }

    fn vocabulary(&self) -> usize {
        VOCABULARY
    }

    fn step(&mut self, plan: &StepPlan) -> Result<StepOutput, BackendError> {
        plan.check(&self.layout, VOCABULARY, usize::MAX)?;
        while self.record.lock().unwrap().hold == Some(plan.number) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let spoiled = {
            let mut record = self.record.lock().unwrap();
            record.plans.push(plan.clone());
            if record.fail.contains(&plan.number) {
                let what = "do that today".to_owned();
                return Err(BackendError::Unsupported {
                    backend: "history",
                    what,
                });
            }
            assert_ne!(record.panic, Some(plan.number), "as the test wants it");
            record.spoil == Some(plan.number)
        };
        self.copy_pages(&plan.copies)?;
        plan.sequences.iter().for_each(|step| self.write(step));
        let mut logits = Vec::new();
        for row in &plan.logits {
            logits.extend(self.logits(&plan.sequences[row.sequence], row.token)?);
        }
        if spoiled {
            logits.fill(f32::NAN);
        }
        self.record.lock().unwrap().pages = self.pages.len();
        Ok(StepOutput {
            logits,
            vocabulary: VOCABULARY,
        })
    }

    fn copy_pages(&mut self, copies: &[PageCopy]) -> Result<(), BackendError> {
        for copy in copies {
            let (pool, page) = (copy.pool, copy.source);
            let source = self.pages.get(&(pool, page)).cloned();
            let source = source.ok_or(BackendError::MissingPage { pool, page })?;
            self.pages.insert((pool, copy.destination), source);
        }
        Ok(())
    }

    fn export_page(&mut self, pool: PoolKind, page: PageId) -> Result<Vec<u8>, BackendError> {
        Err(BackendError::MissingPage { pool, page })
    }

    fn import_page(&mut self, pool: PoolKind, page: PageId, _: &[u8]) -> Result<(), BackendError> {
        Err(BackendError::MissingPage { pool, page })
    }

    fn release_pages(&mut self, pool: PoolKind, pages: &[PageId]) {
        for page in pages {
            self.pages.remove(&(pool, *page));
        }
        self.record.lock().unwrap().pages = self.pages.len();
    }
}
