//! A row's logits are the same bits whatever runs beside it, however its tokens come in, and whatever computes them.

use cwm_kernels::KvElement;
use cwm_kernels::cpu::Isa;

use crate::backend::test_support::{Fixture, Harness, Sequence};
use crate::backend::{
    Backend, BackendError, CpuBackend, CpuOptions, LoadError, LogitsRow, SequenceStep, StepPlan, TokenSource,
};
use crate::cache::{PageCopy, PageId, PageLayout, PoolKind, WindowTable};
use crate::formats::Checkpoint;
use crate::model::{LayerTensor, TensorRole, TokenId};

fn load(checkpoint: &Checkpoint, element: KvElement, threads: usize, isa: Isa) -> Harness {
    let layout = PageLayout::of(&checkpoint.spec, 16, element);
    let options = CpuOptions {
        threads,
        isa,
        ..CpuOptions::default()
    };
    Harness::new(CpuBackend::load(checkpoint, layout, options).unwrap())
}

fn bits(rows: &[Vec<f32>]) -> Vec<Vec<u32>> {
    rows.iter()
        .map(|row| row.iter().map(|value| value.to_bits()).collect())
        .collect()
}

/// All of `ids` in chunks of `size`.
fn in_chunks(harness: &mut Harness, ids: &[TokenId], size: usize) -> (Vec<Vec<u32>>, Sequence) {
    let mut sequence = harness.begin();
    let mut rows = Vec::new();
    for chunk in ids.chunks(size) {
        rows.extend(harness.run_one(&mut sequence, chunk));
    }
    (bits(&rows), sequence)
}

#[test]
fn a_row_is_the_same_bits_in_any_chunk_and_any_batch() {
    for (name, element) in [
        ("cwm16", KvElement::F16),
        ("cwm17", KvElement::Q8),
        ("qwen2", KvElement::BF16),
        ("llama", KvElement::F32),
    ] {
        let fixture = Fixture::open(name);
        let mut harness = load(&fixture.checkpoint, element, 2, Isa::best());
        let (expected, _) = in_chunks(&mut harness, &fixture.ids, 1);
        for size in [2, 5, 16, 31, 100] {
            let (found, sequence) = in_chunks(&mut harness, &fixture.ids, size);
            assert!(found == expected, "{name} in chunks of {size}");
            harness.end(sequence);
        }
        let noise: Vec<TokenId> = fixture.ids.iter().rev().copied().collect();
        let (mut one, mut other) = (harness.begin(), harness.begin());
        let mut found = Vec::new();
        for (turn, ids) in fixture.ids.chunks(4).enumerate() {
            let beside = &noise[turn * 3..turn * 3 + turn % 4];
            let rows = harness.run(&mut [(&mut other, beside), (&mut one, ids)]);
            found.extend(rows.into_iter().skip(beside.len()));
        }
        assert!(bits(&found) == expected, "{name} in a batch");
    }
}

#[test]
fn a_row_is_the_same_bits_on_any_instructions_and_threads() {
    for name in ["cwm16", "qwen2"] {
        let fixture = Fixture::open(name);
        for element in [
            KvElement::F32,
            KvElement::F16,
            KvElement::BF16,
            KvElement::Q8,
            KvElement::E4M3,
        ] {
            let mut plain = load(&fixture.checkpoint, element, 1, Isa::Scalar);
            let (expected, _) = in_chunks(&mut plain, &fixture.ids, 29);
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                for threads in [1, 3] {
                    let mut harness = load(&fixture.checkpoint, element, threads, isa);
                    let (found, _) = in_chunks(&mut harness, &fixture.ids, 29);
                    assert!(
                        found == expected,
                        "{name}, {element:?}, {}, {threads}",
                        isa.name()
                    );
                }
            }
        }
    }
}

#[test]
fn only_the_rows_that_are_wanted_come_back_in_the_order_asked_for() {
    let fixture = Fixture::open("llama");
    let mut harness = load(&fixture.checkpoint, KvElement::F32, 2, Isa::best());
    let mut sequence = harness.begin();
    let all = harness.run_one(&mut sequence, &fixture.ids[..16]);
    let mut plan = harness.plans[0].clone();
    plan.logits = [15, 3, 3].map(|token| LogitsRow { sequence: 0, token }).to_vec();
    let output = harness.backend.step(&plan).unwrap();
    let expected = [&all[15], &all[3], &all[3]].map(Vec::as_slice).concat();
    assert_eq!(output.logits, expected);
    plan.logits.clear();
    assert!(harness.backend.step(&plan).unwrap().logits.is_empty());
}

