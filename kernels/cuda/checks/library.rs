//! Products of many rows by the matrix library, on an accelerator that has one.

use super::finding::{Finding, ensure};
use super::gemm::{Case, SMALL_SHAPES};
use super::shape::ModelShape;
use super::subject::Subject;
use crate::cuda::{MatrixLibraryUse, Store};

/// All that the library is asked for: a bias is never added to what becomes bf16.
const KINDS: [(Store, bool); 5] = [
    (Store::F32, false),
    (Store::F32, true),
    (Store::AddF32, false),
    (Store::AddF32, true),
    (Store::Bf16, false),
];

fn library(subject: &Subject) -> Result<MatrixLibraryUse, Finding> {
    subject
        .matrix_library()
        .map_err(|reason| Finding::Wrong(format!("there is no matrix library to check: {reason}")))
}

pub(super) fn the_matrix_librarys_products_are_right(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(35);
    let before = library(subject)?;
    for kind in KINDS {
        for shape in SMALL_SHAPES {
            let case = Case::random(subject, shape, kind, &mut random)?;
            case.check_all(&case.multiply(subject)?)?;
        }
    }
    // It need not have algorithms for strides that are no multiple of anything.
    ensure!(
        library(subject)?.products > before.products,
        "the library has taken none of these products"
    );
    Ok(())
}

pub(super) fn the_matrix_librarys_products_for_a_large_model_are_right(
    subject: &Subject,
) -> Result<(), Finding> {
    let mut random = subject.random(36);
    let shapes = ModelShape::CWM_32B.matrices();
    for ((name, outputs, inputs), kind) in shapes.into_iter().zip(KINDS.into_iter().cycle()) {
        for rows in [77, 512] {
            let case = Case::random(subject, (rows, outputs, inputs), kind, &mut random)?;
            let before = library(subject)?;
            let found = case.multiply(subject)?;
            let after = library(subject)?;
            ensure!(
                after.products > before.products && after.refused == before.refused,
                "the library has not taken {name}, {rows} rows"
            );
            for _ in 0..1024 {
                case.check(&found, random.below(rows), random.below(outputs))?;
            }
            near_the_kernels(&found, &case.multiply_by_kernel(subject)?, inputs, kind.0)?;
        }
    }
    Ok(())
}

/// All results are about those of our own kernel: both round sums of so many terms of about 1, in different orders.
fn near_the_kernels(found: &[f32], kernels: &[f32], terms: usize, store: Store) -> Result<(), Finding> {
    let share = if store == Store::Bf16 { 1.0 / 64.0 } else { 1e-5 };
    for (place, (found, kernel)) in found.iter().zip(kernels).enumerate() {
        let allowed = terms as f32 * 2e-6 + kernel.abs() * share + 1e-5;
        ensure!(
            (found - kernel).abs() <= allowed,
            "number {place} of {terms} terms is {found} by the library, and {kernel} by our own kernel"
        );
    }
    Ok(())
}
