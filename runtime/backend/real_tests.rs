//! A real quantised model: the cpu back end, which makes activations 8-bit integers too, against f32 arithmetic on the same
//! dequantised weights.

use std::path::Path;

use cwm_kernels::KvElement;
use cwm_kernels::cpu::Isa;
use serde::Deserialize;

use crate::backend::test_support::{Harness, largest_difference};
use crate::backend::{CpuBackend, CpuOptions, ReferenceBackend};
use crate::cache::PageLayout;
use crate::formats::{Checkpoint, OpenOptions};
use crate::model::TokenId;
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

#[test]
fn smollm2_on_the_cpu_agrees_with_f32_arithmetic() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/llama.cpp/smollm2-135m.json");
    let text: Text = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let ids = &text.tokens[..64];
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
    let mut clear = 0;
    for (position, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let (token, margin) = best(expected);
        if margin > 1.0 {
            clear += 1;
            assert_eq!(best(found).0, token, "position {position}");
        }
    }
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
