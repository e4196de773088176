//! Logits of the back ends against those of `transformers`, for each way in which a prompt can come in.

use cwm_kernels::KvElement;

use crate::backend::ReferenceBackend;
use crate::backend::test_support::{Harness, FIXTURES, Fixture, Sequence, largest_difference};
use crate::cache::PageLayout;
use crate::formats::Checkpoint;
use crate::model::TokenId;

/// How far f32 arithmetic may be from that of `transformers`.
const TOLERANCE: f32 = 1e-4;

fn reference(checkpoint: &Checkpoint, element: KvElement) -> Harness {
    let layout = PageLayout::of(&checkpoint.spec, 16, element);
    Harness::new(ReferenceBackend::load(checkpoint, layout).unwrap())
}

#[test]
fn a_prompt_in_one_go_gives_the_logits_of_transformers() {
    for name in FIXTURES {
        let fixture = Fixture::open(name);
        let mut driver = reference(&fixture.checkpoint, KvElement::F32);
        let mut sequence = driver.begin();
        let logits = driver.run_one(&mut sequence, &fixture.ids);
        let difference = largest_difference(&logits, &fixture.logits);
        println!("{name}: {difference:.2e}");
        assert!(difference < TOLERANCE, "{name}: {difference}");
    }
}
