//! The engine on a back end that notices every wrong page: what comes out is what computing each sample alone, from nothing and
//! token by token, gives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::test_backend::{HistoryBackend, PAGE_TOKENS, Record, VOCABULARY, cache, layout, naive};
use super::*;
use crate::model::TokenId;

pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) record: Arc<Mutex<Record>>,
}

#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) window: Option<usize>,
    /// The budget, in pages.
    pub(super) pages: usize,
    pub(super) options: EngineOptions,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            window: None,
            pages: 1000,
            options: EngineOptions {
                context: 1000,
                prefill_chunk: 32,
                max_batch: 8,
            },
        }
    }
}

impl Setup {
    pub(super) fn start(&self) -> Bench {
        self.start_with(Record::default())
    }

    /// The step of that number waits for `resume`.
    pub(super) fn start_held(&self, step: u64) -> Bench {
        self.start_with(Record {
            hold: Some(step),
            ..Record::default()
        })
    }

    pub(super) fn start_with(&self, record: Record) -> Bench {
        let layout = layout(self.window);
        let record = Arc::new(Mutex::new(record));
        let backend = HistoryBackend::new(layout.clone(), Arc::clone(&record));
        let engine = Engine::start(
            Box::new(backend),
            cache(&layout, self.pages),
            None,
            self.options.clone(),
        );
        Bench { engine, record }
    }
}

impl Bench {
    pub(super) fn resume(&self) {
        self.record.lock().unwrap().hold = None;
    }
}

/// A request that prefixes of others are found in or not, by `kind`.
pub(super) fn request(kind: u32, prompt: usize, max_tokens: usize) -> Request {
    Request {
        prompt: (0..prompt as u32)
            .map(|position| (position * 7 + kind) % VOCABULARY as u32)
            .collect(),
        samples: 1,
        sampling: SamplingParameters {
            seed: u64::from(kind),
            ..SamplingParameters::default()
        },
        max_tokens,
        ..Request::default()
    }
}

/// What came of one sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) tokens: Vec<TokenId>,
    pub(super) reason: Option<FinishReason>,
    pub(super) usage: Usage,
}

pub(super) fn collect(generation: Generation) -> Vec<Sample> {
    let mut samples: BTreeMap<usize, Sample> = BTreeMap::new();
    for event in generation {
        let (Event::Token { sample, .. } | Event::Finished { sample, .. }) = event;
        let entry = samples.entry(sample).or_insert_with(|| Sample {
            tokens: Vec::new(),
            reason: None,
            usage: Usage::default(),
        });
        assert_eq!(entry.reason, None, "an event after the end");
        match event {
            Event::Token { token, .. } => entry.tokens.push(token),
            Event::Finished { reason, usage, .. } => {
                entry.reason = Some(reason);
                entry.usage = usage;
            }
        }
    }
    samples.into_values().collect()
}

/// Runs all requests at once.
pub(super) fn run_all(engine: &Engine, requests: &[Request]) -> Vec<Vec<Sample>> {
    let mut generations = Vec::new();
    for request in requests {
        generations.push(engine.submit(request.clone()).unwrap());
    }
    generations.into_iter().map(collect).collect()
}

/// Runs all requests at once and compares each sample with its own computation.
pub(super) fn check_all(bench: &Bench, requests: &[Request]) -> Vec<Vec<Sample>> {
    let context = bench.engine.options().context;
    let results = run_all(&bench.engine, requests);
    for (request, samples) in requests.iter().zip(&results) {
        assert_eq!(samples.len(), request.samples);
        for (number, sample) in samples.iter().enumerate() {
            let expected = naive(request, number, context);
            assert_eq!(
                sample.tokens, expected,
                "sample {number} of {request:?} ended with {:?}",
                sample.reason
            );
            assert_eq!(sample.usage.completion_tokens, expected.len());
            assert_eq!(sample.usage.prompt_tokens, request.prompt.len());
        }
    }
    results
}

