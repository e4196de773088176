//! The fixtures can tell each mistake that a runtime of these models is prone to: a description altered that way must give other
//! logits, by far more than rounding.

use cwm_kernels::KvElement;

use crate::backend::ReferenceBackend;
use crate::backend::test_support::{Fixture, Harness, largest_difference};
use crate::cache::PageLayout;
use crate::model::{Attention, ModelSpec, RopeLayout, RopeScaling};

/// What a mistake must change at least.
const VISIBLE: f32 = 0.1;

/// Runs the fixture with its description altered, and checks that the logits differ.
fn assert_visible(name: &str, mistake: &str, alter: impl Fn(&mut ModelSpec)) {
    let mut fixture = Fixture::open(name);
    let right = fixture.checkpoint.spec.clone();
    alter(&mut fixture.checkpoint.spec);
    assert_ne!(fixture.checkpoint.spec, right, "{name}: {mistake}");
    let layout = PageLayout::of(&fixture.checkpoint.spec, 16, KvElement::F32);
    let mut harness = Harness::new(ReferenceBackend::load(&fixture.checkpoint, layout).unwrap());
    let mut sequence = harness.begin();
    let logits = harness.run_one(&mut sequence, &fixture.ids);
    let difference = largest_difference(&logits, &fixture.logits);
    println!("{name}, {mistake}: {difference:.2}");
    assert!(difference > VISIBLE, "{name}, {mistake}: {difference}");
}

/// Widens all windows by `by`.
fn widen(spec: &mut ModelSpec, by: isize) {
    for layer in &mut spec.layers {
        if let Attention::Window(window) = &mut layer.attention {
            *window = window.checked_add_signed(by).unwrap();
        }
    }
}

/// Makes those layers full for which `is_full` says so, and gives the others a window.
fn set_full(spec: &mut ModelSpec, is_full: impl Fn(usize) -> bool) {
    let window = Attention::Window(spec.window().unwrap());
    for (index, layer) in spec.layers.iter_mut().enumerate() {
        layer.attention = if is_full(index) { Attention::Full } else { window };
    }
}

#[test]
fn windows_that_are_off_by_one() {
    for name in ["cwm16", "cwm17"] {
        assert_visible(name, "windows one wider", |spec| widen(spec, 1));
        assert_visible(name, "windows one narrower", |spec| widen(spec, -1));
    }
}

#[test]
fn full_layers_in_the_wrong_places() {
    for name in ["cwm16", "cwm17"] {
        assert_visible(name, "all layers full", |spec| set_full(spec, |_| true));
        assert_visible(name, "no layer full", |spec| set_full(spec, |_| false));
        assert_visible(name, "full where i % 4 == 3", |spec| {
            set_full(spec, |i| i % 4 == 3)
        });
    }
    assert_visible("cwm16", "the last layer full as well", |spec| {
        set_full(spec, |i| i % 4 == 0 || i == 7);
    });
    assert_visible("cwm17", "the last layer not full", |spec| {
        set_full(spec, |i| i % 4 == 0);
    });
}

#[test]
fn positions_that_are_rotated_wrongly() {
    for name in ["cwm16", "cwm17"] {
        assert_visible(name, "no rope scaling", |spec| {
            spec.rope.scaling = RopeScaling::None
        });
        assert_visible(name, "linear rope scaling", |spec| {
            spec.rope.scaling = RopeScaling::Linear { factor: 16.0 };
        });
        assert_visible(name, "rope factor 8", |spec| {
            let RopeScaling::Llama3 { factor, .. } = &mut spec.rope.scaling else {
                panic!("the fixture has llama3 scaling");
            };
            *factor = 8.0;
        });
        assert_visible(name, "rope blended from a longer context", |spec| {
            let RopeScaling::Llama3 { original_context, .. } = &mut spec.rope.scaling else {
                panic!("the fixture has llama3 scaling");
            };
            *original_context = 128;
        });
    }
    for name in ["cwm16", "cwm17", "llama", "qwen2"] {
        assert_visible(name, "interleaved pairs", |spec| {
            spec.rope.layout = RopeLayout::Interleaved
        });
        assert_visible(name, "another rope base", |spec| spec.rope.theta *= 4.0);
    }
}

#[test]
fn biases_and_norms_that_are_left_out() {
    assert_visible("qwen2", "no biases", |spec| spec.qkv_bias = false);
    assert_visible("llama", "the usual epsilon instead of its own", |spec| {
        spec.norm_epsilon = 1e-5
    });
}
