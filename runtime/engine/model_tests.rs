//! The engine on real arithmetic: tiny checkpoints whose logits `transformers` has computed.

use std::path::{Path, PathBuf};

use super::engine_tests::run_all;
use super::sampling::Sampler;
use super::*;
use crate::backend::{Backend, LogitsRow, ReferenceBackend, SequenceStep, StepPlan, TokenSource};
use crate::cache::{CacheSettings, KvCache, KvElement, PageId, PageLayout, PoolKind, WindowTable};
use crate::formats::{Checkpoint, OpenOptions};
use crate::model::TokenId;

const PAGE_TOKENS: usize = 16;

struct Tiny {
    folder: PathBuf,
    checkpoint: Checkpoint,
    /// A prompt, and the logits that `transformers` computes at each of its positions.
    ids: Vec<TokenId>,
}

impl Tiny {
    fn open(name: &str) -> Tiny {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/models")
            .join(name);
        let ids = std::fs::read(folder.join("ids.json")).unwrap();
        Tiny {
            checkpoint: Checkpoint::open(&folder, &OpenOptions::default()).unwrap(),
            ids: serde_json::from_slice(&ids).unwrap(),
            folder,
        }
    }

    fn expected_logits(&self, position: usize) -> Vec<f32> {
        let bytes = std::fs::read(self.folder.join("logits.bin")).unwrap();
        let vocabulary = self.checkpoint.spec.vocabulary;
        let row = bytes.chunks_exact(4 * vocabulary).nth(position).unwrap();
        let values = row.as_chunks::<4>().0.iter();
        values.map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    fn backend(&self) -> ReferenceBackend {
        let layout = PageLayout::of(&self.checkpoint.spec, PAGE_TOKENS, KvElement::F32);
        ReferenceBackend::load(&self.checkpoint, layout).unwrap()
    }

    /// An engine with a cache of so many full pages and as many window pages.
    fn engine(&self, pages: usize, prefill_chunk: usize) -> Engine {
        let backend = self.backend();
        let layout = backend.layout().clone();
        let page = layout.page_bytes(PoolKind::Full) + layout.page_bytes(PoolKind::Window);
        let settings = CacheSettings {
            budget_bytes: pages * page,
            rollback_slack: 0,
        };
        let options = EngineOptions {
            context: 128,
            prefill_chunk,
            max_batch: 4,
        };
        Engine::start(Box::new(backend), KvCache::new(layout, settings), None, options)
    }

    /// The tokens of a sample, for each of which everything before it is computed from nothing.
    fn naive(&self, request: &Request, sample: usize) -> Vec<TokenId> {
        let mut backend = self.backend();
        let mut sampler = Sampler::default();
        let mut tokens = request.prompt.clone();
        let mut history = TokenHistory::new(&request.sampling, &tokens);
        for _ in 0..request.max_tokens {
            let logits = all_at_once(&mut backend, &tokens);
            let token = sampler
                .sample(&logits, &request.sampling, &history, sample, tokens.len())
                .unwrap();
            tokens.push(token);
            history.push(token);
        }
        tokens.split_off(request.prompt.len())
    }
}

/// The logits after these tokens.
fn all_at_once(backend: &mut ReferenceBackend, tokens: &[TokenId]) -> Vec<f32> {
    let pages: Vec<PageId> = (0..tokens.len().div_ceil(PAGE_TOKENS) as u32)
        .map(PageId)
        .collect();
    let plan = StepPlan {
        sequences: vec![SequenceStep {
            sequence: 0,
            first_position: 0,
            tokens: tokens.iter().map(|token| TokenSource::Known(*token)).collect(),
            full_pages: pages.clone(),
            window_pages: WindowTable { first: 0, pages },
        }],
        logits: vec![LogitsRow {
            sequence: 0,
            token: tokens.len() - 1,
        }],
        ..StepPlan::default()
    };
    backend.step(&plan).unwrap().logits
}

fn requests(ids: &[TokenId]) -> Vec<Request> {
    let request = |prompt: &[TokenId], max_tokens, samples, temperature| Request {
        prompt: prompt.to_vec(),
        max_tokens,
        samples,
        sampling: SamplingParameters {
            temperature,
            seed: 5,
            top_p: 0.95,
            ..SamplingParameters::default()
        },
        ..Request::default()
    };
    vec![
        request(&ids[..27], 12, 2, 1.0),
        request(&ids[..9], 14, 1, 0.0),
        request(&ids[30..63], 8, 1, 0.0),
        request(&ids[..31], 6, 3, 0.8),
    ]
}

#[test]
fn batches_forks_and_odd_chunks_yield_the_tokens_of_computing_everything_anew() {
    for name in ["cwm17", "qwen2"] {
        let tiny = Tiny::open(name);
        let requests = requests(&tiny.ids);
        let expected: Vec<Vec<Vec<TokenId>>> = requests
            .iter()
            .map(|request| {
                (0..request.samples)
                    .map(|sample| tiny.naive(request, sample))
                    .collect()
            })
            .collect();
        for (pages, chunk, preempts) in [(100, 7, false), (5, 50, true)] {
            let engine = tiny.engine(pages, chunk);
            for (samples, expected) in run_all(&engine, &requests).iter().zip(&expected) {
                let found: Vec<&Vec<TokenId>> = samples.iter().map(|sample| &sample.tokens).collect();
                assert_eq!(
                    found,
                    expected.iter().collect::<Vec<_>>(),
                    "{name}, {pages} pages, chunks of {chunk}"
                );
            }
            let statistics = engine.statistics();
            assert_eq!(statistics.preemptions > 0, preempts, "{name}: {statistics:?}");
        }
    }
}

/// Windows of 16 are crossed several times, by prompts that partly come from the cache.
#[test]
fn probabilities_are_those_of_transformers_also_behind_cached_prefixes() {
    for name in ["cwm16", "llama"] {
        let tiny = Tiny::open(name);
        let engine = tiny.engine(100, 23);
        let mut cached = 0;
        for length in [1, 17, 40, 64, 65, 100] {
            let request = Request {
                prompt: tiny.ids[..length].to_vec(),
                samples: 1,
                max_tokens: 1,
                logprobs: Some(5),
                keep_prefix: true,
                ..Request::default()
            };
            let mut events = engine.submit(request).unwrap();
            let Some(Event::Token {
                token,
                logprobs: Some(found),
                ..
            }) = events.next()
            else {
                panic!("{name}: no token after {length}");
            };
            let expected = token_logprobs(&tiny.expected_logits(length - 1), token, 5);
            let pairs = found
                .top
                .iter()
                .zip(&expected.top)
                .chain([(&found.sampled, &expected.sampled)]);
            for (found, expected) in pairs {
                assert_eq!(found.token, expected.token);
                assert!(
                    (found.logprob - expected.logprob).abs() < 2e-4,
                    "{name} after {length}: {found:?} {expected:?}"
                );
            }
            let Some(Event::Finished { usage, .. }) = events.next() else {
                panic!("{name}: no end after {length}");
            };
            cached += usage.cached_tokens;
        }
        assert!(cached > 150, "{name}: only {cached} tokens came from the cache");
    }
}
