//! Two runs side by side.

use super::*;
use crate::suite::types::{TestCase, TestCommand};

fn run(tests: &[(&str, Status)]) -> TestRun {
    let case = |status| TestCase {
        status,
        message: String::new(),
        seconds: None,
    };
    TestRun {
        command: TestCommand::given("pytest"),
        ending: RunEnding::Ran,
        exit_code: Some(0),
        tests: tests
            .iter()
            .map(|(name, status)| ((*name).to_owned(), case(*status)))
            .collect(),
        output: String::new(),
        seconds: 0.0,
    }
}

use Status::{Errored, Failed, Passed, Skipped};

#[test]
fn each_change_is_in_its_list() {
    let before = run(&[
        ("a", Passed),
        ("b", Failed),
        ("c", Passed),
        ("d", Failed),
        ("e", Passed),
        ("f", Skipped),
        ("i", Skipped),
    ]);
    let after = run(&[
        ("a", Passed),
        ("b", Passed),
        ("c", Errored),
        ("d", Skipped),
        ("f", Passed),
        ("g", Passed),
        ("h", Failed),
        ("i", Failed),
    ]);
    let changes = compare(&before, &after);
    let expected = Comparison {
        fixed: vec!["b".into()],
        broken: vec!["c".into()],
        vanished: vec!["e".into()],
        still_failing: vec!["d".into()],
        new_passing: vec!["f".into(), "g".into()],
        new_failing: vec!["h".into(), "i".into()],
        still_passing: 1,
    };
    assert_eq!(changes, expected);
    assert!(changes.breaks());
}

#[test]
fn a_run_that_names_only_failures_vouches_for_the_others() {
    let before = run(&[("a", Failed), ("b", Failed), (UNNAMED, Passed)]);
    let after = run(&[("b", Failed), ("c", Failed), (UNNAMED, Passed)]);
    let changes = compare(&before, &after);
    assert_eq!(changes.fixed, ["a"]);
    assert_eq!(changes.still_failing, ["b"]);
    assert_eq!(changes.broken, ["c"]);
    assert_eq!(changes.still_passing, 1);
    // One that was cut off vouches for nothing.
    let mut cut = after;
    cut.ending = RunEnding::TimedOut;
    assert_eq!(compare(&before, &cut).still_failing, ["a", "b"]);
}

#[test]
fn tests_that_differ_between_two_runs_are_left_out() {
    let first = run(&[("a", Passed), ("b", Failed), ("c", Failed), ("d", Passed)]);
    let second = run(&[("a", Failed), ("b", Failed), ("c", Errored)]);
    assert_eq!(agree(&first, &second), ["a", "d"]);
    let mut changes = compare(&first, &second);
    changes.without(&agree(&first, &second));
    assert!(changes.broken.is_empty() && changes.vanished.is_empty() && !changes.breaks());
    assert_eq!(changes.still_failing, ["b", "c"]);
}
