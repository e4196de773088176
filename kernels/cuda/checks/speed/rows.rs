//! What goes through rows once: norms, rotation, gates, embeddings, samples.
//!
//! Rows are read again and again from the same memory, as in a step, where one kernel has just written what the next reads.

use super::super::finding::Finding;
use super::super::sampling::{PLAIN, row_bytes};
use super::super::subject::Memory;
use super::stage::{Case, Stage};
use crate::cuda::{
    CudaKvElement, CudaPages, EmbeddingArguments, GateArguments, NormArguments, NormOutput, PAGE_TOKENS,
    RecordedLaunch, RopeArguments, SampleArguments, SampleRow,
};

/// Numbers of rows, few and many.
fn row_counts(stage: &Stage<'_>) -> impl Iterator<Item = usize> + use<> {
    let (few, many) = (stage.plan.few_rows, stage.plan.many_rows);
    few.iter().chain(many).copied()
}

/// One launch on memory that is kept.
fn case<'a>(bytes: usize, launch: RecordedLaunch, memory: Vec<Memory<'a>>) -> Case<'a> {
    Case {
        bytes: bytes as u64,
        flops: 0,
        runs: vec![vec![launch]],
        by_library: false,
        memory,
    }
}

pub(super) fn norm(stage: &mut Stage<'_>) -> Result<(), Finding> {
    let width = stage.plan.model.hidden;
    for rows in row_counts(stage) {
        for (output, size) in [(NormOutput::Bf16, 2), (NormOutput::Fp8, 1)] {
            let shape = format!("{rows} rows of {width} to {output:?}");
            stage.add(&shape, |stage| {
                let bytes = rows * width * 4;
                let (residual, delta) = (stage.numbers(bytes)?, stage.numbers(bytes)?);
                let weight = stage.numbers(width * 4)?;
                let (out, scales) = (stage.results(rows * width * size)?, stage.results(rows * 4)?);
                let arguments = NormArguments {
                    residual: residual.pointer(),
                    delta: delta.pointer(),
                    weight: weight.pointer(),
                    out: out.pointer(),
                    scales: scales.pointer(),
                    width: width as u32,
                    epsilon: 1e-5,
                    ..NormArguments::default()
                };
                let launch = arguments.launch(output, rows)?.record();
                let memory = vec![residual, delta, weight, out, scales];
                Ok(case(3 * bytes + rows * width * size, launch, memory))
            })?;
        }
    }
    Ok(())
}

pub(super) fn rope(stage: &mut Stage<'_>) -> Result<(), Finding> {
    for rows in row_counts(stage) {
        for element in [CudaKvElement::Bf16, CudaKvElement::Fp8] {
            let shape = format!("{rows} rows to {element:?}");
            stage.add(&shape, |stage| rope_case(stage, rows, element))?;
        }
    }
    Ok(())
}

fn rope_case<'a>(stage: &Stage<'a>, rows: usize, element: CudaKvElement) -> Result<Case<'a>, Finding> {
    let model = stage.plan.model;
    let size = match element {
        CudaKvElement::Bf16 => 2,
        CudaKvElement::Fp8 => 1,
    };
    let pages = CudaPages {
        layers: 1,
        kv_heads: model.kv_heads,
        head_dim: model.head_dim,
        element,
    };
    let (query_width, kv_width) = (model.heads * model.head_dim, 2 * model.kv_heads * model.head_dim);
    let projected = stage.numbers(rows * (query_width + kv_width) * 4)?;
    let queries = stage.results(rows * query_width * 2)?;
    let page_count = rows.div_ceil(PAGE_TOKENS);
    let page_memory = stage.results(page_count * pages.page_bytes() as usize)?;
    let positions: Vec<u32> = (0..rows as u32).collect();
    let row_pages: Vec<u32> = positions
        .iter()
        .map(|position| position / PAGE_TOKENS as u32)
        .collect();
    let positions = Memory::of_u32(stage.subject, &positions)?;
    let row_pages = Memory::of_u32(stage.subject, &row_pages)?;
    let angles = stage.numbers(rows * model.head_dim * 4)?;
    let arguments = RopeArguments {
        projected: projected.pointer(),
        queries: queries.pointer(),
        pages: page_memory.pointer(),
        row_pages: row_pages.pointer(),
        positions: positions.pointer(),
        angles: angles.pointer(),
        heads: model.heads as u32,
        ..RopeArguments::default()
    };
    let launch = arguments.launch(&pages, 0, rows)?.record();
    let row = (query_width + kv_width) * 4 + query_width * 2 + kv_width * size + model.head_dim * 4;
    let memory = vec![projected, queries, page_memory, positions, row_pages, angles];
    Ok(case(rows * row, launch, memory))
}

