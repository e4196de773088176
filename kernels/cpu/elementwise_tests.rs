//! Tests of the functions on rows: norm, rotation, gate and sum, against double precision and across instruction sets.

use super::super::{Isa, RopePairs, add, rms_norm, rope, silu_multiply};

const LENGTHS: [usize; 12] = [1, 2, 3, 15, 16, 17, 31, 33, 64, 100, 576, 1536];

/// Numbers between -scale and scale, the same every time.
fn numbers(seed: u64, length: usize, scale: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1u64 << 24) as f32 * 2.0 - 1.0) * scale
    };
    (0..length).map(|_| next()).collect()
}

/// The result of `compute`, which must be the same with all instruction sets.
fn on_all(compute: impl Fn(Isa) -> Vec<f32>) -> Vec<f32> {
    let bits = |isa| compute(isa).into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let scalar = bits(Isa::Scalar);
    assert_eq!(scalar, bits(Isa::Avx2));
    assert_eq!(scalar, bits(Isa::Avx512));
    compute(Isa::Scalar)
}

fn assert_close(actual: &[f32], expected: &[f64], relative: f64, absolute: f64) {
    assert_eq!(actual.len(), expected.len());
    for (index, (a, e)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(*a) - e).abs();
        assert!(
            error <= relative * e.abs() + absolute,
            "[{index}]: {a} is not {e}"
        );
    }
}

#[test]
fn rms_norm_is_that_of_double_precision() {
    for length in LENGTHS {
        let values = numbers(length as u64, length, 3.0);
        let weight = numbers(length as u64 + 1, length, 2.0);
        let actual = on_all(|isa| {
            let mut out = vec![f32::NAN; length];
            rms_norm(isa, &values, &weight, 1e-5, &mut out);
            out
        });
        let squares: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
        let scale = 1.0 / (squares / length as f64 + 1e-5).sqrt();
        let expected: Vec<f64> = values
            .iter()
            .zip(&weight)
            .map(|(x, w)| f64::from(*x) * scale * f64::from(*w))
            .collect();
        assert_close(&actual, &expected, 1e-6, 0.0);
    }
}

#[test]
fn the_gate_is_that_of_double_precision() {
    for length in LENGTHS {
        let gate = numbers(length as u64, length, 30.0);
        let up = numbers(length as u64 + 1, length, 2.0);
        let actual = on_all(|isa| {
            let mut out = gate.clone();
            silu_multiply(isa, &mut out, &up);
            out
        });
        let expected: Vec<f64> = gate
            .iter()
            .zip(&up)
            .map(|(x, u)| f64::from(*x) / (1.0 + (-f64::from(*x)).exp()) * f64::from(*u))
            .collect();
        assert_close(&actual, &expected, 1e-6, 1e-30);
    }
}

#[test]
fn the_gate_of_extreme_values() {
    let gate = [-1e30f32, -200.0, -0.0, 0.0, 200.0, 1e30];
    let actual = on_all(|isa| {
        let mut out = gate.to_vec();
        silu_multiply(isa, &mut out, &[1.0; 6]);
        out
    });
    assert_eq!(actual, [0.0, 0.0, 0.0, 0.0, 200.0, 1e30]);
    let broken = on_all(|isa| {
        let mut out = vec![f32::NAN];
        silu_multiply(isa, &mut out, &[1.0]);
        vec![f32::from(u8::from(out[0].is_nan()))]
    });
    assert_eq!(broken, [1.0]);
}

#[test]
fn sums() {
    for length in LENGTHS {
        let (a, b) = (numbers(1, length, 5.0), numbers(2, length, 5.0));
        let actual = on_all(|isa| {
            let mut out = a.clone();
            add(isa, &mut out, &b);
            out
        });
        let expected: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        assert_eq!(actual, expected);
    }
}

#[test]
fn both_kinds_of_rotation() {
    for head_dim in [2, 6, 16, 20, 64, 80, 96, 128, 256] {
        let heads = 3;
        let input = numbers(head_dim as u64, heads * head_dim, 2.0);
        let angles = numbers(7, head_dim / 2, 3.0);
        let cos: Vec<f32> = angles.iter().map(|angle| angle.cos()).collect();
        let sin: Vec<f32> = angles.iter().map(|angle| angle.sin()).collect();
        for pairs in [RopePairs::HalfSplit, RopePairs::Interleaved] {
            let actual = on_all(|isa| {
                let mut out = input.clone();
                rope(isa, pairs, head_dim, &cos, &sin, &mut out);
                out
            });
            let mut expected = vec![0.0; input.len()];
            for head in 0..heads {
                for i in 0..head_dim / 2 {
                    let (first, second) = match pairs {
                        RopePairs::HalfSplit => (i, i + head_dim / 2),
                        RopePairs::Interleaved => (2 * i, 2 * i + 1),
                    };
                    let (first, second) = (head * head_dim + first, head * head_dim + second);
                    let (a, b) = (f64::from(input[first]), f64::from(input[second]));
                    let (cos, sin) = (f64::from(cos[i]), f64::from(sin[i]));
                    expected[first] = a * cos - b * sin;
                    expected[second] = b * cos + a * sin;
                }
            }
            assert_close(&actual, &expected, 0.0, 1e-6);
        }
    }
}
