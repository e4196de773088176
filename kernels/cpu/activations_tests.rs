//! What quantising activations keeps of them.

use super::{ActivationGroup, Activations, BLOCK_ROWS};
use crate::cpu::{Isa, ThreadPool};
use proptest::prelude::*;

fn quantised(isa: Isa, threads: usize, values: &[f32], columns: usize) -> Activations {
    let mut activations = Activations::default();
    activations.set(isa, &ThreadPool::new(threads), values, columns, true);
    activations
}

/// The group of a row, wherever the layout puts it.
fn group(activations: &Activations, row: usize, group: usize) -> ActivationGroup {
    let block = activations.block(row / BLOCK_ROWS);
    let rows = (activations.rows() - row / BLOCK_ROWS * BLOCK_ROWS).min(BLOCK_ROWS);
    block[group * rows + row % BLOCK_ROWS]
}

fn bits(group: &ActivationGroup) -> ([i8; 32], u32, u32, i32, [i32; 2]) {
    let ActivationGroup {
        values,
        scale,
        sum,
        negative_sum,
        negative_half_sums,
    } = *group;
    (
        values,
        scale.to_bits(),
        sum.to_bits(),
        negative_sum,
        negative_half_sums,
    )
}

proptest! {
    #[test]
    fn integers_stay_within_half_a_step_and_sums_are_theirs(
        rows in 1usize..40,
        groups in 1usize..4,
        seed in any::<u64>(),
        exponent in -30i32..30,
    ) {
        let columns = 32 * groups;
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / 8_388_608.0 - 1.0) * 2f32.powi(exponent)
        };
        let values: Vec<f32> = (0..rows * columns).map(|_| next()).collect();
        let scalar = quantised(Isa::Scalar, 1, &values, columns);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let found = quantised(isa, 2, &values, columns);
            for row in 0..rows {
                for index in 0..groups {
                    let same = group(&scalar, row, index);
                    let group = group(&found, row, index);
                    prop_assert_eq!(bits(&group), bits(&same));
                    let integers: Vec<i32> = group.values.iter().map(|value| i32::from(*value)).collect();
                    let total: i32 = integers.iter().sum();
                    prop_assert_eq!(group.negative_sum, -total);
                    prop_assert_eq!(group.negative_half_sums[0], -integers[..16].iter().sum::<i32>());
                    prop_assert_eq!(group.negative_half_sums[1], -integers[16..].iter().sum::<i32>());
                    prop_assert_eq!(group.sum, group.scale * total as f32);
                    for (column, integer) in integers.iter().enumerate() {
                        prop_assert!(integer.abs() <= 127);
                        let value = values[row * columns + index * 32 + column];
                        let error = (value - group.scale * *integer as f32).abs();
                        prop_assert!(error <= group.scale * 0.5001, "{} as {} steps of {}", value, integer, group.scale);
                    }
                }
            }
        }
    }
}

#[test]
fn values_that_are_no_numbers_mark_their_group_and_no_other() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = vec![1.0; 96];
        values[40] = bad;
        let activations = quantised(Isa::best(), 1, &values, 96);
        assert!(group(&activations, 0, 1).scale.is_nan());
        assert!(group(&activations, 0, 1).sum.is_nan());
        for good in [0, 2] {
            assert_eq!(group(&activations, 0, good).values, [127; 32]);
        }
    }
}

#[test]
fn zeros_and_numbers_too_small_to_scale_become_zero() {
    for value in [0.0, -0.0, 1e-38, f32::from_bits(1)] {
        let activations = quantised(Isa::best(), 1, &[value; 32], 32);
        let group = group(&activations, 0, 0);
        assert_eq!((group.values, group.scale, group.sum), ([0; 32], 0.0, 0.0));
    }
}