fn mixed_requests() -> Vec<Request> {
    let mut requests: Vec<Request> = [(1, 90, 40), (2, 3, 60), (1, 120, 10), (3, 1, 33), (4, 47, 50)]
        .into_iter()
        .map(|(kind, prompt, max_tokens)| request(kind, prompt, max_tokens))
        .collect();
    requests[0].samples = 3;
    requests[1].sampling.temperature = 0.0;
    requests[1].samples = 2;
    requests[2].keep_prefix = true;
    requests[3].sampling.top_p = 0.7;
    requests[3].sampling.repetition_penalty = 1.3;
    requests[4].sampling.frequency_penalty = 0.5;
    requests[4].stop_ids = (0..8).collect();
    requests
}

#[test]
fn many_requests_at_once_yield_what_each_yields_alone() {
    for window in [None, Some(20)] {
        for (prefill_chunk, max_batch) in [(1, 3), (7, 8), (33, 2), (500, 16)] {
            let setup = Setup {
                window,
                options: EngineOptions {
                    context: 1000,
                    prefill_chunk,
                    max_batch,
                },
                ..Setup::default()
            };
            let bench = setup.start();
            check_all(&bench, &mixed_requests());
            let record = bench.record.lock().unwrap();
            for plan in &record.plans {
                assert!(plan.sequences.len() <= max_batch);
                let prompts = plan.sequences.iter().map(|step| step.tokens.len());
                assert!(prompts.filter(|tokens| *tokens > 1).sum::<usize>() <= prefill_chunk);
            }
        }
    }
}

