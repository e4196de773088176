//! The limits, products of few and of many rows, and weights that become bf16.

use super::super::finding::Finding;
use super::super::subject::Memory;
use super::stage::{Case, Stage};
use crate::cuda::{
    CopyArguments, DequantiseArguments, DevicePointer, NoMatrixLibrary, ProductArguments, RecordedLaunch,
    WeightFormat, Weights,
};

/// What a device can do at best.
pub(super) fn limits(stage: &mut Stage<'_>) -> Result<(), Finding> {
    let page = stage.plan.copied_page_bytes;
    let half = stage.plan.copied_bytes.min(stage.pool_bytes() / 2) / page * page;
    let pages = (half / page) as u32;
    let pairs: Vec<u32> = (0..pages).flat_map(|index| [index, pages + index]).collect();
    let copies = Memory::of_u32(stage.subject, &pairs)?;
    let arguments = CopyArguments {
        pages: stage.pool(2 * half)?,
        page_bytes: page,
        copies: copies.pointer(),
    };
    let copy = Case {
        bytes: 2 * half,
        flops: 0,
        runs: vec![vec![arguments.launch(pages as usize)?.record()]],
        by_library: false,
        memory: vec![copies],
    };
    let side = stage.plan.side;
    let bytes = (side * side * 2) as u64;
    let product = gemm(stage, side, side, side, stage.pool(2 * bytes)?.offset(bytes))?;
    stage.add_limits(&copy, &product)
}

/// Every matrix of the model in every format.
pub(super) fn few_rows(stage: &mut Stage<'_>) -> Result<(), Finding> {
    for rows in stage.plan.few_rows {
        for format in WeightFormat::ALL {
            for (name, outputs, inputs) in stage.plan.model.matrices() {
                let shape = format!("{name} [{outputs}, {inputs}] {format:?}, {rows} rows");
                stage.add(&shape, |stage| skinny(stage, format, *rows, outputs, inputs))?;
            }
        }
    }
    Ok(())
}

fn skinny<'a>(
    stage: &Stage<'a>,
    format: WeightFormat,
    rows: usize,
    outputs: usize,
    inputs: usize,
) -> Result<Case<'a>, Finding> {
    let input = stage.numbers(rows * inputs * 2)?;
    let out = stage.results(rows * outputs * 4)?;
    let weight_bytes = whole(part_bytes(format, outputs, inputs));
    let runs = stage.places(weight_bytes)?.into_iter().map(|place| {
        let arguments = ProductArguments {
            weights: weights(format, outputs, inputs, place),
            input: input.pointer(),
            out: out.pointer(),
            rows: rows as u32,
            out_stride: outputs as u32,
            ..ProductArguments::default()
        };
        Ok(vec![arguments.skinny(format)?.record()])
    });
    Ok(Case {
        bytes: weight_bytes + (rows * inputs * 2 + rows * outputs * 4) as u64,
        flops: 2 * (rows * outputs * inputs) as u64,
        runs: runs.collect::<Result<Vec<_>, Finding>>()?,
        by_library: false,
        memory: vec![input, out],
    })
}

/// The matrices of a layer.
pub(super) fn many_rows(stage: &mut Stage<'_>) -> Result<(), Finding> {
    each_with_many_rows(stage, false)
}

/// The same products by the matrix library, if there is one.
pub(super) fn many_rows_by_library(stage: &mut Stage<'_>) -> Result<(), Finding> {
    match stage.subject.matrix_library() {
        Ok(_) => {}
        Err(NoMatrixLibrary::NotWanted) => return Ok(()),
        Err(reason) => {
            stage.leave_out("products by the matrix library", &reason.to_string());
            return Ok(());
        }
    }
    each_with_many_rows(stage, true)
}

/// Adds a case for each matrix; the head is never needed for many rows.
fn each_with_many_rows(stage: &mut Stage<'_>, by_library: bool) -> Result<(), Finding> {
    for rows in stage.plan.many_rows {
        for (name, outputs, inputs) in stage.plan.model.matrices() {
            if name == "head" {
                continue;
            }
            let shape = format!("{name} [{outputs}, {inputs}], {rows} rows");
            stage.add(&shape, |stage| {
                let input = stage.pool((rows * inputs * 2) as u64)?;
                Ok(Case {
                    by_library,
                    ..gemm(stage, *rows, outputs, inputs, input)?
                })
            })?;
        }
    }
    Ok(())
}

