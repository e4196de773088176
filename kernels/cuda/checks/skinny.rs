//! Products of a few rows in every format, against sums in f64 over the dequantised weights.

use super::finding::{Finding, ensure, same};
use super::matrices::{Matrix, rounded};
use super::random::Random;
use super::shape::ModelShape;
use super::subject::{Memory, Subject};
use crate::cuda::{ProductArguments, Store, WeightFormat};

/// Outputs and inputs: single tiles, tiles cut off, chunks cut off, more chunks than warps.
fn shapes(format: WeightFormat) -> Vec<(usize, usize)> {
    match format {
        WeightFormat::Q4K | WeightFormat::Q6K => vec![(16, 256), (40, 512), (3, 2304)],
        WeightFormat::Bf16 | WeightFormat::Fp8 => vec![(1, 16), (40, 96), (33, 672)],
        WeightFormat::Int4 | WeightFormat::Q8_0 => vec![(1, 32), (40, 96), (33, 1184)],
    }
}

/// Of all kernels, the most that they take, and fewer.
const ROW_COUNTS: [usize; 9] = [64, 33, 32, 17, 16, 9, 8, 3, 1];

struct Case<'a> {
    matrix: &'a Matrix<'a>,
    input: &'a [f32],
    rows: usize,
    bias: Option<&'a [f32]>,
    store: Store,
}

impl Case<'_> {
    /// Elements from one row of the result to the next: a few more than outputs, so that it is seen what is written.
    fn stride(&self) -> usize {
        self.matrix.rows + 3
    }

    /// The results `[rows, stride]`.
    fn multiply(&self, subject: &Subject, format: WeightFormat, before: &[f32]) -> Result<Vec<f32>, Finding> {
        let input = Memory::of_bf16(subject, &self.input[..self.rows * self.matrix.columns])?;
        let bias = self.bias.map(|bias| Memory::of_f32(subject, bias)).transpose()?;
        let before = &before[..self.rows * self.stride()];
        let out = match self.store {
            Store::Bf16 => Memory::of_bf16(subject, before)?,
            _ => Memory::of_f32(subject, before)?,
        };
        let arguments = ProductArguments {
            weights: self.matrix.weights(),
            input: input.pointer(),
            bias: bias.as_ref().map(Memory::pointer).unwrap_or_default(),
            out: out.pointer(),
            rows: self.rows as u32,
            out_stride: self.stride() as u32,
            store: self.store,
            unused: 0,
        };
        subject.run(&arguments.skinny(format)?, &[&out])?;
        match self.store {
            Store::Bf16 => out.bf16s(),
            _ => out.f32s(),
        }
    }

    /// Whether a result is right.
    fn check(&self, (row, output): (usize, usize), found: &[f32], before: &[f32]) -> Result<(), Finding> {
        let at = row * self.stride() + output;
        let input = &self.input[row * self.matrix.columns..][..self.matrix.columns];
        let (product, size) = self.matrix.product(input, output);
        let mut expected = product as f32 + self.bias.map_or(0.0, |bias| bias[output]);
        if self.store == Store::AddF32 {
            expected += before[at];
        }
        let mut allowed = size as f32 * 2e-6 + expected.abs() * 1e-6 + 1e-7;
        if self.store == Store::Bf16 {
            allowed += rounded(expected).abs() / 128.0;
        }
        let found = found[at];
        ensure!(
            (found - expected).abs() <= allowed,
            "{} rows, {} outputs: ({row}, {output}) is {found}, but should be {expected}",
            self.rows,
            self.matrix.rows
        );
        Ok(())
    }
}

pub(super) fn products_of_every_format_are_right(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(10);
    for format in WeightFormat::ALL {
        for (outputs, inputs) in shapes(format) {
            let matrix = Matrix::random(subject, format, outputs, inputs, &mut random)?;
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
                check_all(subject, format, &case, &mut random)?;
            }
        }
    }
    Ok(())
}

fn check_all(
    subject: &Subject,
    format: WeightFormat,
    case: &Case<'_>,
    random: &mut Random,
) -> Result<(), Finding> {
    let outputs = case.matrix.rows;
    let before = random.bf16s(case.rows * case.stride(), 1.0);
    let found = case.multiply(subject, format, &before)?;
    for row in 0..case.rows {
        let gap = row * case.stride() + outputs..(row + 1) * case.stride();
        same("what lies between rows", &found[gap.clone()], &before[gap])?;
        for output in 0..outputs {
            case.check((row, output), &found, &before)?;
        }
    }
    Ok(())
}

pub(super) fn a_row_has_the_same_bits_among_any_number_of_rows(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(11);
    for format in WeightFormat::ALL {
        let inputs = if format.column_step() == 256 { 512 } else { 160 };
        let matrix = Matrix::random(subject, format, 24, inputs, &mut random)?;
        let input = random.bf16s(64 * inputs, 1.0);
        let before = vec![0.0; 64 * 27];
        let mut longest: Vec<f32> = Vec::new();
        for rows in [64, 32, 9, 8, 1] {
            let case = Case {
                matrix: &matrix,
                input: &input,
                rows,
                bias: None,
                store: Store::F32,
            };
            let found = case.multiply(subject, format, &before)?;
            if rows == 64 {
                longest = found;
                continue;
            }
            same_bits(format, &found, &longest)?;
        }
    }
    Ok(())
}

/// The same bits as the first of more rows.
fn same_bits(format: WeightFormat, found: &[f32], more: &[f32]) -> Result<(), Finding> {
    let differs = found
        .iter()
        .zip(more)
        .position(|(one, other)| one.to_bits() != other.to_bits());
    ensure!(
        differs.is_none(),
        "{format:?}: number {} has other bits among other numbers of rows",
        differs.unwrap_or_default()
    );
    Ok(())
}

/// All matrices of a model, with all kernels: some results by sums, and all of them by their bits among more rows.
///
/// The numbers of rows begin with the greatest, at most 64.
fn a_models_products(
    subject: &Subject,
    shape: &ModelShape,
    row_counts: &[usize],
    samples: usize,
) -> Result<(), Finding> {
    let mut random = subject.random(13);
    for (_, outputs, inputs) in shape.matrices() {
        let input = random.bf16s(64 * inputs, 1.0);
        for format in WeightFormat::ALL {
            let matrix = Matrix::random(subject, format, outputs, inputs, &mut random)?;
            let before = vec![0.0; 64 * (outputs + 3)];
            let mut longest: Vec<f32> = Vec::new();
            for rows in row_counts.iter().copied() {
                let case = Case {
                    matrix: &matrix,
                    input: &input,
                    rows,
                    bias: None,
                    store: Store::F32,
                };
                let found = case.multiply(subject, format, &before)?;
                for _ in 0..samples {
                    let place = (random.below(rows), random.below(outputs));
                    case.check(place, &found, &before)?;
                }
                if longest.is_empty() {
                    longest = found;
                    continue;
                }
                same_bits(format, &found, &longest)?;
            }
        }
    }
    Ok(())
}

pub(super) fn a_tiny_models_products_are_right(subject: &Subject) -> Result<(), Finding> {
    a_models_products(subject, &ModelShape::TINY, &[17, 9, 1], 16)
}

pub(super) fn a_large_models_products_are_right(subject: &Subject) -> Result<(), Finding> {
    a_models_products(subject, &ModelShape::CWM_32B, &ROW_COUNTS, 64)
}
