//! Products of many rows, and weights of every format as bf16.

use super::finding::{Finding, ensure, near, same};
use super::matrices::{Matrix, rounded};
use super::random::Random;
use super::shape::ModelShape;
use super::subject::{Memory, Subject};
use crate::cuda::{DequantiseArguments, DevicePointer, Launch, ProductArguments, Store, WeightFormat};

pub(super) fn weights_of_every_format_become_bf16(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(30);
    for format in WeightFormat::ALL {
        for (rows, columns) in [(1, 1), (21, 3)] {
            become_bf16(
                subject,
                format,
                (rows, columns * format.column_step()),
                &mut random,
            )?;
        }
    }
    Ok(())
}

fn become_bf16(
    subject: &Subject,
    format: WeightFormat,
    (rows, columns): (usize, usize),
    random: &mut Random,
) -> Result<(), Finding> {
    let matrix = Matrix::random(subject, format, rows, columns, random)?;
    let out = Memory::empty(subject, rows * columns * 2)?;
    let arguments = DequantiseArguments {
        weights: matrix.weights(),
        out: out.pointer(),
    };
    let Some(launch) = arguments.launch(format)? else {
        ensure!(format == WeightFormat::Bf16, "{format:?} has no kernel");
        return Ok(());
    };
    subject.run(&launch, &[&out])?;
    for (row, found) in out.bf16s()?.chunks(columns).enumerate() {
        // Rounded once more, where a minimum is subtracted.
        near("weights", found, matrix.row(row), 1.0 / 256.0, 1e-6)?;
    }
    Ok(())
}

/// A product of many rows on random numbers.
pub(super) struct Case<'a> {
    pub(super) matrix: Matrix<'a>,
    pub(super) rows: usize,
    store: Store,
    input: Vec<f32>,
    /// Nothing when there is none.
    bias: Vec<f32>,
    /// What is there before, `[rows, stride]`.
    before: Vec<f32>,
}

/// Where a case's numbers are.
struct Placed<'a> {
    out: Memory<'a>,
    launch: Launch<ProductArguments>,
    #[allow(dead_code, reason = "dropped, not read")]
    read: [Memory<'a>; 2],
}

