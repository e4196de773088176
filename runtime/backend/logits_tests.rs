//! Logits of the back ends against those of `transformers`, for each way in which a prompt can come in.

use cwm_kernels::KvElement;

use crate::backend::test_support::{FIXTURES, Fixture, Harness, harnesses, largest_difference};

/// How far f32 arithmetic may be from that of `transformers`.
const TOLERANCE: f32 = 1e-4;

/// Runs `scenario` for each fixture on each back end with f32 pages.
fn everywhere(scenario: impl Fn(&str, &Fixture, &mut Harness)) {
    for name in FIXTURES {
        let fixture = Fixture::open(name);
        for mut harness in harnesses(&fixture.checkpoint, KvElement::F32) {
            let place = format!("{name} on {}", harness.backend.name());
            scenario(&place, &fixture, &mut harness);
        }
    }
}

fn assert_close(place: &str, found: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_within(place, found, expected, TOLERANCE);
}

fn assert_within(place: &str, found: &[Vec<f32>], expected: &[Vec<f32>], tolerance: f32) {
    let difference = largest_difference(found, expected);
    println!("{place}: {difference:.2e}");
    assert!(difference < tolerance, "{place}: {difference}");
}

#[test]
fn a_prompt_in_one_go_gives_the_logits_of_transformers() {
    everywhere(|place, fixture, harness| {
        let mut sequence = harness.begin();
        let logits = harness.run_one(&mut sequence, &fixture.ids);
        assert_close(place, &logits, &fixture.logits);
    });
}

#[test]
fn a_prompt_in_odd_chunks_gives_the_logits_of_transformers() {
    everywhere(|place, fixture, harness| {
        for size in [1, 3, 7, 17, 33] {
            let mut sequence = harness.begin();
            let mut logits = Vec::new();
            for chunk in fixture.ids.chunks(size) {
                logits.extend(harness.run_one(&mut sequence, chunk));
            }
            assert_close(&format!("{place} in chunks of {size}"), &logits, &fixture.logits);
            harness.end(sequence);
        }
    });
}

#[test]
fn forks_and_roll_backs_leave_each_other_alone() {
    everywhere(|place, fixture, harness| forks_and_roll_backs(place, fixture, harness, TOLERANCE));
}

/// Sequences that share their past, go astray and come back give the logits of `transformers` up to a tolerance.
pub(super) fn forks_and_roll_backs(place: &str, fixture: &Fixture, harness: &mut Harness, tolerance: f32) {
    let assert_close = |place: &str, found: &[Vec<f32>], expected: &[Vec<f32>]| {
        assert_within(place, found, expected, tolerance);
    };
    let (ids, expected) = (&fixture.ids, &fixture.logits);
    // 41 and 53 are in the middle of pages, behind the first window.
    let wrong: Vec<u32> = ids[..24].iter().rev().copied().collect();
    let mut trunk = harness.begin();
    harness.run_one(&mut trunk, &ids[..41]);
    let mut strayed = harness.fork(&trunk);
    let mut right = harness.fork(&trunk);
    harness.run_one(&mut strayed, &wrong[..12]);
    let first = harness.run_one(&mut right, &ids[41..53]);
    assert_close(&format!("{place}, a fork"), &first, &expected[41..53]);

    let mut twig = harness.fork(&right);
    harness.run_one(&mut right, &wrong[..20]);
    harness.roll_back(&mut right, 53);
    let second = harness.run_one(&mut right, &ids[53..]);
    assert_close(&format!("{place}, rolled back"), &second, &expected[53..]);
    let second = harness.run_one(&mut twig, &ids[53..70]);
    assert_close(&format!("{place}, a fork of a fork"), &second, &expected[53..70]);

    harness.roll_back(&mut strayed, 41);
    let all = harness.run_one(&mut strayed, &ids[41..]);
    assert_close(&format!("{place}, back from a stray"), &all, &expected[41..]);
    let all = harness.run_one(&mut trunk, &ids[41..]);
    assert_close(&format!("{place}, the trunk"), &all, &expected[41..]);
}

#[test]
fn sequences_of_mixed_lengths_run_in_one_step() {
    everywhere(|place, fixture, harness| mixed_lengths(place, fixture, harness, TOLERANCE));
}

/// Sequences that decode beside others whose prompts come in chunks give the logits of `transformers` up to a tolerance.
pub(super) fn mixed_lengths(place: &str, fixture: &Fixture, harness: &mut Harness, tolerance: f32) {
    let assert_close = |place: &str, found: &[Vec<f32>], expected: &[Vec<f32>]| {
        assert_within(place, found, expected, tolerance);
    };
    let (ids, expected) = (&fixture.ids, &fixture.logits);
    let noise: Vec<u32> = ids.iter().rev().copied().collect();
    let mut ahead = harness.begin();
    let mut behind = harness.begin();
    let mut stranger = harness.begin();
    let mut found_ahead = harness.run_one(&mut ahead, &ids[..62]);
    let mut found_behind = Vec::new();
    for turn in 0..10 {
        let mut rows = harness.run(&mut [
            (&mut stranger, &noise[turn * 5..turn * 5 + 5]),
            (&mut ahead, &ids[62 + turn..63 + turn]),
            (&mut behind, &ids[turn * 9..turn * 9 + 9]),
        ]);
        found_behind.extend(rows.split_off(6));
        found_ahead.push(rows.remove(5));
    }
    assert_close(&format!("{place}, decoding"), &found_ahead, &expected[..72]);
    assert_close(&format!("{place}, in chunks"), &found_behind, &expected[..90]);
}

#[test]
fn smaller_keys_and_values_cost_a_stated_accuracy() {
    // Of logits up to 9; some three times what the fixtures show. Values are rounded at 2^-12, 2^-9, 1/254 of a head's largest and 2^-4.
    for (element, tolerance) in [
        (KvElement::F16, 0.015),
        (KvElement::BF16, 0.15),
        (KvElement::Q8, 0.3),
        (KvElement::E4M3, 3.0),
    ] {
        for name in FIXTURES {
            let fixture = Fixture::open(name);
            for mut harness in harnesses(&fixture.checkpoint, element) {
                let mut sequence = harness.begin();
                let logits = harness.run_one(&mut sequence, &fixture.ids);
                let difference = largest_difference(&logits, &fixture.logits);
                println!(
                    "{name} on {}, {element:?}: {difference:.4}",
                    harness.backend.name()
                );
                // Too small a difference would mean that the pages are not of that type.
                assert!(difference > 1e-4, "{name}, {element:?}: {difference}");
                assert!(difference < tolerance, "{name}, {element:?}: {difference}");
            }
        }
    }
}
