//! Embeddings, the gated activation, copies of pages.

use super::finding::{Finding, ensure, near, same};
use super::matrices::Matrix;
use super::random::Random;
use super::shape::ModelShape;
use super::subject::{Memory, Subject};
use crate::cpu::{Isa, silu_multiply};
use crate::cuda::{CopyArguments, EmbeddingArguments, GateArguments, SAMPLED_TOKEN, WeightFormat};

pub(super) fn embeddings_are_rows_of_the_table(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(4);
    for width in [4, 96, 1540] {
        embed(subject, 11, width, &mut random)?;
    }
    Ok(())
}

/// The first and the last row of a table, tokens that were sampled, and one that could not be.
fn embed(subject: &Subject, vocabulary: usize, width: usize, random: &mut Random) -> Result<(), Finding> {
    let table = Matrix::random(subject, WeightFormat::Bf16, vocabulary, width, random)?;
    let last = vocabulary as u32 - 1;
    let sampled = Memory::of_u32(subject, &[3, last, vocabulary as u32 + 88])?;
    let tokens = [0, last, SAMPLED_TOKEN + 1, SAMPLED_TOKEN, SAMPLED_TOKEN + 2];
    let tokens = Memory::of_u32(subject, &tokens)?;
    let out = Memory::empty(subject, 5 * width * 4)?;
    let arguments = EmbeddingArguments {
        tokens: tokens.pointer(),
        sampled: sampled.pointer(),
        table: table.weights().codes,
        out: out.pointer(),
        width: width as u32,
        vocabulary: vocabulary as u32,
    };
    subject.run(&arguments.launch(5)?, &[&out])?;
    let out = out.f32s()?;
    for (row, token) in out.chunks(width).zip([0, last, last, 3]) {
        same("an embedding", row, table.row(token as usize))?;
    }
    ensure!(
        out[4 * width..].iter().all(|value| value.is_nan()),
        "the step before failed to sample that row, but its embedding is a number"
    );
    Ok(())
}

pub(super) fn gates_are_those_of_the_scalar_kernel(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(5);
    for (rows, width) in [(1, 4), (3, 160), (2, 2052), (64, 8)] {
        gate(subject, rows, width, &mut random)?;
    }
    Ok(())
}

fn gate(subject: &Subject, rows: usize, width: usize, random: &mut Random) -> Result<(), Finding> {
    let values = random.normals(rows * 2 * width, 4.0);
    let gate_up = Memory::of_f32(subject, &values)?;
    let out = Memory::empty(subject, rows * width * 2)?;
    let arguments = GateArguments {
        gate_up: gate_up.pointer(),
        out: out.pointer(),
        width: width as u32,
        unused: 0,
    };
    subject.run(&arguments.launch(rows)?, &[&out])?;
    let mut expected = Vec::new();
    for row in values.chunks(2 * width) {
        let (gate, up) = row.split_at(width);
        let mut gate = gate.to_vec();
        silu_multiply(Isa::Scalar, &mut gate, up);
        expected.extend(gate);
    }
    near("gates", &out.bf16s()?, &expected, 1.0 / 250.0, 1e-6)
}

pub(super) fn pages_are_copied_whole_and_no_other_is_touched(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(6);
    for page_bytes in [16, 4608, 40_000] {
        copy(subject, page_bytes, &mut random)?;
    }
    Ok(())
}

fn copy(subject: &Subject, page_bytes: usize, random: &mut Random) -> Result<(), Finding> {
    let before = random.bytes(6 * page_bytes);
    let pages = Memory::of_bytes(subject, &before)?;
    let copies = Memory::of_u32(subject, &[0, 3, 5, 1, 0, 4])?;
    let arguments = CopyArguments {
        pages: pages.pointer(),
        page_bytes: page_bytes as u64,
        copies: copies.pointer(),
    };
    subject.run(&arguments.launch(3)?, &[&pages])?;
    let after = pages.bytes()?;
    for (page, source) in after.chunks(page_bytes).zip([0, 5, 2, 0, 0, 5]) {
        same("a page", page, &before[source * page_bytes..][..page_bytes])?;
    }
    Ok(())
}

pub(super) fn a_large_models_elementwise_kernels_are_right(subject: &Subject) -> Result<(), Finding> {
    let shape = ModelShape::CWM_32B;
    let mut random = subject.random(7);
    embed(subject, shape.vocabulary, shape.hidden, &mut random)?;
    for rows in [1, 64, 512] {
        gate(subject, rows, shape.intermediate, &mut random)?;
    }
    // A page of all layers.
    copy(subject, 16 << 20, &mut random)
}
