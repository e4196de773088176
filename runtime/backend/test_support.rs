//! What the tests of the back ends share: the fixtures, and sequences whose pages are handed out by the simplest allocator there is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cwm_kernels::KvElement;
use cwm_kernels::cpu::Isa;

use crate::backend::{
    Backend, CpuBackend, CpuOptions, LogitsRow, ReferenceBackend, SequenceStep, StepPlan, TokenSource,
};
use crate::cache::{PageCopy, PageId, PageLayout, PoolKind, WindowTable};
use crate::formats::{Checkpoint, OpenOptions};
use crate::model::TokenId;

/// Positions by which a sequence can be rolled back.
const SLACK: usize = 24;

/// A checkpoint that `scripts/make-model-fixtures` made, with what `transformers` computes for it.
pub(super) struct Fixture {
    pub(super) checkpoint: Checkpoint,
    pub(super) ids: Vec<TokenId>,
    /// A row for each of `ids`.
    pub(super) logits: Vec<Vec<f32>>,
}

/// The names of all fixtures.
pub(super) const FIXTURES: [&str; 4] = ["cwm16", "cwm17", "llama", "qwen2"];

pub(super) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/models")
        .join(name)
}

impl Fixture {
    pub(super) fn open(name: &str) -> Fixture {
        let folder = folder(name);
        let checkpoint = Checkpoint::open(&folder, &OpenOptions::default()).unwrap();
        let ids = std::fs::read(folder.join("ids.json")).unwrap();
        let ids: Vec<TokenId> = serde_json::from_slice(&ids).unwrap();
        let bytes = std::fs::read(folder.join("logits.bin")).unwrap();
        let values: Vec<f32> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        let logits: Vec<Vec<f32>> = values
            .chunks_exact(checkpoint.spec.vocabulary)
            .map(<[f32]>::to_vec)
            .collect();
        assert_eq!(logits.len(), ids.len());
        Fixture {
            checkpoint,
            ids,
            logits,
        }
    }
}

/// The largest difference between two sets of rows.
pub(super) fn largest_difference(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected).flat_map(|(found, expected)| {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).map(|(a, b)| {
            let difference = (a - b).abs();
            if difference.is_nan() {
                f32::INFINITY
            } else {
                difference
            }
        })
    });
    differences.fold(0.0, f32::max)
}

/// A sequence and its pages.
#[derive(Clone)]
pub(super) struct Sequence {
    pub(super) id: u64,
    pub(super) len: usize,
    full: Vec<PageId>,
    window: WindowTable,
}

/// A back end, and who holds which of its pages.
pub(super) struct Harness {
    pub(super) backend: Box<dyn Backend>,
    /// All plans that were run.
    pub(super) plans: Vec<StepPlan>,
    holders: HashMap<(PoolKind, PageId), usize>,
    free: HashMap<PoolKind, Vec<PageId>>,
    made: u32,
    begun: u64,
}

impl Harness {
    pub(super) fn new(backend: impl Backend + 'static) -> Harness {
        Harness {
            backend: Box::new(backend),
            plans: Vec::new(),
            holders: HashMap::new(),
            free: HashMap::new(),
            made: 0,
            begun: 0,
        }
    }

    pub(super) fn begin(&mut self) -> Sequence {
        self.begun += 1;
        Sequence {
            id: self.begun,
            len: 0,
            full: Vec::new(),
            window: WindowTable::default(),
        }
    }

    /// Runs the next tokens of each sequence in one step, and returns the logits of all rows, sequence after sequence.
    pub(super) fn run(&mut self, batch: &mut [(&mut Sequence, &[TokenId])]) -> Vec<Vec<f32>> {
        let mut plan = StepPlan {
            number: self.plans.len() as u64,
            ..StepPlan::default()
        };
        for (index, (sequence, tokens)) in batch.iter_mut().enumerate() {
            self.reserve(sequence, tokens.len(), &mut plan.copies);
            plan.sequences.push(SequenceStep {
                sequence: sequence.id,
                first_position: sequence.len,
                tokens: tokens.iter().map(|token| TokenSource::Known(*token)).collect(),
                full_pages: sequence.full.clone(),
                window_pages: sequence.window.clone(),
            });
            plan.logits.extend((0..tokens.len()).map(|token| LogitsRow {
                sequence: index,
                token,
            }));
        }
        let output = self.backend.step(&plan).unwrap();
        for (sequence, tokens) in batch.iter_mut() {
            sequence.len += tokens.len();
            self.leave_behind(sequence);
        }
        let rows = (0..plan.logits.len())
            .map(|row| output.row(row).unwrap().to_vec())
            .collect();
        self.plans.push(plan);
        rows
    }

