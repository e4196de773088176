//! Models on an emulated device, against `transformers`, the reference and the CPU.

use std::path::Path;

use cwm_kernels::KvElement;
use cwm_kernels::cuda::emulate::{EmulatedAccelerator, Order};

use super::{CudaBackend, CudaOptions};
use crate::backend::test_support::{Fixture, Harness, Sequence, harnesses, largest_difference};
use crate::backend::{Backend, BackendError, LoadError};
use crate::cache::{PageLayout, PoolKind};
use crate::formats::Checkpoint;
use crate::model::{TokenId, WeightFormat};

/// The fixtures that there are kernels for; the other's heads have 24 elements.
const FIXTURES: [&str; 3] = ["cwm16", "cwm17", "qwen2"];

/// A device of that much memory.
fn device(order: Order, bytes: u64) -> Box<EmulatedAccelerator> {
    let binary = std::env::current_exe().unwrap();
    let folder = binary.parent().unwrap().join("cuda-emulated");
    // SAFETY: the back end launches kernels on what it allocated, as large as it says; that is what these tests are about.
    #[allow(unsafe_code, reason = "emulated kernels take addresses")]
    Box::new(unsafe { EmulatedAccelerator::new(&folder, order, bytes) })
}

fn load_with(
    checkpoint: &Checkpoint,
    element: KvElement,
    order: Order,
    options: CudaOptions,
) -> Result<CudaBackend, LoadError> {
    let layout = PageLayout::of(&checkpoint.spec, 64, element);
    CudaBackend::load(checkpoint, layout, device(order, 1 << 30), options)
}

fn options(cache_bytes: u64) -> CudaOptions {
    CudaOptions {
        cache_bytes: Some(cache_bytes),
        ..CudaOptions::default()
    }
}

fn load(checkpoint: &Checkpoint, element: KvElement) -> Harness {
    Harness::new(load_with(checkpoint, element, Order::Forward, options(1 << 24)).unwrap())
}

/// All of `ids` in chunks of `size`.
fn in_chunks(harness: &mut Harness, ids: &[TokenId], size: usize) -> (Vec<Vec<f32>>, Sequence) {
    let mut sequence = harness.begin();
    let mut rows = Vec::new();
    for chunk in ids.chunks(size) {
        rows.extend(harness.run_one(&mut sequence, chunk));
    }
    (rows, sequence)
}

fn bits(rows: &[Vec<f32>]) -> Vec<Vec<u32>> {
    rows.iter()
        .map(|row| row.iter().map(|value| value.to_bits()).collect())
        .collect()
}

#[test]
fn logits_are_those_of_transformers_in_any_chunks() {
    for name in FIXTURES {
        let fixture = Fixture::open(name);
        let mut harness = load(&fixture.checkpoint, KvElement::BF16);
        for size in [100, 1, 16, 23] {
            let (rows, sequence) = in_chunks(&mut harness, &fixture.ids, size);
            let difference = largest_difference(&rows, &fixture.logits);
            println!("{name} in chunks of {size}: {difference:.4}");
            assert!(difference < 0.15, "{name} in chunks of {size}: {difference}");
            harness.end(sequence);
        }
    }
}
