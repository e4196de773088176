//! RMSNorm against the scalar kernel of processors.

use super::finding::{Finding, ensure, near, same};
use super::random::Random;
use super::shape::ModelShape;
use super::subject::{Memory, Subject};
use crate::blocks::e4m3_to_f32;
use crate::cpu::{Isa, rms_norm};
use crate::cuda::{DevicePointer, NormArguments, NormOutput};

const BF16_STEP: f32 = 1.0 / 256.0;

struct Case {
    rows: usize,
    width: usize,
    with_delta: bool,
    gathered: bool,
}

const CASES: [Case; 5] = [
    Case {
        rows: 1,
        width: 4,
        with_delta: false,
        gathered: false,
    },
    Case {
        rows: 3,
        width: 96,
        with_delta: true,
        gathered: false,
    },
    Case {
        rows: 2,
        width: 6144,
        with_delta: true,
        gathered: false,
    },
    Case {
        rows: 5,
        width: 1028,
        with_delta: false,
        gathered: true,
    },
    Case {
        rows: 64,
        width: 160,
        with_delta: true,
        gathered: false,
    },
];

/// The normed rows, and the residual stream as it must be afterwards.
fn expected(
    case: &Case,
    residual: &[f32],
    delta: &[f32],
    weight: &[f32],
    sources: &[u32],
) -> (Vec<f32>, Vec<f32>) {
    let mut after = residual.to_vec();
    if case.with_delta {
        after.iter_mut().zip(delta).for_each(|(x, delta)| *x += delta);
    }
    let mut normed = Vec::new();
    for (row, source) in sources.iter().enumerate() {
        let source = if case.gathered { *source as usize } else { row };
        let mut out = vec![0.0; case.width];
        let values = &after[source * case.width..][..case.width];
        rms_norm(Isa::Scalar, values, weight, 1e-5, &mut out);
        normed.extend(out);
    }
    (normed, after)
}

fn check(subject: &Subject, case: &Case, output: NormOutput, random: &mut Random) -> Result<(), Finding> {
    let stream_rows = case.rows + 3;
    let residual = random.normals(stream_rows * case.width, 3.0);
    let delta = random.normals(stream_rows * case.width, 1.0);
    let weight = random.normals(case.width, 1.0);
    let sources: Vec<u32> = (0..case.rows).map(|_| random.below(stream_rows) as u32).collect();
    // Only rows that are normed get their delta.
    let (normed, mut after) = expected(case, &residual, &delta, &weight, &sources);
    after.truncate(case.rows * case.width);
    after.extend(&residual[case.rows * case.width..]);
    let stream = Memory::of_f32(subject, &residual)?;
    let (deltas, weights, rows) = (
        Memory::of_f32(subject, &delta)?,
        Memory::of_f32(subject, &weight)?,
        Memory::of_u32(subject, &sources)?,
    );
    let fp8 = output == NormOutput::Fp8;
    let out = Memory::empty(subject, case.rows * case.width * if fp8 { 1 } else { 2 })?;
    let scales = Memory::empty(subject, case.rows * 4)?;
    let given = |memory: &Memory<'_>, is: bool| {
        if is { memory.pointer() } else { DevicePointer::NULL }
    };
    let arguments = NormArguments {
        residual: stream.pointer(),
        delta: given(&deltas, case.with_delta),
        weight: weights.pointer(),
        source_rows: given(&rows, case.gathered),
        out: out.pointer(),
        scales: given(&scales, fp8),
        width: case.width as u32,
        epsilon: 1e-5,
    };
    let launch = arguments.launch(output, case.rows)?;
    subject.run(&launch, &[&stream, &out, &scales])?;
    let after = if case.with_delta { after } else { residual };
    same("the residual stream", &stream.f32s()?, &after)?;
    if !fp8 {
        return near("normed rows", &out.bf16s()?, &normed, BF16_STEP, 1e-6);
    }
    near_in_fp8(case.width, &normed, &out.bytes()?, &scales.f32s()?)
}

fn near_in_fp8(width: usize, normed: &[f32], bytes: &[u8], scales: &[f32]) -> Result<(), Finding> {
    ensure!(
        bytes.len() == normed.len(),
        "{} normed numbers of {}",
        bytes.len(),
        normed.len()
    );
    let rows = normed.chunks(width).zip(bytes.chunks(width));
    for ((row, bytes), scale) in rows.zip(scales) {
        let greatest = row.iter().fold(0.0_f32, |best, x| best.max(x.abs()));
        near("a row's scale", &[*scale], &[greatest / 448.0], 1e-5, 0.0)?;
        let values: Vec<f32> = bytes.iter().map(|byte| e4m3_to_f32(*byte) * scale).collect();
        // Three bits of fraction, and steps of 2^-9 below 2^-6.
        near("normed rows in e4m3", &values, row, 1.0 / 15.9, scale / 1020.0)?;
    }
    Ok(())
}

pub(super) fn rows_are_normed_as_by_the_scalar_kernel(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(1);
    for case in &CASES {
        check(subject, case, NormOutput::Bf16, &mut random)?;
        check(subject, case, NormOutput::Fp8, &mut random)?;
    }
    Ok(())
}

pub(super) fn a_large_models_rows_are_normed(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(8);
    for (rows, gathered) in [(1, false), (64, true), (64, false), (512, false)] {
        let case = Case {
            rows,
            width: ModelShape::CWM_32B.hidden,
            with_delta: !gathered,
            gathered,
        };
        check(subject, &case, NormOutput::Bf16, &mut random)?;
        check(subject, &case, NormOutput::Fp8, &mut random)?;
    }
    Ok(())
}
