//! Tests of the layout of pages.

use super::{KvPages, write_key_value};
use crate::KvElement;
use crate::cpu::Isa;

const ELEMENTS: [KvElement; 5] = [
    KvElement::F32,
    KvElement::F16,
    KvElement::BF16,
    KvElement::Q8,
    KvElement::E4M3,
];

fn layout(element: KvElement, head_dim: usize) -> KvPages {
    KvPages {
        page_tokens: 16,
        layers: 3,
        kv_heads: 2,
        head_dim,
        element,
    }
}

#[test]
fn a_page_takes_what_its_heads_take() {
    for element in ELEMENTS {
        for head_dim in [6, 16, 20, 64, 80, 128] {
            let pages = layout(element, head_dim);
            assert_eq!(pages.page_bytes(), 3 * 16 * 2 * element.head_bytes(head_dim) * 2);
        }
    }
}

/// Every write touches as many bytes as the elements take, and none that another position, layer or head has.
#[test]
fn positions_lie_apart_and_fill_the_page() {
    for element in ELEMENTS {
        for head_dim in [6, 20, 64, 80] {
            let pages = layout(element, head_dim);
            let mut taken = vec![false; pages.page_bytes()];
            for layer in 0..pages.layers {
                for slot in 0..pages.page_tokens {
                    // Where two pages that began differently are the same, the write was.
                    let written = |begin: u8| {
                        let mut page = vec![begin; pages.page_bytes()];
                        let values = vec![1.5; 2 * head_dim];
                        write_key_value(Isa::Scalar, &pages, &mut page, layer, slot, &values, &values);
                        page
                    };
                    let (zeros, ones) = (written(0), written(255));
                    for (taken, (zero, one)) in taken.iter_mut().zip(zeros.iter().zip(&ones)) {
                        if zero == one {
                            assert!(!*taken, "{element:?} {head_dim}: two positions share a byte");
                            *taken = true;
                        }
                    }
                }
            }
            assert!(taken.into_iter().all(|taken| taken), "{element:?} {head_dim}");
        }
    }
}

#[test]
fn what_is_too_great_becomes_the_greatest() {
    for element in [KvElement::F16, KvElement::BF16, KvElement::Q8, KvElement::E4M3] {
        let pages = layout(element, 16);
        let mut page = vec![0; pages.page_bytes()];
        let values = [f32::MAX; 32];
        write_key_value(Isa::Scalar, &pages, &mut page, 0, 0, &values, &values);
        let part = pages.head_part(&page, 0, 0);
        let bits = u16::from_le_bytes([part.values[0], part.values[1]]);
        match element {
            KvElement::F16 => assert_eq!(bits, half::f16::MAX.to_bits()),
            KvElement::BF16 => assert_eq!(bits, half::bf16::MAX.to_bits()),
            KvElement::E4M3 => assert_eq!(part.values[0], 0x7e),
            _ => {
                assert_eq!(part.values[0], 127);
                let scale = u16::from_le_bytes([part.value_scales[0], part.value_scales[1]]);
                assert_eq!(scale, half::f16::MAX.to_bits());
            }
        }
    }
}
