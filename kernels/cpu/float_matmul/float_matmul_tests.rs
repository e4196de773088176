//! Products with float weights against arithmetic in f64, and against the scalar definition.

use super::FloatMatrix;
use crate::ElementType;
use crate::blocks::dequantise;
use crate::cpu::{Activations, Isa, Matrix, Product, ThreadPool, matmul};
use half::{bf16, f16};
use proptest::prelude::*;

fn product(isa: Isa, weights: FloatMatrix<'_>, values: &[f32]) -> Vec<f32> {
    let pool = ThreadPool::new(2);
    let mut activations = Activations::default();
    activations.set(isa, &pool, values, weights.columns(), false);
    let mut out = vec![f32::NAN; activations.rows() * weights.rows()];
    let weights = Matrix::Float(weights);
    matmul(
        isa,
        &pool,
        &activations,
        &mut [Product {
            weights,
            bias: None,
            out: &mut out,
        }],
    );
    out
}

fn stored(element: ElementType, value: f32) -> Vec<u8> {
    match element {
        ElementType::F32 => value.to_le_bytes().to_vec(),
        ElementType::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
        _ => bf16::from_f32(value).to_le_bytes().to_vec(),
    }
}

fn check(element: ElementType, rows: usize, columns: usize, count: usize, numbers: &[f32]) {
    let number = |index: usize| numbers[index % numbers.len()] * (1.0 + (index % 13) as f32 / 7.0);
    // One byte before the weights, so that they are not aligned.
    let mut bytes = vec![0];
    bytes.extend((0..rows * columns).flat_map(|index| stored(element, number(index))));
    let bytes = &bytes[1..];
    let values: Vec<f32> = (0..count * columns).map(|index| number(index * 3 + 1)).collect();
    let matrix = FloatMatrix::new(element, rows, columns, bytes).unwrap();
    let scalar = product(Isa::Scalar, matrix, &values);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let found: Vec<u32> = product(isa, matrix, &values)
            .iter()
            .map(|value| value.to_bits())
            .collect();
        let expected: Vec<u32> = scalar.iter().map(|value| value.to_bits()).collect();
        assert_eq!(found, expected, "{element:?} {isa:?} {rows}x{columns} by {count}");
    }
    let mut weights = vec![0.0; rows * columns];
    dequantise(element, bytes, &mut weights).unwrap();
    for (index, found) in scalar.iter().enumerate() {
        let (row, output) = (index / rows, index % rows);
        let products = weights[output * columns..][..columns]
            .iter()
            .zip(&values[row * columns..][..columns]);
        let products = products.map(|(weight, value)| f64::from(*weight) * f64::from(*value));
        let (exact, size) = products.fold((0.0, 0.0), |(sum, size), value| (sum + value, size + value.abs()));
        let bound = size * (columns / 16 + 6) as f64 * 2f64.powi(-24);
        assert!((f64::from(*found) - exact).abs() <= bound, "{found} for {exact}");
    }
}

const FLOATS: [ElementType; 3] = [ElementType::F32, ElementType::F16, ElementType::BF16];

#[test]
fn float_products_around_the_edges_of_tiles_and_pieces() {
    let numbers: Vec<f32> = (0..101)
        .map(|index| ((index * 37 % 101) as f32 - 50.0) / 33.0)
        .collect();
    for element in FLOATS {
        for rows in [1, 2, 4, 15, 16, 17, 33] {
            for columns in [1, 15, 16, 17, 96] {
                for count in [1, 3, 4, 5, 17] {
                    check(element, rows, columns, count, &numbers);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn float_products_of_any_shape(
        element in prop::sample::select(&FLOATS[..]),
        rows in 1usize..50,
        columns in 1usize..130,
        count in 1usize..20,
        numbers in prop::collection::vec(-4.0f32..4.0, 1..50),
    ) {
        check(element, rows, columns, count, &numbers);
    }
}
