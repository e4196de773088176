//! How requests end that do not run to their end: refused, cancelled, failed.

use std::sync::Arc;
use std::time::Duration;

use super::engine_tests::{Setup, check_all, collect, request};
use super::test_backend::{HistoryBackend, Record, cache, layout};
use super::*;
use crate::cache::CacheRefusal;

#[test]
fn requests_that_cannot_be_served_are_refused_with_the_reason() {
    let setup = Setup {
        pages: 20,
        ..Setup::default()
    };
    let bench = setup.start();
    let refusal = |change: fn(&mut Request)| {
        let mut request = request(1, 10, 10);
        change(&mut request);
        bench.engine.submit(request).map(drop).unwrap_err()
    };
    assert_eq!(refusal(|r| r.prompt.clear()), EngineError::EmptyPrompt);
    assert_eq!(refusal(|r| r.max_tokens = 0), EngineError::NoTokens);
    assert!(matches!(
        refusal(|r| r.samples = 0),
        EngineError::Samples { samples: 0, .. }
    ));
    assert!(matches!(
        refusal(|r| r.samples = usize::MAX),
        EngineError::Samples { .. }
    ));
    let (prompt, context) = (1000, 1000);
    assert_eq!(
        refusal(|r| r.prompt = vec![0; 1000]),
        EngineError::PromptTooLong { prompt, context }
    );
    assert!(matches!(
        refusal(|r| r.prompt[3] = 300),
        EngineError::UnknownToken { token: 300, .. }
    ));
    assert!(matches!(
        refusal(|r| r.sampling.top_p = 0.0),
        EngineError::Parameter(_)
    ));
    assert_eq!(
        refusal(|r| r.stop_strings = vec!["x".to_owned()]),
        EngineError::NoTokenizer
    );
    assert_eq!(
        refusal(|r| r.stop_strings = vec![String::new()]),
        EngineError::EmptyStopString
    );
    assert!(matches!(
        refusal(|r| r.max_tokens = 400),
        EngineError::Memory(CacheRefusal::RequestTooLarge { .. })
    ));
}

#[test]
fn a_failing_step_ends_its_requests_and_no_others() {
    let record = Record {
        fail: vec![2],
        ..Record::default()
    };
    let bench = Setup::default().start_with(record);
    let failed = collect(bench.engine.submit(request(1, 90, 20)).unwrap()).remove(0);
    let Some(FinishReason::Failed(message)) = failed.reason else {
        panic!("{failed:?}");
    };
    assert!(message.contains("cannot do that today"), "{message}");
    check_all(&bench, &[request(1, 90, 20)]);
}

#[test]
fn logits_that_are_no_numbers_end_a_sample_with_a_message() {
    let record = Record {
        spoil: Some(3),
        ..Record::default()
    };
    let bench = Setup::default().start_with(record);
    let failed = collect(bench.engine.submit(request(1, 10, 20)).unwrap()).remove(0);
    let Some(FinishReason::Failed(message)) = failed.reason else {
        panic!("{failed:?}");
    };
    assert!(message.contains("NaN as the logit of token 0"), "{message}");
    check_all(&bench, &[request(2, 10, 20)]);
}

#[test]
fn a_panic_in_the_back_end_hangs_nobody() {
    let record = Record {
        panic: Some(3),
        ..Record::default()
    };
    let bench = Setup::default().start_with(record);
    let generation = bench
        .engine
        .submit(Request {
            samples: 2,
            ..request(1, 20, 50)
        })
        .unwrap();
    let samples = collect(generation);
    assert_eq!(samples.len(), 2);
    for sample in samples {
        let Some(FinishReason::Failed(message)) = sample.reason else {
            panic!("{:?}", sample.reason);
        };
        assert!(message.contains("as the test wants it"), "{message}");
        assert!(!sample.tokens.is_empty());
        assert_eq!(sample.usage.completion_tokens, sample.tokens.len());
    }
    // The thread may need a moment to close its end.
    let refused = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(1));
        bench.engine.submit(request(1, 5, 5)).map(drop).err()
    });
    assert!(matches!(refused, Some(EngineError::Stopped(_))), "{refused:?}");
}

