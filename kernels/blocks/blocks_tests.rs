//! Dequantisation against floats that the `gguf` package read from the same bytes (scripts/make-block-fixtures).

use super::{BlockError, dequantise};
use crate::ElementType;
use std::path::PathBuf;

fn fixture(element: ElementType) -> (Vec<u8>, Vec<f32>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/blocks");
    let bytes = std::fs::read(folder.join(format!("{}.bin", element.name()))).unwrap();
    let floats = std::fs::read(folder.join(format!("{}.f32", element.name()))).unwrap();
    let floats = floats
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    (bytes, floats)
}

#[test]
fn every_type_gives_the_floats_of_the_reference() {
    for element in ElementType::ALL {
        let (bytes, expected) = fixture(element);
        assert!(expected.len() >= 256, "{element:?}");
        let mut found = vec![f32::NAN; expected.len()];
        dequantise(element, &bytes, &mut found).unwrap();
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(
                // Which NaN it is does not matter.
                if found.is_nan() {
                    f32::NAN.to_bits()
                } else {
                    found.to_bits()
                },
                if expected.is_nan() {
                    f32::NAN.to_bits()
                } else {
                    expected.to_bits()
                },
                "{element:?} at {index}: {found} for {expected}"
            );
        }
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused_and_nothing_is_written() {
    for element in ElementType::ALL {
        let (block, bytes) = (element.block_elements(), element.block_bytes());
        let lengths = [0, 1, bytes - 1, bytes + 1, 2 * bytes];
        for length in lengths.into_iter().filter(|length| *length != bytes) {
            let mut out = vec![7.0; block];
            let error = dequantise(element, &vec![0; length], &mut out).unwrap_err();
            assert_eq!(
                error,
                BlockError::Length {
                    element,
                    elements: block,
                    expected: bytes,
                    found: length
                }
            );
            assert!(error.to_string().contains(element.name()), "{error}");
            assert!(out.iter().all(|value| *value == 7.0));
        }
        if block > 1 {
            let error = dequantise(element, &vec![0; bytes], &mut vec![0.0; block - 1]).unwrap_err();
            assert_eq!(
                error,
                BlockError::PartialBlock {
                    element,
                    elements: block - 1
                }
            );
        }
        dequantise(element, &[], &mut []).unwrap();
    }
}

#[test]
fn scales_that_are_no_numbers_stay_in_their_block() {
    for element in ElementType::ALL
        .into_iter()
        .filter(|element| element.is_quantised() && !element.has_scales_apart())
    {
        let at = if element == ElementType::Q6_K { 208 } else { 0 };
        let mut bytes = vec![0x11; 2 * element.block_bytes()];
        // The quiet NaN of 16-bit floats.
        bytes[at..at + 2].copy_from_slice(&[0x00, 0x7e]);
        let mut out = vec![0.0; 2 * element.block_elements()];
        dequantise(element, &bytes, &mut out).unwrap();
        let (first, second) = out.split_at(element.block_elements());
        assert!(first.iter().all(|value| value.is_nan()), "{element:?}");
        assert!(second.iter().all(|value| value.is_finite()), "{element:?}");
    }
}
