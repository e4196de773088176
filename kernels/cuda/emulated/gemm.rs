//! Products of many rows, and weights of every format as bf16.

use cwm_kernels::cuda::{DequantiseArguments, ProductArguments, Store, WeightFormat};

use crate::matrices::{Matrix, rounded};
use crate::support::{Memory, Random, assert_near, run};

#[test]
fn weights_of_every_format_become_bf16() {
    let mut random = Random::new(30);
    for format in WeightFormat::ALL {
        for (rows, columns) in [(1, 1), (21, 3)] {
            let columns = columns * format.column_step();
            let matrix = Matrix::random(format, rows, columns, &mut random);
            let mut out = Memory::empty(rows * columns * 2);
            let arguments = DequantiseArguments {
                weights: matrix.weights(),
                out: out.pointer(),
            };
            let Some(launch) = arguments.launch(format).unwrap() else {
                assert_eq!(format, WeightFormat::Bf16);
                continue;
            };
            run(&launch, &mut [&mut out]);
            // Rounded once more, where a minimum is subtracted.
            assert_near(&out.bf16s(), &matrix.values, 1.0 / 256.0, 1e-6);
        }
    }
}

#[test]
fn products_of_many_rows_are_right() {
    let mut random = Random::new(31);
    let stores = [Store::F32, Store::AddF32, Store::Bf16];
    // Less than a block, more than one each way, columns that end within a stage, less and more stages than are in flight.
    let shapes = [(3, 5, 16), (130, 140, 80), (65, 17, 272)];
    for ((rows, outputs, columns), store) in shapes.into_iter().zip(stores) {
        let matrix = Matrix::random(WeightFormat::Bf16, outputs, columns, &mut random);
        let input = random.bf16s(rows * columns, 1.0);
        let bias = random.normals(outputs, 1.0);
        let stride = outputs + 3;
        let before = random.bf16s(rows * stride, 1.0);
        let (inputs, biases) = (Memory::of_bf16(&input), Memory::of_f32(&bias));
        let mut out = match store {
            Store::Bf16 => Memory::of_bf16(&before),
            _ => Memory::of_f32(&before),
        };
        let arguments = ProductArguments {
            weights: matrix.weights(),
            input: inputs.pointer(),
            bias: biases.pointer(),
            out: out.pointer(),
            rows: rows as u32,
            out_stride: stride as u32,
            store,
            unused: 0,
        };
        run(&arguments.gemm().unwrap(), &mut [&mut out]);
        let found = if store == Store::Bf16 {
            out.bf16s()
        } else {
            out.f32s()
        };
        let products = matrix.products(&input);
        for (row, (found, before)) in found.chunks(stride).zip(before.chunks(stride)).enumerate() {
            assert_eq!(
                found[outputs..],
                before[outputs..],
                "what lies between rows is left alone"
            );
            for (output, found) in found[..outputs].iter().enumerate() {
                let (product, size) = products[row * outputs + output];
                let added = if store == Store::AddF32 {
                    before[output]
                } else {
                    0.0
                };
                let expected = product as f32 + bias[output] + added;
                let mut allowed = size as f32 * 2e-6 + expected.abs() * 1e-6 + 1e-6;
                if store == Store::Bf16 {
                    allowed += rounded(expected).abs() / 128.0;
                }
                assert!(
                    (found - expected).abs() <= allowed,
                    "({row}, {output}) is {found}, but should be {expected}"
                );
            }
        }
    }
}
