//! Products of a few rows in every format, against sums in f64 over the dequantised weights.

use cwm_kernels::cuda::{ProductArguments, Store, WeightFormat};

use crate::matrices::{Matrix, rounded};
use crate::support::{Memory, Random, run};

/// Outputs and inputs: single tiles, tiles cut off, chunks cut off, more chunks than warps.
fn shapes(format: WeightFormat) -> Vec<(usize, usize)> {
    match format {
        WeightFormat::Q4K | WeightFormat::Q6K => vec![(16, 256), (40, 512), (3, 2304)],
        WeightFormat::Bf16 | WeightFormat::Fp8 => vec![(1, 16), (40, 96), (33, 672)],
        WeightFormat::Int4 | WeightFormat::Q8_0 => vec![(1, 32), (40, 96), (33, 1184)],
    }
}

struct Case<'a> {
    matrix: &'a Matrix,
    input: &'a [f32],
    rows: usize,
    bias: Option<&'a [f32]>,
    store: Store,
}

/// The results `[rows, stride]`, and the stride: a little longer than a row, so that it is seen what is written.
fn multiply(format: WeightFormat, case: &Case<'_>, before: &[f32]) -> Vec<f32> {
    let stride = case.matrix.rows + 3;
    let input = Memory::of_bf16(&case.input[..case.rows * case.matrix.columns]);
    let bias = case.bias.map(Memory::of_f32);
    let mut out = match case.store {
        Store::Bf16 => Memory::of_bf16(&before[..case.rows * stride]),
        _ => Memory::of_f32(&before[..case.rows * stride]),
    };
    let arguments = ProductArguments {
        weights: case.matrix.weights(),
        input: input.pointer(),
        bias: bias.as_ref().map(Memory::pointer).unwrap_or_default(),
        out: out.pointer(),
        rows: case.rows as u32,
        out_stride: stride as u32,
        store: case.store,
        unused: 0,
    };
    run(&arguments.skinny(format).unwrap(), &mut [&mut out]);
    match case.store {
        Store::Bf16 => out.bf16s(),
        _ => out.f32s(),
    }
}

fn check(format: WeightFormat, case: &Case<'_>, random: &mut Random) {
    let outputs = case.matrix.rows;
    let before = random.bf16s(case.rows * (outputs + 3), 1.0);
    let found = multiply(format, case, &before);
    let products = case
        .matrix
        .products(&case.input[..case.rows * case.matrix.columns]);
    for (row, (found, before)) in found
        .chunks(outputs + 3)
        .zip(before.chunks(outputs + 3))
        .enumerate()
    {
        assert_eq!(
            found[outputs..],
            before[outputs..],
            "what lies between rows is left alone"
        );
        for output in 0..outputs {
            let (product, size) = products[row * outputs + output];
            let bias = case.bias.map_or(0.0, |bias| bias[output]);
            let mut expected = product as f32 + bias;
            if case.store == Store::AddF32 {
                expected += before[output];
            }
            let mut allowed = size as f32 * 2e-6 + expected.abs() * 1e-6 + 1e-7;
            if case.store == Store::Bf16 {
                allowed += rounded(expected).abs() / 128.0;
            }
            let found = found[output];
            assert!(
                (found - expected).abs() <= allowed,
                "{format:?}, {} rows: ({row}, {output}) is {found}, but should be {expected}",
                case.rows
            );
        }
    }
}

#[test]
fn products_of_every_format_are_right() {
    let mut random = Random::new(10);
    for format in WeightFormat::ALL {
        for (outputs, inputs) in shapes(format) {
            let matrix = Matrix::random(format, outputs, inputs, &mut random);
            let input = random.bf16s(64 * inputs, 1.0);
            let bias = random.normals(outputs, 1.0);
            let stores = [Store::F32, Store::AddF32, Store::Bf16];
            for (index, rows) in [1, 5, 16, 27, 64].into_iter().enumerate() {
                let case = Case {
                    matrix: &matrix,
                    input: &input,
                    rows,
                    bias: (index % 2 == 0).then_some(bias.as_slice()),
                    store: stores[index % 3],
                };
                check(format, &case, &mut random);
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_among_any_number_of_rows() {
    let mut random = Random::new(11);
    for format in WeightFormat::ALL {
        let inputs = if format.column_step() == 256 { 512 } else { 160 };
        let matrix = Matrix::random(format, 24, inputs, &mut random);
        let input = random.bf16s(64 * inputs, 1.0);
        let before = vec![0.0; 64 * 27];
        let results = [1, 8, 9, 32, 64].map(|rows| {
            let case = Case {
                matrix: &matrix,
                input: &input,
                rows,
                bias: None,
                store: Store::F32,
            };
            multiply(format, &case, &before)
        });
        for result in &results {
            assert!(
                result
                    .iter()
                    .zip(&results[4])
                    .all(|(one, other)| one.to_bits() == other.to_bits())
            );
        }
    }
}

#[test]
fn shapes_that_no_kernel_takes_are_refused() {
    let mut random = Random::new(12);
    let matrix = Matrix::random(WeightFormat::Bf16, 4, 32, &mut random);
    let arguments = ProductArguments {
        weights: matrix.weights(),
        rows: 1,
        out_stride: 4,
        ..ProductArguments::default()
    };
    assert!(arguments.skinny(WeightFormat::Bf16).is_ok());
    assert!(arguments.skinny(WeightFormat::Q4K).is_err());
    assert!(
        ProductArguments {
            rows: 65,
            ..arguments
        }
        .skinny(WeightFormat::Bf16)
        .is_err()
    );
    assert!(
        ProductArguments { rows: 0, ..arguments }
            .skinny(WeightFormat::Bf16)
            .is_err()
    );
    assert!(
        ProductArguments {
            out_stride: 3,
            ..arguments
        }
        .skinny(WeightFormat::Bf16)
        .is_err()
    );
}