    /// The same for one sequence.
    pub(super) fn run_one(&mut self, sequence: &mut Sequence, tokens: &[TokenId]) -> Vec<Vec<f32>> {
        self.run(&mut [(sequence, tokens)])
    }

    /// Another sequence with the same past, in the same pages.
    pub(super) fn fork(&mut self, sequence: &Sequence) -> Sequence {
        for (pool, page) in pages_of(sequence) {
            *self.holders.get_mut(&(pool, page)).unwrap() += 1;
        }
        self.begun += 1;
        Sequence {
            id: self.begun,
            ..sequence.clone()
        }
    }

    /// Takes the last positions back.
    pub(super) fn roll_back(&mut self, sequence: &mut Sequence, len: usize) {
        assert!(len <= sequence.len && sequence.len - len <= SLACK);
        let kept = len.div_ceil(self.backend.layout().page_tokens);
        for page in sequence.full.split_off(kept.min(sequence.full.len())) {
            self.let_go(PoolKind::Full, page);
        }
        let kept = kept - sequence.window.first;
        for page in sequence
            .window
            .pages
            .split_off(kept.min(sequence.window.pages.len()))
        {
            self.let_go(PoolKind::Window, page);
        }
        sequence.len = len;
    }

    /// Gives all pages of a sequence back.
    pub(super) fn end(&mut self, sequence: Sequence) {
        for (pool, page) in pages_of(&sequence) {
            self.let_go(pool, page);
        }
    }

    /// Pages for `count` more positions, which nobody else holds.
    fn reserve(&mut self, sequence: &mut Sequence, count: usize, copies: &mut Vec<PageCopy>) {
        let layout = self.backend.layout().clone();
        for number in sequence.len / layout.page_tokens..(sequence.len + count).div_ceil(layout.page_tokens) {
            if layout.full_layers > 0 {
                self.own(PoolKind::Full, &mut sequence.full, number, copies);
            }
            if layout.window_layers > 0 {
                let index = number - sequence.window.first;
                self.own(PoolKind::Window, &mut sequence.window.pages, index, copies);
            }
        }
    }

    fn own(&mut self, pool: PoolKind, table: &mut Vec<PageId>, index: usize, copies: &mut Vec<PageCopy>) {
        let Some(page) = table.get(index).copied() else {
            assert_eq!(index, table.len());
            table.push(self.allocate(pool));
            return;
        };
        if self.holders[&(pool, page)] > 1 {
            let destination = self.allocate(pool);
            copies.push(PageCopy {
                pool,
                source: page,
                destination,
            });
            *self.holders.get_mut(&(pool, page)).unwrap() -= 1;
            table[index] = destination;
        }
    }

    fn allocate(&mut self, pool: PoolKind) -> PageId {
        let page = self.free.entry(pool).or_default().pop().unwrap_or_else(|| {
            self.made += 1;
            PageId(self.made)
        });
        self.holders.insert((pool, page), 1);
        page
    }

    fn let_go(&mut self, pool: PoolKind, page: PageId) {
        let holders = self.holders.get_mut(&(pool, page)).unwrap();
        *holders -= 1;
        if *holders == 0 {
            self.holders.remove(&(pool, page));
            self.backend.release_pages(pool, &[page]);
            self.free.entry(pool).or_default().push(page);
        }
    }

    /// Gives pages back that no later query sees, even after a roll-back.
    fn leave_behind(&mut self, sequence: &mut Sequence) {
        let layout = self.backend.layout().clone();
        let Some(window) = layout.window else { return };
        let oldest = (sequence.len + 1).saturating_sub(window + SLACK);
        while sequence.window.first < oldest / layout.page_tokens && sequence.window.pages.len() > 1 {
            let page = sequence.window.pages.remove(0);
            self.let_go(PoolKind::Window, page);
            sequence.window.first += 1;
        }
    }
}

/// Every page that a sequence holds.
pub(super) fn pages_of(sequence: &Sequence) -> Vec<(PoolKind, PageId)> {
    let full = sequence.full.iter().map(|page| (PoolKind::Full, *page));
    let window = sequence.window.pages.iter().map(|page| (PoolKind::Window, *page));
    full.chain(window).collect()
}

/// Every back end with that model.
pub(super) fn harnesses(checkpoint: &Checkpoint, element: KvElement) -> Vec<Harness> {
    let layout = PageLayout::of(&checkpoint.spec, 16, element);
    let reference = ReferenceBackend::load(checkpoint, layout.clone()).unwrap();
    let options = CpuOptions {
        threads: 2,
        isa: Isa::best(),
        ..CpuOptions::default()
    };
    let cpu = CpuBackend::load(checkpoint, layout, options).unwrap();
    vec![Harness::new(reference), Harness::new(cpu)]
}
