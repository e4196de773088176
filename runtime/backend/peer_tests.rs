//! Real models against what llama.cpp computed for the same text (`scripts/make-peer-fixtures`), under teacher forcing: the same best
//! token wherever llama.cpp's two best are more than 1 apart, and a perplexity within 0.5 %.

use std::path::Path;

use cwm_kernels::KvElement;
use serde::Deserialize;

use crate::backend::{CpuBackend, CpuOptions, Driver, Rows};
use crate::cache::PageLayout;
use crate::formats::{Checkpoint, OpenOptions};
use crate::model::TokenId;
use crate::test_models::{model, smollm2};

#[derive(Deserialize)]
struct Expected {
    tokens: Vec<TokenId>,
    best: Vec<TokenId>,
    margin: Vec<f32>,
    losses: Vec<f64>,
}

/// What one position shows.
struct Position {
    best: TokenId,
    /// Of the next token, as the negative logarithm of its probability.
    loss: f64,
}

fn expected(name: &str) -> Expected {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/llama.cpp/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn position(logits: &[f32], next: TokenId) -> Position {
    let (best, most) = logits
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |most, (token, logit)| {
            if *logit > most.1 { (token, *logit) } else { most }
        });
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    Position {
        best: best as TokenId,
        loss: sum.ln() - f64::from(logits[next as usize] - most),
    }
}

fn agrees_with_llama_cpp(path: &Path, name: &str, tokens: usize, element: KvElement) {
    let expected = expected(name);
    let checkpoint = Checkpoint::open(path, &OpenOptions::default()).unwrap();
    let layout = PageLayout::of(&checkpoint.spec, 64, element);
    let mut backend = CpuBackend::load(&checkpoint, layout, CpuOptions::default()).unwrap();
    let mut positions = Vec::new();
    let mut driver = Driver::new(&mut backend);
    driver
        .feed(&expected.tokens[..tokens], 256, Rows::All, |logits| {
            positions.push(position(logits, expected.tokens[positions.len() + 1]));
        })
        .unwrap();
    let clear: Vec<usize> = (0..tokens)
        .filter(|index| expected.margin[*index] > 1.0)
        .collect();
    let wrong: Vec<usize> = clear
        .iter()
        .copied()
        .filter(|index| positions[*index].best != expected.best[*index])
        .collect();
    let perplexity = |losses: &mut dyn Iterator<Item = f64>| (losses.sum::<f64>() / tokens as f64).exp();
    let ours = perplexity(&mut positions.iter().map(|position| position.loss));
    let theirs = perplexity(&mut expected.losses[..tokens].iter().copied());
    println!(
        "{name}, KV {element:?}: perplexity {ours:.4}, llama.cpp {theirs:.4} ({:+.3} %); {} clear positions, {} differ",
        (ours / theirs - 1.0) * 100.0,
        clear.len(),
        wrong.len()
    );
    assert!(
        clear.len() > tokens / 4,
        "a text with so few clear positions shows nothing"
    );
    assert!(wrong.is_empty(), "other best tokens at {wrong:?}");
    assert!(
        (ours / theirs - 1.0).abs() < 0.005,
        "perplexity {ours} against {theirs}"
    );
}

#[test]
fn smollm2_agrees_with_llama_cpp() {
    agrees_with_llama_cpp(&smollm2(), "smollm2-135m", 1024, KvElement::F16);
}

#[test]
#[ignore = "the whole text; part of the full tier"]
fn smollm2_agrees_with_llama_cpp_on_the_whole_text() {
    for element in [KvElement::F16, KvElement::BF16, KvElement::Q8] {
        agrees_with_llama_cpp(&smollm2(), "smollm2-135m", 3252, element);
    }
}

#[test]
#[ignore = "fetches 490 MB; part of the full tier"]
fn qwen_0_5b_agrees_with_llama_cpp() {
    let path = model("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen-0.5b");
    agrees_with_llama_cpp(&path, "qwen2.5-coder-0.5b", 2858, KvElement::F16);
}

#[test]
#[ignore = "fetches 1.1 GB; part of the full tier"]
fn qwen_1_5b_agrees_with_llama_cpp() {
    let path = model("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "qwen-1.5b");
    agrees_with_llama_cpp(&path, "qwen2.5-coder-1.5b", 2858, KvElement::F16);
}
