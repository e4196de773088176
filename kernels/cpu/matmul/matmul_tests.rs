//! Products against arithmetic in f64 on dequantised weights, and against themselves: other instruction sets, other rows beside.

use super::{Matrix, Product, matmul};
use crate::ElementType;
use crate::blocks::dequantise;
use crate::cpu::{Activations, FloatMatrix, Isa, PackedMatrix, ThreadPool};
use half::f16;

/// A small generator of random numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// From -1 to 1.
    fn value(&mut self) -> f32 {
        self.next() as f32 / (1u64 << 30) as f32 - 1.0
    }
}

fn quantised_types() -> impl Iterator<Item = ElementType> {
    ElementType::ALL
        .into_iter()
        .filter(|element| element.is_quantised() && !element.has_scales_apart())
}

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

/// Where the 16-bit floats of a block are.
fn scale_offsets(element: ElementType) -> &'static [usize] {
    match element {
        ElementType::Q6_K => &[208],
        ElementType::Q4_1 | ElementType::Q5_1 | ElementType::Q4_K | ElementType::Q5_K => &[0, 2],
        _ => &[0],
    }
}

/// Random rows as a file stores them: any codes, scales of both signs and of sizes 16 times apart.
fn random_weights(element: ElementType, rows: usize, columns: usize, random: &mut Random) -> Vec<u8> {
    let blocks = rows * columns / element.block_elements();
    let mut bytes: Vec<u8> = (0..blocks * element.block_bytes())
        .map(|_| random.next() as u8)
        .collect();
    for block in bytes.chunks_exact_mut(element.block_bytes()) {
        for &at in scale_offsets(element) {
            let scale = f16::from_f32(random.value() * 2f32.powi((random.next() % 5) as i32 - 8));
            block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
    }
    bytes
}

fn random_activations(rows: usize, columns: usize, random: &mut Random) -> Vec<f32> {
    let mut values: Vec<f32> = (0..rows * columns).map(|_| random.value()).collect();
    // A few large ones, as real activations have.
    for value in values.iter_mut().step_by(37) {
        *value *= 20.0;
    }
    values
}

fn product(isa: Isa, threads: usize, weights: Matrix<'_>, values: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let pool = ThreadPool::new(threads);
    let mut activations = Activations::default();
    activations.set(
        isa,
        &pool,
        values,
        weights.columns(),
        matches!(weights, Matrix::Packed(_)),
    );
    let mut out = vec![f32::NAN; activations.rows() * weights.rows()];
    matmul(
        isa,
        &pool,
        &activations,
        &mut [Product {
            weights,
            bias,
            out: &mut out,
        }],
    );
    out
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// What 32 activations become, computed apart from the code under test: floats that are whole steps, and the step.
fn quantised_activations(values: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let mut rounded = Vec::new();
    let mut steps = Vec::new();
    for group in values.chunks(32) {
        let largest = group.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let step = largest / 127.0;
        for value in group {
            rounded.push(f64::from((value * (127.0 / largest)).round_ties_even()) * f64::from(step));
            steps.push(f64::from(step));
        }
    }
    (rounded, steps)
}

/// Checks a packed product of one shape on every instruction set, and returns the largest error by its tight bound.
fn check_packed(element: ElementType, rows: usize, columns: usize, count: usize) -> f64 {
    let mut random = Random((rows * 1_000_003 + columns * 1009 + count) as u64);
    let bytes = random_weights(element, rows, columns, &mut random);
    let values = random_activations(count, columns, &mut random);
    let mut weights = vec![0.0; rows * columns];
    dequantise(element, &bytes, &mut weights).unwrap();
    let (rounded, steps) = quantised_activations(&values);
    let packed = PackedMatrix::pack(&ThreadPool::new(1), element, rows, columns, &bytes).unwrap();
    let expected = product(Isa::Scalar, 1, Matrix::Packed(&packed), &values, None);
    for isa in available() {
        let found = product(isa, 2, Matrix::Packed(&packed), &values, None);
        assert_eq!(
            bits(&found),
            bits(&expected),
            "{element:?} {isa:?} {rows}x{columns} by {count}"
        );
    }
    let mut worst = 0f64;
    for row in 0..count {
        for output in 0..rows {
            let weights = &weights[output * columns..][..columns];
            let at = row * columns..(row + 1) * columns;
            let (mut exact, mut exact_unrounded, mut size, mut step_error) = (0.0, 0.0, 0.0, 0.0);
            for (weights, column) in weights.chunks(32).zip(at.step_by(32)) {
                let largest = weights
                    .iter()
                    .fold(0f64, |largest, weight| largest.max(f64::from(weight.abs())));
                for (index, weight) in weights.iter().enumerate() {
                    let weight = f64::from(*weight);
                    exact += weight * rounded[column + index];
                    exact_unrounded += weight * f64::from(values[column + index]);
                    size += largest * rounded[column + index].abs();
                    step_error += weight.abs() * steps[column + index] * 0.5001;
                }
            }
            let found = f64::from(expected[row * rows + output]);
            // Each group rounds a few times, each time by at most 2^-24 of what has been added up.
            let bound = size * (columns / 32 + 4) as f64 * 2f64.powi(-22);
            let error = (found - exact).abs();
            assert!(
                error <= bound,
                "{element:?} {rows}x{columns} by {count}, output {output}: {found} for {exact}"
            );
            assert!(
                (found - exact_unrounded).abs() <= step_error + bound,
                "{found} for {exact_unrounded}"
            );
            worst = worst.max(error / bound);
        }
    }
    worst
}

#[test]
fn packed_products_are_exact_to_rounding_around_the_edges_of_tiles() {
    for element in quantised_types() {
        let mut worst = 0f64;
        for rows in [1, 15, 16, 17, 33] {
            for blocks in [1, 2, 3] {
                for count in [1, 2, 5, 17] {
                    worst = worst.max(check_packed(
                        element,
                        rows,
                        blocks * element.block_elements(),
                        count,
                    ));
                }
            }
        }
        assert!(
            worst > 0.0,
            "{element:?}: results without any rounding are not believable"
        );
    }
}

#[test]
fn packed_products_of_every_number_of_rows() {
    for element in quantised_types() {
        for count in 1..=34 {
            check_packed(element, 17, 256, count);
        }
    }
}

/// The largest sums of integers that there are: vector versions add them up in 16 bits as far as that goes.
#[test]
fn the_largest_integers_do_not_overflow() {
    let (rows, columns) = (16, 256);
    for element in quantised_types() {
        for (code, sign) in [
            (0xff, 1.0),
            (0xff, -1.0),
            (0x80, 1.0),
            (0x80, -1.0),
            (0x7f, 1.0),
            (0x00, -1.0),
        ] {
            let mut bytes = vec![code; rows * columns / element.block_elements() * element.block_bytes()];
            for block in bytes.chunks_exact_mut(element.block_bytes()) {
                for &at in scale_offsets(element) {
                    block[at..at + 2].copy_from_slice(&f16::from_f32(0.5).to_le_bytes());
                }
            }
            let mut weights = vec![0.0; rows * columns];
            dequantise(element, &bytes, &mut weights).unwrap();
            let packed = PackedMatrix::pack(&ThreadPool::new(1), element, rows, columns, &bytes).unwrap();
            // 127 steps of 1 each, so that every product and sum is a float exactly.
            let values = vec![127.0 * sign; columns];
            for isa in available() {
                let found = product(isa, 1, Matrix::Packed(&packed), &values, None);
                for (found, weights) in found.iter().zip(weights.chunks_exact(columns)) {
                    let exact: f64 = weights
                        .iter()
                        .map(|weight| f64::from(*weight) * 127.0 * f64::from(sign))
                        .sum();
                    assert_eq!(f64::from(*found), exact, "{element:?} {isa:?} {code:#x} {sign}");
                }
            }
        }
    }
}

#[test]
fn a_row_gives_the_same_bits_whatever_runs_beside_it() {
    let (rows, columns, count) = (40, 512, 45);
    for element in ElementType::ALL
        .into_iter()
        .filter(|element| !element.has_scales_apart())
    {
        let mut random = Random(7);
        let bytes = random_weights_of_any_type(element, rows, columns, &mut random);
        let values = random_activations(count, columns, &mut random);
        let packed = PackedMatrix::pack(&ThreadPool::new(2), element, rows, columns, &bytes);
        let matrix = match &packed {
            Ok(packed) => Matrix::Packed(packed),
            Err(_) => Matrix::Float(FloatMatrix::new(element, rows, columns, &bytes).unwrap()),
        };
        for isa in available() {
            let together = product(isa, 2, matrix, &values, None);
            for (row, expected) in together.chunks_exact(rows).enumerate() {
                let alone = product(isa, 1, matrix, &values[row * columns..][..columns], None);
                assert_eq!(bits(&alone), bits(expected), "{element:?} {isa:?} row {row}");
            }
        }
    }
}

fn random_weights_of_any_type(
    element: ElementType,
    rows: usize,
    columns: usize,
    random: &mut Random,
) -> Vec<u8> {
    match element {
        ElementType::F32 => (0..rows * columns)
            .flat_map(|_| random.value().to_le_bytes())
            .collect(),
        ElementType::F16 => (0..rows * columns)
            .flat_map(|_| f16::from_f32(random.value()).to_le_bytes())
            .collect(),
        ElementType::BF16 => (0..rows * columns)
            .flat_map(|_| half::bf16::from_f32(random.value()).to_le_bytes())
            .collect(),
        _ => random_weights(element, rows, columns, random),
    }
}

#[test]
fn several_products_and_their_biases_in_one_call() {
    let (columns, count) = (256, 6);
    let mut random = Random(11);
    let values = random_activations(count, columns, &mut random);
    let sizes = [
        (ElementType::Q4_K, 48),
        (ElementType::Q6_K, 5),
        (ElementType::F16, 20),
        (ElementType::Q8_0, 16),
    ];
    let bytes = sizes.map(|(element, rows)| random_weights_of_any_type(element, rows, columns, &mut random));
    let bias: Vec<f32> = (0..48).map(|_| random.value()).collect();
    for isa in available() {
        let pool = ThreadPool::new(2);
        let packed = [0, 1, 3].map(|index| {
            let (element, rows) = sizes[index];
            PackedMatrix::pack(&pool, element, rows, columns, &bytes[index]).unwrap()
        });
        let float = FloatMatrix::new(ElementType::F16, 20, columns, &bytes[2]).unwrap();
        let matrices = [
            Matrix::Packed(&packed[0]),
            Matrix::Packed(&packed[1]),
            Matrix::Float(float),
            Matrix::Packed(&packed[2]),
        ];
        let biases = [Some(&bias[..]), None, Some(&bias[..20]), None];
        let mut outs = sizes.map(|(_, rows)| vec![f32::NAN; rows * count]);
        let mut activations = Activations::default();
        activations.set(isa, &pool, &values, columns, true);
        let mut products: Vec<Product<'_>> = (matrices.into_iter().zip(biases).zip(&mut outs))
            .map(|((weights, bias), out)| Product { weights, bias, out })
            .collect();
        matmul(isa, &pool, &activations, &mut products);
        drop(products);
        for ((matrix, bias), out) in matrices.into_iter().zip(biases).zip(&outs) {
            let mut expected = product(Isa::Scalar, 1, matrix, &values, None);
            if let Some(bias) = bias {
                for row in expected.chunks_exact_mut(bias.len()) {
                    row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
                }
            }
            assert_eq!(bits(out), bits(&expected), "{isa:?}");
        }
    }
}

#[test]
fn scales_that_are_no_numbers_stay_in_their_row() {
    let (rows, columns, bad) = (20, 256, 3);
    for element in quantised_types() {
        for scale in [f16::NAN, f16::INFINITY, f16::NEG_INFINITY] {
            let mut random = Random(5);
            let mut bytes = random_weights(element, rows, columns, &mut random);
            let values = random_activations(2, columns, &mut random);
            let pool = ThreadPool::new(1);
            let good = PackedMatrix::pack(&pool, element, rows, columns, &bytes).unwrap();
            let row_bytes = bytes.len() / rows;
            for &at in scale_offsets(element) {
                bytes[bad * row_bytes + at..][..2].copy_from_slice(&scale.to_le_bytes());
            }
            let damaged = PackedMatrix::pack(&pool, element, rows, columns, &bytes).unwrap();
            for isa in available() {
                let expected = product(isa, 1, Matrix::Packed(&good), &values, None);
                let found = product(isa, 1, Matrix::Packed(&damaged), &values, None);
                for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    if index % rows == bad {
                        assert!(!found.is_finite(), "{element:?} {isa:?} {scale}");
                    } else {
                        assert_eq!(found.to_bits(), expected.to_bits(), "{element:?} {isa:?} {scale}");
                    }
                }
            }
        }
    }
}

#[test]
fn packing_refuses_what_does_not_fit() {
    let pool = ThreadPool::new(1);
    for element in quantised_types() {
        let (columns, row) = (element.block_elements(), element.block_bytes());
        assert!(PackedMatrix::pack(&pool, element, 2, columns, &vec![0; 2 * row]).is_ok());
        assert!(PackedMatrix::pack(&pool, element, 2, columns, &vec![0; 2 * row - 1]).is_err());
        assert!(PackedMatrix::pack(&pool, element, 2, columns - 1, &vec![0; 2 * row]).is_err());
        assert!(PackedMatrix::pack(&pool, element, usize::MAX, columns, &vec![0; row]).is_err());
        assert!(PackedMatrix::pack(&pool, element, 0, columns, &[]).is_ok());
        assert!(FloatMatrix::new(element, 1, columns, &vec![0; row]).is_err());
    }
    assert!(PackedMatrix::pack(&pool, ElementType::F16, 1, 32, &[0; 64]).is_err());
    assert!(FloatMatrix::new(ElementType::F16, 1, 32, &[0; 64]).is_ok());
    assert!(FloatMatrix::new(ElementType::F16, 1, 32, &[0; 63]).is_err());
}

#[test]
fn packed_weights_take_hardly_more_room_than_the_file() {
    for element in quantised_types() {
        let bytes = vec![0; 64 * 2048 / element.block_elements() * element.block_bytes()];
        let packed = PackedMatrix::pack(&ThreadPool::new(1), element, 64, 2048, &bytes).unwrap();
        assert!(
            packed.bytes() * 100 <= bytes.len() * 103,
            "{element:?}: {} for {}",
            packed.bytes(),
            bytes.len()
        );
    }
}
