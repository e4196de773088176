//! Models on an emulated device, against `transformers` and the reference.

use cwm_kernels::cuda::emulate::Order;
use cwm_kernels::{ElementType, KvElement};

use super::backend::{cache_bytes, page_form};
use super::{CudaBackend, CudaOptions, DeviceError};
use crate::backend::logits_tests::{forks_and_roll_backs, mixed_lengths};
use crate::backend::test_support::{Fixture, Harness, Sequence, largest_difference, pages_of};
use crate::backend::{BackendError, LoadError, ReferenceBackend};
use crate::cache::PageLayout;
use crate::formats::tests::builder::{Builder, Sizes, number};
use crate::formats::{Checkpoint, OpenOptions, quantise};
use crate::model::{TokenId, WeightFormat};
use crate::test_device::emulated;

/// The fixtures that there are kernels for; the other's heads have 24 elements.
const FIXTURES: [&str; 3] = ["cwm16", "cwm17", "qwen2"];

/// How far bf16 inputs of products, keys and values take logits of up to 9; half as much again as what is seen.
const TOLERANCE: f32 = 0.15;

const MEMORY: u64 = 1 << 30;

fn load_with(
    checkpoint: &Checkpoint,
    element: KvElement,
    order: Order,
    options: CudaOptions,
) -> Result<CudaBackend, LoadError> {
    let layout = PageLayout::of(&checkpoint.spec, 64, element);
    CudaBackend::load(checkpoint, layout, emulated(order, MEMORY), options)
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

fn reference(checkpoint: &Checkpoint, element: KvElement) -> Harness {
    let layout = PageLayout::of(&checkpoint.spec, 64, element);
    Harness::new(ReferenceBackend::load(checkpoint, layout).unwrap())
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
        for size in [100, 16, 23] {
            let (rows, sequence) = in_chunks(&mut harness, &fixture.ids, size);
            let difference = largest_difference(&rows, &fixture.logits);
            println!("{name} in chunks of {size}: {difference:.4}");
            assert!(difference < TOLERANCE, "{name} in chunks of {size}: {difference}");
            harness.end(sequence);
        }
    }
}

#[test]
fn sequences_fork_roll_back_and_mix_as_on_other_back_ends() {
    for name in ["cwm17", "qwen2"] {
        let fixture = Fixture::open(name);
        let mut harness = load(&fixture.checkpoint, KvElement::BF16);
        forks_and_roll_backs(name, &fixture, &mut harness, TOLERANCE);
        mixed_lengths(name, &fixture, &mut harness, TOLERANCE);
    }
}

/// Alone and as a graph, in small chunks, beside decoding sequences and beside a long prompt.
#[test]
fn a_row_of_few_is_the_same_bits_whatever_runs_beside_it() {
    let fixture = Fixture::open("cwm16");
    let ids = &fixture.ids[..84];
    let mut harness = load(&fixture.checkpoint, KvElement::BF16);
    let (expected, _) = in_chunks(&mut harness, ids, 1);
    let expected = bits(&expected);
    for size in [5, 16] {
        let (found, sequence) = in_chunks(&mut harness, ids, size);
        assert!(bits(&found) == expected, "in chunks of {size}");
        harness.end(sequence);
    }
    let noise: Vec<TokenId> = fixture.ids.iter().rev().copied().collect();
    let (mut one, mut other, mut long) = (harness.begin(), harness.begin(), harness.begin());
    let mut found = Vec::new();
    for (turn, ids) in ids.chunks(4).enumerate() {
        let beside = &noise[turn * 3..turn * 3 + turn % 4];
        let prompt = if turn % 3 == 0 {
            &noise[turn..turn + 20]
        } else {
            &[]
        };
        let rows = harness.run(&mut [(&mut other, beside), (&mut long, prompt), (&mut one, ids)]);
        found.extend(rows.into_iter().skip(beside.len() + prompt.len()));
    }
    assert!(bits(&found) == expected, "in a batch");
    // Five sequences at different places, filled up to eight.
    let mut sequences: Vec<Sequence> = Vec::new();
    for length in [3, 16, 40, 64, 70] {
        sequences.push(in_chunks(&mut harness, &ids[..length], 16).1);
    }
    let next: Vec<usize> = sequences.iter().map(|sequence| sequence.len).collect();
    let mut batch: Vec<(&mut Sequence, &[TokenId])> = sequences
        .iter_mut()
        .map(|sequence| {
            let at = sequence.len;
            (sequence, &ids[at..=at])
        })
        .collect();
    let rows = bits(&harness.run(&mut batch));
    for (row, at) in rows.iter().zip(next) {
        assert!(*row == expected[at], "position {at} in a batch of five");
    }
}

