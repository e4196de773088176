//! Two runs side by side.

use super::*;
use crate::suite::types::{RunEnding, TestCase, TestCommand};

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
        selected: BTreeSet::new(),
        coverage: Default::default(),
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
fn a_run_in_which_nothing_fails_vouches_for_what_it_does_not_name() {
    let before = run(&[("a", Failed), ("b", Failed), (UNNAMED, Passed)]);
    let after = run(&[(UNNAMED, Passed)]);
    let changes = compare(&before, &after);
    assert_eq!(changes.fixed, ["a", "b"]);
    assert_eq!(changes.still_passing, 1);
    // What fails in the other direction passed before.
    assert_eq!(compare(&after, &before).broken, ["a", "b"]);
    // One that was cut off, or whose exit code tells of something else, vouches for nothing.
    let mut cut = after.clone();
    cut.ending = RunEnding::TimedOut;
    assert_eq!(compare(&before, &cut).still_failing, ["a", "b"]);
    let mut odd = after;
    odd.exit_code = Some(1);
    assert_eq!(compare(&before, &odd).still_failing, ["a", "b"]);
}

/// The module of the failing test no longer loads, or its program does not compile, while others pass without being named.
#[test]
fn a_test_that_is_missing_beside_a_failure_is_not_fixed() {
    let before = run(&[("tests.test_a.T.test_x", Failed), (UNNAMED, Passed)]);
    let after = run(&[("tests.test_a", Errored), (UNNAMED, Passed)]);
    let changes = compare(&before, &after);
    assert_eq!(changes.fixed, [""; 0]);
    assert_eq!(changes.still_failing, ["tests.test_a.T.test_x"]);
    assert_eq!(changes.new_failing, ["tests.test_a"]);
    assert!(changes.breaks());
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

#[test]
fn a_run_of_chosen_tests_is_compared_by_what_it_ran() {
    let before = run(&[
        ("a", Failed),
        ("b", Failed),
        ("c", Failed),
        ("d", Passed),
        ("e", Passed),
        ("f", Failed),
    ]);
    let mut after = run(&[("a", Passed), ("b", Failed), ("d", Failed)]);
    after.selected = ["a", "b", "c"].map(str::to_owned).into();
    let changes = compare(&before, &after);
    assert_eq!(changes.fixed, ["a"]);
    assert_eq!(
        changes.still_failing,
        ["b", "c"],
        "one that was to run and did not does not pass"
    );
    assert_eq!(changes.broken, ["d"], "one that ran besides counts");
    assert!(changes.vanished.is_empty());
    assert_eq!(changes.still_passing, 0);
    assert_eq!(agree(&before, &after), ["a", "c", "d"]);
    // That others passed without a name says nothing of those that did not run.
    let mut quiet = run(&[(UNNAMED, Passed)]);
    quiet.selected = ["a"].map(str::to_owned).into();
    let changes = compare(&before, &quiet);
    assert_eq!(
        (changes.fixed.as_slice(), changes.still_passing),
        (&["a".to_owned()][..], 0)
    );
}