impl<'a> Case<'a> {
    pub(super) fn random(
        subject: &'a Subject,
        (rows, outputs, columns): (usize, usize, usize),
        (store, biased): (Store, bool),
        random: &mut Random,
    ) -> Result<Case<'a>, Finding> {
        Ok(Case {
            matrix: Matrix::random(subject, WeightFormat::Bf16, outputs, columns, random)?,
            rows,
            store,
            input: random.bf16s(rows * columns, 1.0),
            bias: random.normals(if biased { outputs } else { 0 }, 1.0),
            before: random.bf16s(rows * (outputs + 3), 1.0),
        })
    }

    fn stride(&self) -> usize {
        self.matrix.rows + 3
    }

    fn place(&self, subject: &'a Subject) -> Result<Placed<'a>, Finding> {
        let inputs = Memory::of_bf16(subject, &self.input)?;
        let biases = Memory::of_f32(subject, &self.bias)?;
        let out = match self.store {
            Store::Bf16 => Memory::of_bf16(subject, &self.before)?,
            _ => Memory::of_f32(subject, &self.before)?,
        };
        let arguments = ProductArguments {
            weights: self.matrix.weights(),
            input: inputs.pointer(),
            bias: match self.bias.is_empty() {
                true => DevicePointer::NULL,
                false => biases.pointer(),
            },
            out: out.pointer(),
            rows: self.rows as u32,
            out_stride: self.stride() as u32,
            store: self.store,
            unused: 0,
        };
        Ok(Placed {
            out,
            launch: arguments.gemm()?,
            read: [inputs, biases],
        })
    }

    fn result(&self, out: &Memory<'_>) -> Result<Vec<f32>, Finding> {
        let found = match self.store {
            Store::Bf16 => out.bf16s()?,
            _ => out.f32s()?,
        };
        for (found, before) in found.chunks(self.stride()).zip(self.before.chunks(self.stride())) {
            let outputs = self.matrix.rows;
            same("what lies between rows", &found[outputs..], &before[outputs..])?;
        }
        Ok(found)
    }

    /// The product as it is launched.
    pub(super) fn multiply(&self, subject: &'a Subject) -> Result<Vec<f32>, Finding> {
        let Placed { out, launch, .. } = &self.place(subject)?;
        subject.run(launch, &[out])?;
        self.result(out)
    }

    /// The product as our own kernel computes it, whatever else the device may leave it to.
    pub(super) fn multiply_by_kernel(&self, subject: &'a Subject) -> Result<Vec<f32>, Finding> {
        let Placed { out, launch, .. } = &self.place(subject)?;
        subject.with(|accelerator| {
            let graph = accelerator.prepare(&[launch.record()])?;
            accelerator.run(graph)?;
            accelerator.discard(graph);
            Ok(())
        })?;
        self.result(out)
    }

    /// Compares a result with plain arithmetic.
    pub(super) fn check(&self, found: &[f32], row: usize, output: usize) -> Result<(), Finding> {
        let at = row * self.stride() + output;
        let columns = self.matrix.columns;
        let (product, size) = self
            .matrix
            .product(&self.input[row * columns..][..columns], output);
        let mut expected = product as f32 + self.bias.get(output).unwrap_or(&0.0);
        if self.store == Store::AddF32 {
            expected += self.before[at];
        }
        let mut allowed = size as f32 * 2e-6 + expected.abs() * 1e-6 + 1e-6;
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

    /// The same of all of it.
    pub(super) fn check_all(&self, found: &[f32]) -> Result<(), Finding> {
        let mut all = (0..self.rows).flat_map(|row| (0..self.matrix.rows).map(move |output| (row, output)));
        all.try_for_each(|(row, output)| self.check(found, row, output))
    }
}

/// Less than a block, more than one each way, columns that end within a stage, less and more stages than are in flight.
pub(super) const SMALL_SHAPES: [(usize, usize, usize); 3] = [(3, 5, 16), (130, 140, 80), (65, 17, 272)];

pub(super) fn products_of_many_rows_are_right(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(31);
    let stores = [Store::F32, Store::AddF32, Store::Bf16];
    for (shape, store) in SMALL_SHAPES.into_iter().zip(stores) {
        let case = Case::random(subject, shape, (store, true), &mut random)?;
        let found = case.multiply(subject)?;
        case.check_all(&found)?;
    }
    Ok(())
}

/// All matrices of a model, some results.
fn a_models_products(subject: &Subject, shape: &ModelShape, rows: usize) -> Result<(), Finding> {
    let mut random = subject.random(32);
    let stores = [Store::F32, Store::AddF32, Store::Bf16];
    for ((_, outputs, inputs), store) in shape.matrices().into_iter().zip(stores.into_iter().cycle()) {
        let case = Case::random(subject, (rows, outputs, inputs), (store, true), &mut random)?;
        let found = case.multiply(subject)?;
        ensure!(
            found.iter().all(|value| value.is_finite()),
            "{outputs} outputs of {rows} rows are not all finite"
        );
        for _ in 0..1024 {
            case.check(&found, random.below(rows), random.below(outputs))?;
        }
    }
    for format in WeightFormat::ALL {
        become_bf16(subject, format, (shape.hidden, shape.intermediate), &mut random)?;
    }
    Ok(())
}

pub(super) fn a_tiny_models_products_of_many_rows_are_right(subject: &Subject) -> Result<(), Finding> {
    a_models_products(subject, &ModelShape::TINY, 70)
}

pub(super) fn a_large_models_products_of_many_rows_are_right(subject: &Subject) -> Result<(), Finding> {
    a_models_products(subject, &ModelShape::CWM_32B, 512)
}
