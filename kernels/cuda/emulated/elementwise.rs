//! Embeddings, the gated activation, copies of pages.

use cwm_kernels::cpu::{Isa, silu_multiply};
use cwm_kernels::cuda::{CopyArguments, EmbeddingArguments, GateArguments, SAMPLED_TOKEN};

use crate::support::{Memory, Random, assert_near, run};

#[test]
fn embeddings_are_rows_of_the_table() {
    let mut random = Random::new(4);
    for width in [4, 96, 1540] {
        let vocabulary = 11;
        let values = random.bf16s(vocabulary * width, 1.0);
        let (table, sampled) = (Memory::of_bf16(&values), Memory::of_u32(&[3, 10, 99]));
        let tokens = Memory::of_u32(&[0, 10, SAMPLED_TOKEN + 1, SAMPLED_TOKEN, SAMPLED_TOKEN + 2]);
        let mut out = Memory::empty(5 * width * 4);
        let arguments = EmbeddingArguments {
            tokens: tokens.pointer(),
            sampled: sampled.pointer(),
            table: table.pointer(),
            out: out.pointer(),
            width: width as u32,
            vocabulary: vocabulary as u32,
        };
        run(&arguments.launch(5).unwrap(), &mut [&mut out]);
        let expected: Vec<f32> = [0, 10, 10, 3]
            .iter()
            .flat_map(|token| values[token * width..][..width].to_vec())
            .collect();
        let out = out.f32s();
        assert_eq!(out[..4 * width], expected);
        // The step before failed to sample that row.
        assert!(out[4 * width..].iter().all(|value| value.is_nan()));
    }
}

#[test]
fn gates_are_those_of_the_scalar_kernel() {
    let mut random = Random::new(5);
    for (rows, width) in [(1, 4), (3, 160), (2, 2052), (64, 8)] {
        let values = random.normals(rows * 2 * width, 4.0);
        let gate_up = Memory::of_f32(&values);
        let mut out = Memory::empty(rows * width * 2);
        let arguments = GateArguments {
            gate_up: gate_up.pointer(),
            out: out.pointer(),
            width: width as u32,
            unused: 0,
        };
        run(&arguments.launch(rows).unwrap(), &mut [&mut out]);
        let mut expected = Vec::new();
        for row in values.chunks(2 * width) {
            let (gate, up) = row.split_at(width);
            let mut gate = gate.to_vec();
            silu_multiply(Isa::Scalar, &mut gate, up);
            expected.extend(gate);
        }
        assert_near(&out.bf16s(), &expected, 1.0 / 250.0, 1e-6);
    }
}

#[test]
fn pages_are_copied_whole_and_no_other_is_touched() {
    let mut random = Random::new(6);
    for page_bytes in [16, 4608, 40_000] {
        let before: Vec<u8> = (0..6 * page_bytes).map(|_| random.next() as u8).collect();
        let mut pages = Memory::of_bytes(&before);
        let copies = Memory::of_u32(&[0, 3, 5, 1, 0, 4]);
        let arguments = CopyArguments {
            pages: pages.pointer(),
            page_bytes: page_bytes as u64,
            copies: copies.pointer(),
        };
        run(&arguments.launch(3).unwrap(), &mut [&mut pages]);
        for (page, source) in [0, 5, 2, 0, 0, 5].into_iter().enumerate() {
            assert_eq!(
                pages.bytes()[page * page_bytes..][..page_bytes],
                before[source * page_bytes..][..page_bytes]
            );
        }
    }
}