/// With weights from the pool.
fn gemm<'a>(
    stage: &Stage<'a>,
    rows: usize,
    outputs: usize,
    inputs: usize,
    input: DevicePointer,
) -> Result<Case<'a>, Finding> {
    let weight_bytes = whole(part_bytes(WeightFormat::Bf16, outputs, inputs));
    let out = stage.results(rows * outputs * 4)?;
    let arguments = ProductArguments {
        weights: weights(WeightFormat::Bf16, outputs, inputs, stage.pool(weight_bytes)?),
        input,
        out: out.pointer(),
        rows: rows as u32,
        out_stride: outputs as u32,
        ..ProductArguments::default()
    };
    Ok(Case {
        bytes: weight_bytes + (rows * inputs * 2 + rows * outputs * 4) as u64,
        flops: 2 * (rows * outputs * inputs) as u64,
        runs: vec![vec![arguments.gemm()?.record()]],
        by_library: false,
        memory: vec![out],
    })
}

/// The largest matrix of a layer in every format.
pub(super) fn dequantise(stage: &mut Stage<'_>) -> Result<(), Finding> {
    let [_, _, (name, outputs, inputs), ..] = stage.plan.model.matrices();
    for format in WeightFormat::ALL {
        if format == WeightFormat::Bf16 {
            continue;
        }
        let shape = format!("{name} [{outputs}, {inputs}] {format:?}");
        stage.add(&shape, |stage| {
            let out = stage.results(outputs * inputs * 2)?;
            let weight_bytes = whole(part_bytes(format, outputs, inputs));
            let mut runs: Vec<Vec<RecordedLaunch>> = Vec::new();
            for place in stage.places(weight_bytes)? {
                let arguments = DequantiseArguments {
                    weights: weights(format, outputs, inputs, place),
                    out: out.pointer(),
                };
                runs.push(
                    arguments
                        .launch(format)?
                        .iter()
                        .map(|launch| launch.record())
                        .collect(),
                );
            }
            Ok(Case {
                bytes: weight_bytes + (outputs * inputs * 2) as u64,
                flops: 0,
                runs,
                by_library: false,
                memory: vec![out],
            })
        })?;
    }
    Ok(())
}

/// The bytes of the parts of a matrix, in the order of [`Weights`].
fn part_bytes(format: WeightFormat, rows: usize, columns: usize) -> [u64; 4] {
    let weights = rows * columns;
    let parts = match format {
        WeightFormat::Bf16 => [weights * 2, 0, 0, 0],
        WeightFormat::Fp8 => [weights, 0, rows * 4, 0],
        WeightFormat::Int4 => [weights / 2, 0, rows * columns.div_ceil(128) * 2, 0],
        WeightFormat::Q8_0 => [weights, 0, weights / 32 * 2, 0],
        WeightFormat::Q4K => [weights / 256 * 144, 0, 0, 0],
        WeightFormat::Q6K => [weights / 2, weights / 4, weights / 16, weights / 256 * 2],
    };
    parts.map(|bytes| bytes as u64)
}

/// Of parts that each begin at a multiple of 16.
fn whole(parts: [u64; 4]) -> u64 {
    parts.iter().map(|bytes| bytes.next_multiple_of(16)).sum()
}

/// A matrix whose parts lie one after another.
fn weights(format: WeightFormat, rows: usize, columns: usize, place: DevicePointer) -> Weights {
    let mut next = place;
    let [codes, upper, scales, block_scales] = part_bytes(format, rows, columns).map(|bytes| {
        let part = next;
        next = next.offset(bytes.next_multiple_of(16));
        if bytes == 0 { DevicePointer::NULL } else { part }
    });
    Weights {
        codes,
        upper,
        scales,
        block_scales,
        rows: rows as u32,
        columns: columns as u32,
    }
}
