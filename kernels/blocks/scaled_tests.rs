//! 8-bit floats against `ml_dtypes`, rows against what the rules say of them, and properties on random rows.

use std::path::PathBuf;

use half::bf16;
use proptest::prelude::*;

use super::super::{dequantise, e4m3_from_f32, e4m3_to_f32};
use super::*;

fn file(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/blocks");
    std::fs::read(folder.join(name)).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let chunks = bytes.as_chunks::<4>().0;
    chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Codes and scales of a row.
fn quantised(element: ElementType, row: &[f32]) -> (Vec<u8>, Vec<u8>) {
    let (codes, scales) = scaled_row_bytes(element, row.len()).unwrap();
    let (mut codes, mut scales) = (vec![0; codes], vec![0; scales]);
    quantise_row(element, row, &mut codes, &mut scales).unwrap();
    (codes, scales)
}

fn there_and_back(element: ElementType, row: &[f32]) -> Vec<f32> {
    let (codes, scales) = quantised(element, row);
    let mut out = vec![f32::NAN; row.len()];
    dequantise_row(element, &codes, &scales, &mut out).unwrap();
    out
}

#[test]
fn every_float_of_the_fixture_is_rounded_as_ml_dtypes_rounds_it() {
    let (values, codes) = (floats(&file("E4M3.from.f32")), file("E4M3.to.bin"));
    assert!(values.len() > 2000 && values.len() == codes.len());
    for (value, expected) in values.iter().zip(codes) {
        let found = e4m3_from_f32(*value);
        // Of NaN only that it is one.
        let same = found == expected || value.is_nan() && found & 0x7f == 0x7f;
        assert!(same, "{value:e}: {found:#04x} for {expected:#04x}");
    }
}

#[test]
fn codes_come_back_as_they_are_and_all_floats_go_to_the_nearest() {
    let numbers: Vec<f32> = (0..0x7f).map(e4m3_to_f32).collect();
    assert!(numbers.is_sorted() && numbers.last() == Some(&E4M3_MAX));
    for code in 0..=u8::MAX {
        let number = e4m3_to_f32(code);
        assert!(number.is_nan() == (code & 0x7f == 0x7f));
        assert_eq!(e4m3_from_f32(number) & 0x7f, code & 0x7f, "{code:#04x}");
    }
    // Every 32-bit float's upper half, both signs, against a search over all codes.
    for upper in 0..=u16::MAX {
        let value = f32::from_bits(u32::from(upper) << 16 | 0x1234);
        if !value.is_finite() {
            continue;
        }
        let found = e4m3_from_f32(value);
        assert_eq!(found & 0x80 != 0, value.is_sign_negative());
        let distance = |code: u8| (f64::from(e4m3_to_f32(code)) - f64::from(value.abs().min(E4M3_MAX))).abs();
        let nearest = (0..0x7f_u8).min_by(|one, other| {
            // Of two as near the even one.
            distance(*one)
                .total_cmp(&distance(*other))
                .then((one & 1).cmp(&(other & 1)))
        });
        assert_eq!(Some(found & 0x7f), nearest, "{value:e}");
    }
}

#[test]
fn a_row_of_8_bit_floats_has_its_largest_magnitude_at_448() {
    let row = [0.5, -2.0, 0.25, 1e-9, 0.0];
    let (codes, scales) = quantised(ElementType::E4M3, &row);
    assert_eq!(floats(&scales), [2.0 / 448.0]);
    assert_eq!(
        codes.iter().map(|code| e4m3_to_f32(*code)).collect::<Vec<_>>(),
        [112.0, -448.0, 56.0, 0.0, 0.0]
    );
    assert_eq!(there_and_back(ElementType::E4M3, &row)[1], -2.0);
}

#[test]
fn groups_of_4_bit_integers_have_scales_of_their_own_and_the_last_may_be_short() {
    let mut row = vec![0.0; 192];
    row[..16].copy_from_slice(&std::array::from_fn::<f32, 16, _>(|code| code as f32 - 8.0));
    row[128] = -0.001;
    row[129] = 0.0005;
    let (codes, scales) = quantised(ElementType::I4, &row);
    assert_eq!((codes.len(), scales.len()), (96, 4));
    // -8 to 7 with the scale 1 are exact: code 0 and 1 in the first byte, the earlier element in the lower half.
    assert_eq!(codes[..8], [0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe]);
    assert_eq!(bf16::from_le_bytes([scales[0], scales[1]]), bf16::ONE);
    let back = there_and_back(ElementType::I4, &row);
    assert_eq!(back[..128], row[..128]);
    assert!(
        (back[128] + 0.001).abs() < 1e-5 && (back[129] - 0.0005).abs() < 1e-4,
        "{:?}",
        &back[128..130]
    );
    // The unscaled numbers of the type are the codes.
    let mut plain = vec![0.0; 192];
    dequantise(ElementType::I4, &codes, &mut plain).unwrap();
    assert_eq!(plain[..16], row[..16]);
}

#[test]
fn zeros_stay_zeros_and_tiny_rows_are_not_divided_by_zero() {
    for element in [ElementType::E4M3, ElementType::I4] {
        assert!(
            there_and_back(element, &[0.0; 128])
                .iter()
                .all(|value| *value == 0.0)
        );
        let tiny = f32::from_bits(1);
        let back = there_and_back(element, &[tiny; 128]);
        assert!(
            back.iter().all(|value| value.is_finite() && value.abs() <= 1e-37),
            "{:?}",
            back[0]
        );
        let huge = there_and_back(element, &[f32::MAX, -f32::MAX]);
        assert!(
            huge.iter()
                .all(|value| value.abs() > 0.9 * f32::MAX || value.is_infinite()),
            "{huge:?}"
        );
    }
}

#[test]
fn what_is_no_number_is_refused_with_its_place() {
    for element in [ElementType::E4M3, ElementType::I4] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut row = vec![1.0; 256];
            row[200] = bad;
            let (codes, scales) = scaled_row_bytes(element, 256).unwrap();
            let error = quantise_row(element, &row, &mut vec![0; codes], &mut vec![0; scales]);
            assert_eq!(error, Err(ScaleError::NotFinite { column: 200 }));
        }
    }
}

