//! RMSNorm against the scalar kernel of processors.

use cwm_kernels::cpu::{Isa, rms_norm};
use cwm_kernels::cuda::{NormArguments, NormOutput};

use crate::support::{Memory, Random, assert_near, fp8_value, run};

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

fn check(case: &Case, output: NormOutput, random: &mut Random) {
    let stream_rows = case.rows + 3;
    let residual = random.normals(stream_rows * case.width, 3.0);
    let delta = random.normals(stream_rows * case.width, 1.0);
    let weight = random.normals(case.width, 1.0);
    let sources: Vec<u32> = (0..case.rows).map(|_| random.below(stream_rows) as u32).collect();
    // Only rows that are normed get their delta.
    let (normed, mut after) = expected(case, &residual, &delta, &weight, &sources);
    after.truncate(case.rows * case.width);
    after.extend(&residual[case.rows * case.width..]);
    let mut stream = Memory::of_f32(&residual);
    let (deltas, weights, rows) = (
        Memory::of_f32(&delta),
        Memory::of_f32(&weight),
        Memory::of_u32(&sources),
    );
    let fp8 = output == NormOutput::Fp8;
    let mut out = Memory::empty(case.rows * case.width * if fp8 { 1 } else { 2 });
    let mut scales = Memory::empty(case.rows * 4);
    let arguments = NormArguments {
        residual: stream.pointer(),
        delta: if case.with_delta {
            deltas.pointer()
        } else {
            Default::default()
        },
        weight: weights.pointer(),
        source_rows: if case.gathered {
            rows.pointer()
        } else {
            Default::default()
        },
        out: out.pointer(),
        scales: if fp8 { scales.pointer() } else { Default::default() },
        width: case.width as u32,
        epsilon: 1e-5,
    };
    let launch = arguments.launch(output, case.rows).unwrap();
    run(&launch, &mut [&mut stream, &mut out, &mut scales]);
    assert_eq!(stream.f32s(), if case.with_delta { after } else { residual });
    if !fp8 {
        assert_near(&out.bf16s(), &normed, BF16_STEP, 1e-6);
        return;
    }
    for ((row, bytes), scale) in normed
        .chunks(case.width)
        .zip(out.bytes().chunks(case.width))
        .zip(scales.f32s())
    {
        let greatest = row.iter().fold(0.0_f32, |best, x| best.max(x.abs()));
        assert_near(&[scale], &[greatest / 448.0], 1e-5, 0.0);
        let values: Vec<f32> = bytes.iter().map(|byte| fp8_value(*byte) * scale).collect();
        // Three bits of fraction, and steps of 2^-9 below 2^-6.
        assert_near(&values, row, 1.0 / 15.9, scale / 1020.0);
    }
}

#[test]
fn rows_are_normed_as_by_the_scalar_kernel() {
    let mut random = Random::new(1);
    for case in &CASES {
        check(case, NormOutput::Bf16, &mut random);
        check(case, NormOutput::Fp8, &mut random);
    }
}

#[test]
fn odd_widths_are_refused() {
    let arguments = NormArguments {
        width: 6,
        ..NormArguments::default()
    };
    assert!(arguments.launch(NormOutput::Bf16, 1).is_err());
    let arguments = NormArguments {
        width: 8,
        ..NormArguments::default()
    };
    assert!(arguments.launch(NormOutput::Bf16, 0).is_err());
}