#[test]
fn the_order_in_which_threads_run_changes_nothing() {
    let fixture = Fixture::open("cwm17");
    let run = |order| {
        let backend = load_with(&fixture.checkpoint, KvElement::E4M3, order, options(1 << 24));
        let mut harness = Harness::new(backend.unwrap());
        let (mut rows, mut sequence) = in_chunks(&mut harness, &fixture.ids[..80], 80);
        for id in &fixture.ids[80..84] {
            rows.extend(harness.run_one(&mut sequence, &[*id]));
        }
        bits(&rows)
    };
    let expected = run(Order::Forward);
    for order in [Order::Backward, Order::Shuffled(7), Order::Shuffled(12)] {
        assert!(run(order) == expected, "{order:?}");
    }
}

#[test]
fn weights_are_rounded_while_they_are_loaded_as_in_a_quantised_file() {
    // Rows of 176 elements have no 4-bit kernel: stored ones become bf16, others fp8.
    for (name, formats) in [
        ("cwm16", &[WeightFormat::Fp8, WeightFormat::Int4][..]),
        ("qwen2", &[WeightFormat::Fp8]),
    ] {
        let fixture = Fixture::open(name);
        for format in formats.iter().copied() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("packed.safetensors");
            quantise(&fixture.checkpoint, format, &path, |_, _| ()).unwrap();
            let packed = Checkpoint::open(&path, &OpenOptions::default()).unwrap();
            let (expected, _) = in_chunks(&mut reference(&packed, KvElement::BF16), &fixture.ids, 100);
            let rounding = CudaOptions {
                weights: Some(format),
                ..options(1 << 24)
            };
            let loaded = load_with(&fixture.checkpoint, KvElement::BF16, Order::Forward, rounding);
            let (rounded, _) = in_chunks(&mut Harness::new(loaded.unwrap()), &fixture.ids, 100);
            let (stored, _) = in_chunks(&mut load(&packed, KvElement::BF16), &fixture.ids, 100);
            assert!(bits(&rounded) == bits(&stored), "{name}, {format:?}");
            let difference = largest_difference(&stored, &expected);
            println!("{name}, {format:?}: {difference:.4}");
            assert!(difference < TOLERANCE, "{name}, {format:?}: {difference}");
        }
    }
}

/// A GGUF file of made-up bytes, with scales that are sensible.
fn gguf(element: ElementType) -> (tempfile::TempDir, Checkpoint) {
    let sizes = Sizes {
        layers: 2,
        hidden: 256,
        intermediate: 512,
        heads: 16,
        kv_heads: 2,
        vocabulary: 96,
    };
    let mut builder = Builder::model("qwen2", sizes, element);
    // As real files do, some matrices are of another type.
    for name in ["blk.0.attn_v.weight", "blk.1.ffn_down.weight"] {
        let shape = builder.named(name).shape.clone();
        builder.parts.retain(|part| part.name != name);
        builder.part(name, &shape, ElementType::Q6_K);
    }
    let blocks = ElementType::ALL
        .into_iter()
        .filter(|element| !element.has_scales_apart());
    for element in blocks {
        let scales: &[usize] = match element {
            ElementType::Q8_0 | ElementType::Q5_0 | ElementType::Q4_0 => &[0],
            ElementType::Q4_1 | ElementType::Q5_1 | ElementType::Q4_K | ElementType::Q5_K => &[0, 2],
            ElementType::Q6_K => &[208],
            _ => continue,
        };
        let kind = number(element);
        for part in builder.parts.iter_mut().filter(|part| part.kind == kind) {
            for (index, block) in part.bytes.chunks_exact_mut(element.block_bytes()).enumerate() {
                for at in scales {
                    let scale = half::f16::from_f32(1e-4 * (1 + index % 5) as f32);
                    block[*at..at + 2].copy_from_slice(&scale.to_le_bytes());
                }
            }
        }
    }
    let norms = builder.parts.iter_mut().filter(|part| part.shape.len() == 1);
    for part in norms {
        let ones = (0..part.shape[0]).map(|index| 0.5 + (index % 3) as f32 / 4.0);
        part.bytes = ones.flat_map(f32::to_le_bytes).collect();
    }
    let (folder, path) = builder.write();
    let checkpoint = Checkpoint::open(&path, &OpenOptions::default()).unwrap();
    (folder, checkpoint)
}