#[test]
fn arrays_of_other_lengths_and_other_types_are_refused() {
    for element in ElementType::ALL {
        let error = quantise_row(element, &[1.0; 3], &mut [0; 9], &mut [0; 2]);
        assert_eq!(error, Err(ScaleError::Arrays { element, columns: 3 }));
        assert_eq!(scale_type(element).is_some(), element.has_scales_apart());
        let mut out = [7.0; 128];
        assert!(dequantise_row(element, &[0; 5], &[], &mut out).is_err());
        assert!(out.iter().all(|value| *value == 7.0));
    }
    assert_eq!(scaled_row_bytes(ElementType::I4, 127), None);
}

proptest! {
    /// No element is further from its own than half a step: 1/16 of it for 8-bit floats, or half the smallest step.
    #[test]
    fn errors_of_8_bit_floats_are_bounded(row in prop::collection::vec(-1e4_f32..1e4, 1..300)) {
        let step = largest(&row) / E4M3_MAX;
        for (value, back) in row.iter().zip(there_and_back(ElementType::E4M3, &row)) {
            let bound = (value.abs() / 16.0).max(step / 1024.0) * 1.001;
            prop_assert!((value - back).abs() <= bound, "{} {}", value, back);
        }
    }

    /// The chosen scale is never worse than the plain one, which maps the largest magnitude to 7, in the sum of squares.
    #[test]
    fn scales_of_4_bit_integers_beat_the_plain_one(row in prop::collection::vec(-3.0_f32..3.0, 128..129), spread in 1.0_f32..50.0) {
        let row: Vec<f32> = row.iter().map(|value| value.powi(3) / spread).collect();
        let squares = |back: &[f32]| row.iter().zip(back).map(|(value, back)| f64::from(value - back).powi(2)).sum::<f64>();
        let plain = bf16::from_f32(largest(&row) / 7.0).to_f32();
        let plain: Vec<f32> = row.iter().map(|value| f32::from(i4_code(*value, plain)) * plain).collect();
        prop_assert!(squares(&there_and_back(ElementType::I4, &row)) <= squares(&plain) * 1.000_001);
    }
}