/// A plan for some tokens of a sequence of the llama fixture, which has no window.
fn plan(first_position: usize, tokens: &[TokenSource], pages: &[u32]) -> StepPlan {
    StepPlan {
        sequences: vec![SequenceStep {
            sequence: 7,
            first_position,
            tokens: tokens.to_vec(),
            full_pages: pages.iter().copied().map(PageId).collect(),
            window_pages: WindowTable::default(),
        }],
        ..StepPlan::default()
    }
}

#[test]
fn plans_that_cannot_be_run_are_refused() {
    let fixture = Fixture::open("llama");
    for mut harness in crate::backend::test_support::harnesses(&fixture.checkpoint, KvElement::F16) {
        let backend = &mut harness.backend;
        let known = [TokenSource::Known(1)];
        let refused = backend
            .step(&plan(0, &[TokenSource::Known(320)], &[0]))
            .unwrap_err();
        assert!(refused.to_string().contains("token 320"), "{refused}");
        let refused = backend.step(&plan(16, &known, &[0])).unwrap_err();
        assert!(refused.to_string().contains("position 16"), "{refused}");
        let refused = backend.step(&plan(512, &known, &[0; 40])).unwrap_err();
        assert!(refused.to_string().contains("context"), "{refused}");
        let refused = backend.step(&plan(usize::MAX, &known, &[0])).unwrap_err();
        assert!(refused.to_string().contains("context"), "{refused}");
        let refused = backend.step(&plan(3, &known, &[5])).unwrap_err();
        assert!(
            matches!(refused, BackendError::MissingPage { page: PageId(5), .. }),
            "{refused}"
        );
        let refused = backend
            .step(&plan(0, &[TokenSource::SampledInRow(2)], &[0]))
            .unwrap_err();
        assert!(matches!(refused, BackendError::Unsupported { .. }), "{refused}");
        let mut copies = plan(0, &known, &[u32::MAX]);
        backend.step(&copies).unwrap();
        copies.copies.push(PageCopy {
            pool: PoolKind::Full,
            source: PageId(9),
            destination: PageId(10),
        });
        let refused = backend.step(&copies).unwrap_err();
        assert!(
            matches!(refused, BackendError::MissingPage { page: PageId(9), .. }),
            "{refused}"
        );
    }
}

#[test]
fn released_pages_are_gone_and_their_memory_too() {
    let fixture = Fixture::open("llama");
    let mut harness = load(&fixture.checkpoint, KvElement::F16, 1, Isa::best());
    let mut sequence = harness.begin();
    harness.run_one(&mut sequence, &fixture.ids[..20]);
    let pages = crate::backend::test_support::pages_of(&sequence);
    assert_eq!(pages.len(), 2);
    harness.end(sequence);
    for (pool, page) in pages {
        let gone = harness.backend.export_page(pool, page).unwrap_err();
        assert!(matches!(gone, BackendError::MissingPage { .. }), "{gone}");
    }
}

#[test]
fn a_checkpoint_that_does_not_fit_its_description_is_refused_by_tensor() {
    let message = |alter: &dyn Fn(&mut Checkpoint)| {
        let mut checkpoint = Fixture::open("qwen2").checkpoint;
        let layout = PageLayout::of(&checkpoint.spec, 16, KvElement::F16);
        alter(&mut checkpoint);
        let refused = CpuBackend::load(&checkpoint, layout, CpuOptions::default());
        let Err(error) = refused else {
            panic!("the checkpoint was taken");
        };
        error.to_string()
    };
    let role = TensorRole::Layer(2, LayerTensor::KeyBias);
    let missing = message(&|checkpoint| {
        checkpoint.tensors.remove(&role);
    });
    assert!(
        missing.contains("KeyBias") && missing.contains("qwen2"),
        "{missing}"
    );
    let shape = message(&|checkpoint| {
        checkpoint.spec.intermediate += 32;
    });
    assert!(
        shape.contains("gate_proj") && shape.contains("safetensors"),
        "{shape}"
    );
    let layout = message(&|checkpoint| {
        checkpoint.spec.layers.pop();
    });
    assert!(layout.contains("do not suit"), "{layout}");
}

#[test]
fn instructions_that_the_processor_lacks_are_refused() {
    let fixture = Fixture::open("llama");
    let layout = PageLayout::of(&fixture.checkpoint.spec, 16, KvElement::F16);
    for isa in Isa::ALL {
        let loaded = CpuBackend::load(
            &fixture.checkpoint,
            layout.clone(),
            CpuOptions {
                threads: 1,
                isa,
                ..CpuOptions::default()
            },
        );
        match loaded {
            Ok(backend) => {
                assert!(isa.is_available());
                assert_eq!(backend.name(), "cpu");
            }
            Err(error) => assert!(!isa.is_available() && matches!(error, LoadError::Processor { .. })),
        }
    }
}