#[test]
fn every_type_of_a_gguf_file_runs_as_it_is_or_as_bf16() {
    let ids: Vec<TokenId> = (0..40).map(|index| (index * 37 + 5) % 96).collect();
    for element in [
        ElementType::F16,
        ElementType::Q8_0,
        ElementType::Q4_K,
        ElementType::Q6_K,
        ElementType::Q5_K,
        ElementType::Q4_1,
        ElementType::Q5_0,
    ] {
        let (_folder, checkpoint) = gguf(element);
        let (expected, _) = in_chunks(&mut reference(&checkpoint, KvElement::BF16), &ids, 40);
        let mut harness = load(&checkpoint, KvElement::BF16);
        for size in [40, 13] {
            let (found, sequence) = in_chunks(&mut harness, &ids, size);
            let difference = largest_difference(&found, &expected);
            let largest = expected
                .iter()
                .flatten()
                .fold(0.0_f32, |most, logit| most.max(logit.abs()));
            println!("{element:?} in chunks of {size}: {difference:.4} of {largest:.2}");
            assert!(
                largest > 0.1 && difference < 0.02 * largest,
                "{element:?}: {difference} of {largest}"
            );
            harness.end(sequence);
        }
    }
}

#[test]
fn pages_pass_to_and_from_the_reference_byte_by_byte() {
    let fixture = Fixture::open("cwm16");
    for element in [KvElement::BF16, KvElement::E4M3] {
        let mut reference = reference(&fixture.checkpoint, element);
        let mut harness = load(&fixture.checkpoint, element);
        let mut sequence = reference.begin();
        reference.run_one(&mut sequence, &fixture.ids[..90]);
        for (pool, page) in pages_of(&sequence) {
            let bytes = reference.backend.export_page(pool, page).unwrap();
            assert!(bytes.iter().any(|byte| *byte != 0));
            harness.backend.import_page(pool, page, &bytes).unwrap();
            assert_eq!(harness.backend.export_page(pool, page).unwrap(), bytes);
            let short = harness.backend.import_page(pool, page, &bytes[1..]);
            assert!(matches!(short, Err(BackendError::PageSize { .. })), "{short:?}");
        }
        // The device goes on from the reference's pages.
        let expected = reference.run_one(&mut sequence, &fixture.ids[90..]);
        let output = harness.backend.step(reference.plans.last().unwrap()).unwrap();
        let found: Vec<Vec<f32>> = output
            .logits
            .chunks(output.vocabulary)
            .map(<[f32]>::to_vec)
            .collect();
        let difference = largest_difference(&found, &expected);
        assert!(
            difference
                < if element == KvElement::BF16 {
                    TOLERANCE
                } else {
                    3.0
                },
            "{difference}"
        );
    }
}