pub(super) fn gate(stage: &mut Stage<'_>) -> Result<(), Finding> {
    let width = stage.plan.model.intermediate;
    for rows in row_counts(stage) {
        stage.add(&format!("{rows} rows of {width}"), |stage| {
            let gate_up = stage.numbers(rows * 2 * width * 4)?;
            let out = stage.results(rows * width * 2)?;
            let arguments = GateArguments {
                gate_up: gate_up.pointer(),
                out: out.pointer(),
                width: width as u32,
                unused: 0,
            };
            let launch = arguments.launch(rows)?.record();
            Ok(case(rows * width * 10, launch, vec![gate_up, out]))
        })?;
    }
    Ok(())
}

pub(super) fn embedding(stage: &mut Stage<'_>) -> Result<(), Finding> {
    let (vocabulary, width) = (stage.plan.model.vocabulary, stage.plan.model.hidden);
    for rows in row_counts(stage) {
        stage.add(&format!("{rows} rows of {width}, embedded"), |stage| {
            let table = stage.pool((vocabulary * width * 2) as u64)?;
            let tokens: Vec<u32> = (0..rows).map(|_| stage.random.below(vocabulary) as u32).collect();
            let tokens = Memory::of_u32(stage.subject, &tokens)?;
            let out = stage.results(rows * width * 4)?;
            let arguments = EmbeddingArguments {
                tokens: tokens.pointer(),
                table,
                out: out.pointer(),
                width: width as u32,
                vocabulary: vocabulary as u32,
                ..EmbeddingArguments::default()
            };
            let launch = arguments.launch(rows)?.record();
            Ok(case(rows * width * 6, launch, vec![tokens, out]))
        })?;
    }
    Ok(())
}

pub(super) fn sample(stage: &mut Stage<'_>) -> Result<(), Finding> {
    let vocabulary = stage.plan.model.vocabulary;
    let best = SampleRow {
        temperature: 0.0,
        ..PLAIN
    };
    let filtered = SampleRow {
        top_p: 0.95,
        top_k: 50,
        ..PLAIN
    };
    for rows in stage.plan.few_rows.iter().copied() {
        for (name, row) in [("the best", best), ("all", PLAIN), ("top-k and top-p", filtered)] {
            let shape = format!("{rows} rows of {vocabulary}, {name}");
            stage.add(&shape, |stage| {
                let logits = stage.numbers(rows * vocabulary * 4)?;
                let parameters = Memory::of_bytes(stage.subject, &row_bytes(&vec![row; rows]))?;
                let (tokens, logprobs) = (stage.results(rows * 4)?, stage.results(rows * 4)?);
                let arguments = SampleArguments {
                    logits: logits.pointer(),
                    rows: parameters.pointer(),
                    tokens: tokens.pointer(),
                    logprobs: logprobs.pointer(),
                    vocabulary: vocabulary as u32,
                    unused: 0,
                };
                let launch = arguments.launch(rows)?.record();
                let memory = vec![logits, parameters, tokens, logprobs];
                Ok(case(rows * vocabulary * 4, launch, memory))
            })?;
        }
    }
    Ok(())
}
