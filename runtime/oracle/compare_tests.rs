//! Our back ends against candle, and a comparison that notices what is wrong.

use std::path::Path;

use cwm_kernels::KvElement;

use super::compare;
use crate::backend::ReferenceBackend;
use crate::cache::PageLayout;
use crate::formats::{Checkpoint, OpenOptions};
use crate::model::{RopeScaling, TokenId};

fn fixture(name: &str) -> Checkpoint {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models").join(name);
    Checkpoint::open(&folder, &OpenOptions::default()).unwrap()
}

/// As many tokens as the window of the fixtures lets candle compute rightly.
fn tokens() -> Vec<TokenId> {
    (0..16).map(|index| index * 13 % 200).collect()
}

fn reference(checkpoint: &Checkpoint) -> ReferenceBackend {
    ReferenceBackend::load(checkpoint, PageLayout::of(&checkpoint.spec, 16, KvElement::F32)).unwrap()
}

#[test]
fn the_reference_agrees_with_candle_for_each_family() {
    for name in ["cwm16", "cwm17", "llama", "qwen2"] {
        let checkpoint = fixture(name);
        let comparison = compare(&checkpoint, &mut reference(&checkpoint), &tokens()).unwrap();
        println!("{name}: {comparison:?}");
        assert!(comparison.exact && comparison.agrees(), "{name}: {comparison:?}");
        assert_eq!(comparison.positions, 16);
    }
}

#[test]
fn a_model_that_is_run_wrongly_does_not_agree() {
    let checkpoint = fixture("llama");
    let mut wrong = fixture("llama");
    wrong.spec.rope.theta *= 4.0;
    wrong.spec.rope.scaling = RopeScaling::None;
    let comparison = compare(&checkpoint, &mut reference(&wrong), &tokens()).unwrap();
    assert!(!comparison.agrees(), "{comparison:?}");
}

#[test]
fn positions_past_the_window_are_refused() {
    let checkpoint = fixture("cwm16");
    let tokens = vec![1; 17];
    let error = compare(&checkpoint, &mut reference(&checkpoint), &tokens).unwrap_err();
    assert!(error.to_string().contains("only the first 16 positions"), "{error}");
}