#[test]
fn a_budget_too_small_for_all_changes_no_token() {
    for (window, pages) in [(None, 12), (Some(20), 17)] {
        let setup = Setup {
            window,
            pages,
            ..Setup::default()
        };
        let bench = setup.start();
        check_all(&bench, &mixed_requests());
        let statistics = bench.engine.statistics();
        assert!(statistics.preemptions > 0, "{statistics:?}");
        assert!(bench.record.lock().unwrap().pages <= pages);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_mix_of_requests_yields_what_each_yields_alone(
        window in prop_oneof![Just(None), (1_usize..50).prop_map(Some)],
        pages in 16_usize..60,
        prefill_chunk in 1_usize..80,
        max_batch in 1_usize..6,
        shapes in prop::collection::vec((0_u32..3, 1_usize..100, 1_usize..60, 1_usize..4, any::<bool>()), 1..6),
    ) {
        let setup = Setup { window, pages, options: EngineOptions { context: 150, prefill_chunk, max_batch } };
        let bench = setup.start();
        let requests: Vec<Request> = shapes
            .into_iter()
            .map(|(kind, prompt, max_tokens, samples, keep_prefix)| Request {
                samples,
                keep_prefix,
                ..request(kind, prompt, max_tokens)
            })
            .filter(|request| bench.engine.submit(request.clone()).is_ok())
            .collect();
        check_all(&bench, &requests);
    }
}

#[test]
fn a_sample_does_not_depend_on_what_else_runs() {
    let request = Request {
        samples: 2,
        ..request(5, 50, 30)
    };
    let alone = collect(Setup::default().start().engine.submit(request.clone()).unwrap());
    let bench = Setup::default().start();
    let mut requests = mixed_requests();
    requests.push(request);
    let together = run_all(&bench.engine, &requests).pop().unwrap();
    assert_eq!(alone, together);
    assert_ne!(alone[0].tokens, alone[1].tokens);
}

#[test]
fn a_second_turn_finds_the_first_in_the_cache() {
    for window in [None, Some(20)] {
        let setup = Setup {
            window,
            ..Setup::default()
        };
        let bench = setup.start();
        let first = request(1, 70, 30);
        let answer = check_all(&bench, std::slice::from_ref(&first))
            .remove(0)
            .remove(0);
        let mut second = request(1, 0, 20);
        second.prompt = [first.prompt, answer.tokens, vec![1, 2, 3, 4]].concat();
        let samples = check_all(&bench, std::slice::from_ref(&second)).remove(0);
        // All but the last token of the answer, which was never computed, in whole pages or not.
        let cached = samples[0].usage.cached_tokens;
        assert!((96..=99).contains(&cached), "{cached} of 99");
        assert_eq!(bench.engine.statistics().cached_tokens, cached as u64);
    }
}

#[test]
fn requests_that_share_a_kept_prefix_compute_it_once() {
    let bench = Setup::default().start();
    let requests: Vec<Request> = (0..4)
        .map(|number| Request {
            keep_prefix: true,
            sampling: SamplingParameters {
                seed: number,
                ..SamplingParameters::default()
            },
            ..request(1, 200, 10)
        })
        .collect();
    check_all(&bench, &requests);
    let statistics = bench.engine.statistics();
    // The three others compute the end only.
    assert!(
        statistics.prefill_tokens <= 200 + 3 * PAGE_TOKENS as u64,
        "{statistics:?}"
    );
}

#[test]
fn prompts_that_differ_at_their_end_compute_the_beginning_once() {
    let bench = Setup::default().start_held(1);
    // Busy, so that the others are there before any of them begins.
    let mut running = bench.engine.submit(request(3, 5, 400)).unwrap();
    assert!(matches!(running.next(), Some(Event::Token { .. })));
    let generations: Vec<Generation> = (0..3)
        .map(|number| {
            let mut own = request(1, 190, 10);
            own.prompt.extend((0..10).map(|position| position * 3 + number));
            own.keep_prefix = true;
            bench.engine.submit(own).unwrap()
        })
        .collect();
    bench.resume();
    for generation in generations {
        collect(generation);
    }
    running.cancel();
    collect(running);
    let statistics = bench.engine.statistics();
    // The two others compute what is their own, and a page that is shared in part.
    assert!(
        statistics.prefill_tokens <= 5 + 200 + 2 * (10 + PAGE_TOKENS as u64),
        "{statistics:?}"
    );
}

#[test]
fn samples_of_one_prompt_share_its_pages_and_one_prefill() {
    let bench = Setup::default().start();
    let request = Request {
        samples: 4,
        ..request(2, 100, 20)
    };
    check_all(&bench, std::slice::from_ref(&request));
    let statistics = bench.engine.statistics();
    assert_eq!(statistics.prefill_tokens, 100);
    assert_eq!(statistics.decode_tokens, 4 * 19);
    let record = bench.record.lock().unwrap();
    let decode = record
        .plans
        .iter()
        .find(|plan| plan.sequences.len() == 4)
        .unwrap();
    assert_eq!(decode.shared_prefixes.len(), 1);
    assert_eq!(decode.shared_prefixes[0].members, [0, 1, 2, 3]);
    assert_eq!(decode.shared_prefixes[0].full_pages, 100 / PAGE_TOKENS);
    // Only the last prompt token and each decoded one want logits.
    let rows: usize = record.plans.iter().map(|plan| plan.logits.len()).sum();
    assert_eq!(rows, 1 + 4 * 19);
}

#[test]
fn a_long_prompt_does_not_stall_running_sequences() {
    let bench = Setup::default().start_held(1);
    let mut running = bench.engine.submit(request(1, 5, 400)).unwrap();
    assert!(matches!(running.next(), Some(Event::Token { .. })));
    let long = bench.engine.submit(request(2, 600, 1)).unwrap();
    bench.resume();
    collect(long);
    running.cancel();
    collect(running);
    let record = bench.record.lock().unwrap();
    let chunks: Vec<&_> = record
        .plans
        .iter()
        .filter(|plan| plan.sequences.iter().any(|step| step.sequence == 1))
        .collect();
    assert!(chunks.len() >= 600 / 32);
    for plan in chunks {
        let running = plan.sequences.iter().find(|step| step.sequence == 0);
        assert!(running.is_some_and(|step| step.tokens.len() == 1));
        assert!(plan.rows() <= 33);
    }
}

#[test]
fn short_prompts_get_their_share_of_the_chunk_beside_a_long_one() {
    let bench = Setup::default().start_held(0);
    let long = bench.engine.submit(request(1, 900, 1)).unwrap();
    let short = bench.engine.submit(request(2, 40, 1)).unwrap();
    bench.resume();
    collect(short);
    collect(long);
    let record = bench.record.lock().unwrap();
    let last_of = |sequence| {
        let ran =
            |plan: &&crate::backend::StepPlan| plan.sequences.iter().any(|step| step.sequence == sequence);
        record.plans.iter().rev().find(ran).unwrap().number
    };
    assert!(last_of(1) < last_of(0));
}

#[test]
fn long_prompts_share_the_chunk_evenly() {
    let bench = Setup::default().start_held(0);
    let requests = [request(1, 300, 1), request(2, 300, 1), request(3, 300, 1)];
    let mut generations = Vec::new();
    for request in &requests {
        generations.push(bench.engine.submit(request.clone()).unwrap());
    }
    bench.resume();
    generations
        .into_iter()
        .for_each(|generation| drop(collect(generation)));
    let record = bench.record.lock().unwrap();
    let mut shared = 0;
    for plan in record.plans.iter().filter(|plan| plan.sequences.len() == 3) {
        let tokens: Vec<usize> = plan.sequences.iter().map(|step| step.tokens.len()).collect();
        // None gets to its end, where it may need less.
        if plan.logits.is_empty() {
            assert_eq!(tokens.iter().sum::<usize>(), 32);
            assert!(
                tokens.iter().all(|tokens| (10..=11).contains(tokens)),
                "{tokens:?}"
            );
            shared += 1;
        }
    }
    assert!(shared > 20, "{shared}");
}

#[test]
fn the_oldest_never_loses_its_place() {
    let setup = Setup {
        pages: 14,
        ..Setup::default()
    };
    let bench = setup.start_held(0);
    let oldest = bench.engine.submit(request(1, 20, 150)).unwrap();
    let younger = bench.engine.submit(request(2, 20, 150)).unwrap();
    bench.resume();
    assert_eq!(collect(oldest)[0].tokens, naive(&request(1, 20, 150), 0, 1000));
    assert_eq!(collect(younger)[0].tokens, naive(&request(2, 20, 150), 0, 1000));
    assert!(bench.engine.statistics().preemptions > 0);
    let record = bench.record.lock().unwrap();
    let with_oldest: Vec<&_> = record
        .plans
        .iter()
        .take_while(|plan| plan.sequences[0].sequence == 0)
        .collect();
    // Nothing of it is computed twice, and it is in every step until it ends.
    let computed = with_oldest.iter().map(|plan| plan.sequences[0].tokens.len());
    assert_eq!(computed.sum::<usize>(), 20 + 149);
    assert!(
        record.plans[with_oldest.len()..]
            .iter()
            .all(|plan| plan.sequences[0].sequence != 0)
    );
}

#[test]
fn samples_end_for_the_right_reason() {
    let setup = Setup {
        options: EngineOptions {
            context: 50,
            ..Setup::default().options
        },
        ..Setup::default()
    };
    let bench = setup.start();
    let reason = |request: Request| check_all(&bench, &[request]).remove(0).remove(0).reason;
    assert_eq!(reason(request(1, 20, 5)), Some(FinishReason::Length));
    assert_eq!(reason(request(1, 20, 500)), Some(FinishReason::ContextFull));
    let stop = naive(&request(1, 20, 5), 0, 50)[3];
    let stopped = Request {
        stop_ids: vec![stop],
        ..request(1, 20, 5)
    };
    assert_eq!(reason(stopped), Some(FinishReason::StopId(stop)));
}

#[test]
fn logprobs_are_those_of_the_raw_logits() {
    let bench = Setup::default().start();
    let mut request = request(1, 10, 3);
    request.logprobs = Some(2);
    request.sampling.temperature = 0.3;
    let mut tokens = request.prompt.clone();
    for event in bench.engine.submit(request).unwrap() {
        if let Event::Token { token, logprobs, .. } = event {
            let logits = super::test_backend::logits_after(&tokens);
            assert_eq!(logprobs, Some(token_logprobs(&logits, token, 2)));
            tokens.push(token);
        }
    }
    assert_eq!(tokens.len(), 13);
}
