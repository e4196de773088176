//! A real quantised model: the cpu back end, which makes activations 8-bit integers too, and an emulated GPU, which rounds them to bf16,
//! against f32 arithmetic on the same dequantised weights.

use std::path::Path;

use cwm_kernels::KvElement;
use cwm_kernels::cpu::Isa;
use cwm_kernels::cuda::emulate::Order;
use serde::Deserialize;

use crate::backend::test_support::{Harness, largest_difference};
use crate::backend::{CpuBackend, CpuOptions, CudaBackend, CudaOptions, ReferenceBackend};
use crate::cache::PageLayout;
use crate::formats::{Checkpoint, OpenOptions};
use crate::model::TokenId;
use crate::test_device::emulated;
use crate::test_models::smollm2;

/// The text that llama.cpp's figures are of, as tokens.
#[derive(Deserialize)]
struct Text {
    tokens: Vec<TokenId>,
}

/// The best token of a row, and by how much it is better than the next.
fn best(row: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    let mut second = f32::NEG_INFINITY;
    for (token, logit) in row.iter().copied().enumerate() {
        if logit > best.1 {
            second = best.1;
            best = (token, logit);
        } else if logit > second {
            second = logit;
        }
    }
    (best.0, best.1 - second)
}

fn tokens() -> Vec<TokenId> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/llama.cpp/smollm2-135m.json");
    let text: Text = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    text.tokens
}

/// Asserts that the best tokens are the same where one is clearly best, and returns how many positions that are.
fn same_clear_tokens(found: &[Vec<f32>], expected: &[Vec<f32>]) -> usize {
    let mut clear = 0;
    for (position, (found, expected)) in found.iter().zip(expected).enumerate() {
        let (token, margin) = best(expected);
        if margin > 1.0 {
            clear += 1;
            assert_eq!(best(found).0, token, "position {position}");
        }
    }
    clear
}

/// Heads of 64 elements, weights of `Q4_1` that become bf16, a prompt, and steps of one token as graphs.
#[test]
fn smollm2_on_an_emulated_gpu_agrees_with_f32_arithmetic() {
    let ids = &tokens()[..32];
    let checkpoint = Checkpoint::open(&smollm2(), &OpenOptions::default()).unwrap();
    let layout = PageLayout::of(&checkpoint.spec, 64, KvElement::BF16);
    let mut reference = Harness::new(ReferenceBackend::load(&checkpoint, layout.clone()).unwrap());
    let mut sequence = reference.begin();
    let expected = reference.run_one(&mut sequence, ids);
    let options = CudaOptions {
        cache_bytes: Some(1 << 24),
        ..CudaOptions::default()
    };
    let device = emulated(Order::Forward, 2 << 30);
    let mut gpu = Harness::new(CudaBackend::load(&checkpoint, layout, device, options).unwrap());
    let mut sequence = gpu.begin();
    let mut found = gpu.run_one(&mut sequence, &ids[..29]);
    for id in &ids[29..] {
        found.extend(gpu.run_one(&mut sequence, &[*id]));
    }
    let clear = same_clear_tokens(&found, &expected);
    let difference = largest_difference(&found, &expected);
    println!("largest difference {difference:.3}, {clear} of 32 positions have a clear best token");
    assert!(clear > 8, "{clear} positions are too few to tell anything");
    assert!(difference < 1.5, "{difference}");
}

#[test]
fn smollm2_on_the_cpu_agrees_with_f32_arithmetic() {
    let ids = &tokens()[..64];
    let checkpoint = Checkpoint::open(&smollm2(), &OpenOptions::default()).unwrap();
    let layout = PageLayout::of(&checkpoint.spec, 16, KvElement::F32);
    let mut reference = Harness::new(ReferenceBackend::load(&checkpoint, layout.clone()).unwrap());
    let mut sequence = reference.begin();
    let expected = reference.run_one(&mut sequence, ids);

    let options = CpuOptions {
        threads: 2,
        isa: Isa::best(),
        ..CpuOptions::default()
    };
    let mut cpu = Harness::new(CpuBackend::load(&checkpoint, layout, options).unwrap());
    let mut sequence = cpu.begin();
    let found = cpu.run_one(&mut sequence, ids);
    let difference = largest_difference(&found, &expected);
    let clear = same_clear_tokens(&found, &expected);
    println!("largest difference {difference:.3}, {clear} of 64 positions have a clear best token");
    assert!(clear > 16, "{clear} positions are too few to tell anything");
    assert!(difference < 1.5, "{difference}");

    // Quantised rows too are the same bits, whatever runs beside them.
    let mut sequence = cpu.begin();
    let mut chunked = Vec::new();
    for chunk in ids[..21].chunks(4) {
        chunked.extend(cpu.run_one(&mut sequence, chunk));
    }
    assert!(chunked == found[..21], "chunks change the logits");
}
