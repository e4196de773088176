//! What an engine asked of one back end, asked of all others: the logits agree, whatever computes them.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use cwm_kernels::cpu::Isa;
use cwm_kernels::cuda::emulate::Order;

use super::engine_tests::{Sample, run_all};
use super::*;
use crate::backend::{
    Backend, CpuBackend, CpuOptions, CudaBackend, CudaOptions, LoggedBackend, ReferenceBackend, StepOutput,
    replay,
};
use crate::cache::{CacheSettings, KvCache, KvElement, PageLayout, PoolKind};
use crate::formats::{Checkpoint, OpenOptions};
use crate::model::TokenId;
use crate::test_device::emulated;

/// How far bf16 inputs of products take logits of up to 9.
const TOLERANCE: f32 = 0.15;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn open(name: &str) -> (Checkpoint, Vec<TokenId>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/models")
        .join(name);
    let ids = std::fs::read(folder.join("ids.json")).unwrap();
    let checkpoint = Checkpoint::open(&folder, &OpenOptions::default()).unwrap();
    (checkpoint, serde_json::from_slice(&ids).unwrap())
}

fn layout(checkpoint: &Checkpoint) -> PageLayout {
    PageLayout::of(&checkpoint.spec, 64, KvElement::BF16)
}

fn cuda(checkpoint: &Checkpoint) -> CudaBackend {
    let options = CudaOptions {
        cache_bytes: Some(1 << 24),
        ..CudaOptions::default()
    };
    CudaBackend::load(
        checkpoint,
        layout(checkpoint),
        emulated(Order::Forward, 1 << 28),
        options,
    )
    .unwrap()
}

/// Prompts in chunks, samples that fork, a prefix from the cache, sequences that lose their places and come back.
fn requests(ids: &[TokenId]) -> Vec<Request> {
    let request = |prompt: &[TokenId], max_tokens, samples| Request {
        prompt: prompt.to_vec(),
        max_tokens,
        samples,
        keep_prefix: true,
        sampling: SamplingParameters {
            seed: 5,
            ..SamplingParameters::default()
        },
        ..Request::default()
    };
    let long: Vec<TokenId> = ids.iter().chain(ids).copied().collect();
    vec![
        request(&long[..150], 12, 3),
        request(&ids[..9], 20, 1),
        request(&long[..170], 6, 2),
        request(&ids[30..93], 40, 1),
    ]
}

/// Runs the requests on a back end in an engine that is short of pages, and returns the log and the preemptions.
fn record(
    checkpoint: &Checkpoint,
    backend: Box<dyn Backend>,
    ids: &[TokenId],
) -> (Vec<u8>, Vec<Vec<Sample>>, u64) {
    let log = Log::default();
    let layout = backend.layout().clone();
    let page = layout.page_bytes(PoolKind::Full) + layout.page_bytes(PoolKind::Window);
    let settings = CacheSettings {
        budget_bytes: 7 * page,
        rollback_slack: 0,
    };
    let logged = LoggedBackend::new(
        backend,
        checkpoint.fingerprint(),
        &[],
        Path::new("steps.jsonl"),
        Box::new(log.clone()),
    );
    let options = EngineOptions {
        context: 256,
        prefill_chunk: 70,
        max_batch: 6,
    };
    let cache = KvCache::new(layout, settings);
    let engine = Engine::start(Box::new(logged.unwrap()), cache, None, options);
    let samples = run_all(&engine, &requests(ids));
    let preemptions = engine.statistics().preemptions;
    drop(engine);
    let bytes = log.0.lock().unwrap().clone();
    (bytes, samples, preemptions)
}

fn largest_difference(found: &[StepOutput], expected: &[StepOutput]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected).flat_map(|(found, expected)| {
        assert_eq!(found.logits.len(), expected.logits.len());
        found.logits.iter().zip(&expected.logits)
    });
    pairs
        .map(|(a, b)| {
            if (a - b).is_finite() {
                (a - b).abs()
            } else {
                f32::INFINITY
            }
        })
        .fold(0.0, f32::max)
}

#[test]
fn plans_of_an_engine_give_the_same_logits_on_the_reference_the_cpu_and_a_device() {
    for name in ["cwm17", "qwen2"] {
        let (checkpoint, ids) = open(name);
        let fingerprint = checkpoint.fingerprint();
        let (log, samples, preemptions) = record(&checkpoint, Box::new(cuda(&checkpoint)), &ids);
        assert!(preemptions > 0, "{name}: pages were not short");
        let lengths: Vec<usize> = samples
            .iter()
            .flatten()
            .map(|sample| sample.tokens.len())
            .collect();
        assert_eq!(lengths, [12, 12, 12, 20, 6, 6, 40], "{name}");
        let options = CpuOptions {
            threads: 2,
            isa: Isa::best(),
            ..CpuOptions::default()
        };
        let mut cpu = CpuBackend::load(&checkpoint, layout(&checkpoint), options).unwrap();
        let mut reference = ReferenceBackend::load(&checkpoint, layout(&checkpoint)).unwrap();
        let mut device = cuda(&checkpoint);
        let run = |backend: &mut dyn Backend| {
            replay(Path::new("steps.jsonl"), log.as_slice(), backend, &fingerprint).unwrap()
        };
        let expected = run(&mut reference);
        assert!(expected.len() > 30, "{name}: only {} steps", expected.len());
        for backend in [&mut cpu as &mut dyn Backend, &mut device] {
            let place = backend.name();
            let difference = largest_difference(&run(backend), &expected);
            println!("{name} on {place}: {difference:.4} over {} steps", expected.len());
            assert!(difference < TOLERANCE, "{name} on {place}: {difference}");
        }
    }
}