#[test]
fn full_memory_for_pages_is_an_error_that_says_so_and_leaves_the_rest_alone() {
    let fixture = Fixture::open("cwm16");
    let layout = PageLayout::of(&fixture.checkpoint.spec, 64, KvElement::BF16);
    let page = layout.page_bytes(crate::cache::PoolKind::Full) as u64;
    let window = layout.page_bytes(crate::cache::PoolKind::Window) as u64;
    let backend = load_with(
        &fixture.checkpoint,
        KvElement::BF16,
        Order::Forward,
        options(page + window),
    );
    let mut harness = Harness::new(backend.unwrap());
    assert!(harness.backend.page_capacity().unwrap() >= (page + window) as usize);
    let (found, sequence) = in_chunks(&mut harness, &fixture.ids[..60], 60);
    let mut plan = harness.plans[0].clone();
    plan.sequences[0].full_pages = (50..60).map(crate::cache::PageId).collect();
    plan.sequences[0].window_pages.pages = (50..60).map(crate::cache::PageId).collect();
    plan.sequences[0].first_position = 0;
    let tokens: Vec<_> = plan.sequences[0]
        .tokens
        .iter()
        .cycle()
        .take(600)
        .copied()
        .collect();
    plan.sequences[0].tokens = tokens;
    let error = harness.backend.step(&plan).unwrap_err();
    assert!(matches!(error, BackendError::OutOfMemory { .. }), "{error}");
    harness
        .backend
        .release_pages(crate::cache::PoolKind::Full, &plan.sequences[0].full_pages);
    harness.backend.release_pages(
        crate::cache::PoolKind::Window,
        &plan.sequences[0].window_pages.pages,
    );
    let mut again = sequence;
    harness.roll_back(&mut again, 50);
    let rows = harness.run_one(&mut again, &fixture.ids[50..60]);
    assert!(largest_difference(&rows, &found[50..]) < TOLERANCE);
}

/// The window pool's pages are counted from the memory's end, and a GPU reads 16 bytes at a time from addresses that are multiples of it.
#[test]
fn pages_are_aligned_however_much_memory_is_asked_for() {
    let spec = Fixture::open("cwm16").checkpoint.spec;
    let layout = PageLayout::of(&spec, 64, KvElement::E4M3);
    let forms = page_form(std::path::Path::new("cwm16"), &spec, &layout).unwrap();
    for (asked, free) in [
        (Some(1), MEMORY),
        (Some(1_000_003), MEMORY),
        (None, (3 << 30) + 77),
        (None, (5 << 30) + 1_234_567),
    ] {
        let bytes = cache_bytes(emulated(Order::Forward, free).as_mut(), &forms, asked).unwrap();
        assert_eq!(bytes % 256, 0, "{asked:?} of {free}");
        assert!(bytes >= asked.unwrap_or(0));
    }
}

#[test]
fn what_no_kernel_is_made_for_is_refused_with_its_reason() {
    let says = |checkpoint: &Checkpoint, tokens, element, memory, part: &str| {
        let layout = PageLayout::of(&checkpoint.spec, tokens, element);
        let refused = CudaBackend::load(
            checkpoint,
            layout,
            emulated(Order::Forward, memory),
            options(1 << 20),
        );
        let message = refused.err().unwrap().to_string();
        assert!(message.contains(part), "{message}");
    };
    let (cwm, llama) = (
        Fixture::open("cwm16").checkpoint,
        Fixture::open("llama").checkpoint,
    );
    says(&llama, 64, KvElement::BF16, MEMORY, "heads of 16, 64 and 128");
    says(&cwm, 16, KvElement::BF16, MEMORY, "64 positions");
    says(&cwm, 64, KvElement::F16, MEMORY, "bf16 or e4m3");
    says(&cwm, 64, KvElement::BF16, 1 << 18, "bytes of memory left");
}

/// A device error ends a step, and comes out as it is.
#[test]
fn a_failing_device_is_told_of() {
    let error = BackendError::from(DeviceError::Failed {
        function: "cuStreamSynchronize",
        code: 700,
        name: Some("CUDA_ERROR_ILLEGAL_ADDRESS".to_owned()),
        launched: vec!["rope_bf16_128", "decode_bf16_128"],
    });
    assert_eq!(
        error.to_string(),
        "the device failed: cuStreamSynchronize gives CUDA_ERROR_ILLEGAL_ADDRESS (700) after rope_bf16_128, decode_bf16_128"
    );
}