#[test]
fn a_cache_of_another_form_is_refused() {
    let backend = HistoryBackend::new(layout(None), Arc::default());
    let other = cache(&layout(Some(20)), 100);
    let engine = Engine::start(Box::new(backend), other, None, EngineOptions::default());
    let error = engine.submit(request(1, 5, 5)).map(drop).unwrap_err();
    assert!(error.to_string().contains("laid out for another"), "{error}");
}

#[test]
fn cancelling_frees_pages_during_prefill_and_decode() {
    let setup = Setup {
        pages: 40,
        ..Setup::default()
    };
    let bench = setup.start_held(9);
    let mut decoding = bench.engine.submit(request(1, 100, 400)).unwrap();
    assert!(matches!(decoding.next(), Some(Event::Token { .. })));
    // By the ninth step it has got to decoding, and this one is in the midst of its prompt.
    let prefilling = bench.engine.submit(request(2, 400, 3)).unwrap();
    while bench.record.lock().unwrap().plans.len() < 9 {
        std::thread::sleep(Duration::from_millis(1));
    }
    prefilling.cancel();
    decoding.cancel();
    bench.resume();
    for cancelled in [prefilling, decoding] {
        let ended = collect(cancelled).remove(0);
        assert_eq!(ended.reason, Some(FinishReason::Cancelled));
    }
    // All 40 pages are for the next: nothing is held any more.
    check_all(&bench, &[request(3, 620, 10)]);
    assert_eq!(bench.engine.statistics().preemptions, 0);
}

#[test]
fn dropping_a_generation_cancels_all_its_samples() {
    let bench = Setup::default().start_held(1);
    let mut dropped = bench
        .engine
        .submit(Request {
            samples: 3,
            ..request(1, 20, 900)
        })
        .unwrap();
    dropped.next();
    drop(dropped);
    bench.resume();
    check_all(&bench, &[request(2, 10, 50)]);
    let steps = bench.engine.statistics().steps;
    assert!(steps < 500, "{steps} steps: the dropped request went on");
}

#[test]
fn samples_that_wait_for_their_fork_are_cancelled_too() {
    let bench = Setup::default().start_held(2);
    let generation = bench
        .engine
        .submit(Request {
            samples: 3,
            ..request(1, 900, 5)
        })
        .unwrap();
    generation.cancel();
    bench.resume();
    let samples = collect(generation);
    let cancelled = samples
        .iter()
        .filter(|sample| sample.reason == Some(FinishReason::Cancelled));
    assert_eq!(cancelled.count(), 3);
}

#[test]
fn dropping_the_engine_ends_what_runs() {
    let bench = Setup::default().start_held(3);
    let mut generation = bench.engine.submit(request(1, 5, 990)).unwrap();
    generation.next();
    let record = Arc::clone(&bench.record);
    let resumer = std::thread::spawn(move || {
        // Long enough for the engine to be told to end before the step goes on.
        std::thread::sleep(Duration::from_millis(200));
        record.lock().unwrap().hold = None;
    });
    drop(bench.engine);
    resumer.join().unwrap();
    let sample = collect(generation).remove(0);
    assert_eq!(sample.reason, Some(FinishReason::Cancelled));
}

#[test]
fn waiting_for_an_event_can_time_out() {
    let bench = Setup::default().start_held(0);
    let mut generation = bench.engine.submit(request(1, 900, 1)).unwrap();
    assert_eq!(generation.recv_timeout(Duration::ZERO), Err(TimedOut));
    bench.resume();
    let mut last = None;
    while let Ok(Some(event)) = generation.recv_timeout(Duration::from_secs(60)) {
        last = Some(event);
    }
    assert!(matches!(last, Some(Event::Finished { .. })));
    assert_eq!(generation.recv_timeout(Duration::ZERO), Ok(None));
}
