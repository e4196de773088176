//! What makes a patch verified and what does not, case by case.

use super::*;
use crate::scaling::testing::run_of;
use crate::suite::CommandSource;

fn judged(before: &str, after: &str, flaky: &[&str]) -> Judgement {
    let flaky: Vec<String> = flaky.iter().map(|name| (*name).to_owned()).collect();
    let (before, after) = ([run_of("make test", before)], [run_of("make test", after)]);
    judge(
        &before,
        &after,
        &told_apart(&before, &after, &flaky),
        &flaky,
        &[],
        false,
    )
}

#[test]
fn verified_means_that_all_that_failed_passes_and_nothing_else_changed() {
    for (before, after, flaky) in [
        ("1 a+ b-", "0 a+ b+", &[][..]),
        ("1 a+ b- c-", "0 a+ b+ c+", &[]),
        ("1 a+ b!", "0 a+ b+ new+", &[]),
        ("1 a+ b- s~", "0 a+ b+ s~", &[]),
        // Flaky tests count neither way, nor does the exit status that they cause.
        ("1 a+ b- f-", "1 a+ b+ f-", &["f"]),
        ("1 a+ b- f+", "1 a+ b+ f-", &["f"]),
        ("1 a+ b- f+", "0 a+ b+", &["f"]),
        // What hung, or did not start, is the test.
        ("time", "0 a+ b+", &[]),
        ("time", "0 make_test+", &[]),
        ("time a+", "0 a+ b+", &[]),
        ("none", "0 a+ b+", &[]),
        ("2 a+", "0 a+", &[]),
        ("1 a+ (broke)-", "0 a+", &[]),
        // A module that could not be loaded is told by its tests.
        ("1 a+ t.py!", "0 a+ t.py::x+ t.py::y+", &[]),
    ] {
        let judgement = judged(before, after, flaky);
        assert!(judgement.verified, "{before} => {after}: {judgement:?}");
        assert_eq!(
            judgement.remarks.len(),
            usize::from(!flaky.is_empty()),
            "{judgement:?}"
        );
    }
}

#[test]
fn what_is_not_verified_says_why() {
    for (before, after, flaky, why) in [
        (
            "1 a+ b-",
            "1 a+ b-",
            &[][..],
            "nothing that failed before passes with it: b",
        ),
        (
            "1 a+ b- c-",
            "1 a+ b+ c-",
            &[],
            "1 of 2 that failed before do not pass with it: c",
        ),
        (
            "1 a+ b-",
            "0 a+ b~",
            &[],
            "nothing that failed before passes with it: b",
        ),
        (
            "1 a+ b-",
            "1 a- b+",
            &[],
            "conflicts with 1 test that passed before: a",
        ),
        (
            "1 a+ b- c+",
            "0 b+",
            &[],
            "2 tests that passed before did not run: a, c",
        ),
        (
            "1 a+ b-",
            "0 a~ b+",
            &[],
            "1 test that passed before did not run: a",
        ),
        (
            "1 a+ b-",
            "1 a+ b+ n-",
            &[],
            "1 test not there before and failing: n",
        ),
        (
            "0 a+",
            "0 a+",
            &[],
            "nothing fails without it, so that nothing can show that it mends anything",
        ),
        (
            "0 a+",
            "0 a+ new+",
            &[],
            "nothing fails without it, so that nothing can show that it mends anything",
        ),
        (
            "1 a+ f-",
            "0 a+ f+",
            &["f"],
            "nothing that fails without it does so each time and passes with it each time",
        ),
        (
            "1 a+ b-",
            "time a+ b+",
            &[],
            "`make test` did not end within its time",
        ),
        (
            "1 a+ b-",
            "disk a+ b+",
            &[],
            "`make test` was stopped: it wrote more to disk than allowed",
        ),
        (
            "1 a+ b-",
            "none",
            &[],
            "`make test` no longer starts with it: no module named pytest",
        ),
        (
            "none",
            "none",
            &[],
            "`make test` runs no test: no module named pytest",
        ),
        (
            "1 a+ b-",
            "3 a+ b+",
            &[],
            "no test of `make test` failed, but its exit status is 3",
        ),
        (
            "1 a+ t.py!",
            "1 a+ t.py::x+ t.py::y-",
            &[],
            "nothing that failed before passes with it: t.py",
        ),
        (
            "1 a+ t.py!",
            "0 a+ t.py::x~ t.py::y~",
            &[],
            "nothing that failed before passes with it: t.py",
        ),
        (
            "1 a+ t.py!",
            "0 a+ t.py::x+ t.py::y~",
            &[],
            "nothing that failed before passes with it: t.py",
        ),
        (
            "1 a+ t.py!",
            "0 a+",
            &[],
            "nothing that failed before passes with it: t.py",
        ),
    ] {
        let judgement = judged(before, after, flaky);
        assert!(!judgement.verified, "{before} => {after}: {judgement:?}");
        assert!(
            judgement.remarks.iter().any(|remark| remark == why),
            "{before} => {after}: {judgement:?}"
        );
    }
}

#[test]
fn tests_that_fail_still_may_be_all_that_speaks_against_a_patch() {
    for (before, after, flaky, only) in [
        ("1 a+ b- c-", "1 a+ b+ c-", &[][..], true),
        ("1 a+ b- c- f+", "1 a+ b+ c- f-", &["f"], true),
        ("1 a+ b-", "0 a+ b+", &[], false),
        ("1 a+ b-", "1 a+ b-", &[], false),
        ("1 a+ b- c-", "1 a- b+ c-", &[], false),
        ("1 a+ b- c-", "1 b+ c-", &[], false),
        ("1 a+ b- c-", "1 a+ b+ c- n-", &[], false),
        ("1 a+ b- c-", "time a+ b+ c-", &[], false),
    ] {
        let judgement = judged(before, after, flaky);
        assert_eq!(
            judgement.but_for_still_failing, only,
            "{before} => {after}: {judgement:?}"
        );
    }
}

#[test]
fn a_fix_that_is_there_only_sometimes_proves_nothing() {
    let judgement = judged("1 a+ b- c-", "0 a+ b+ c+", &["b", "c"]);
    assert!(!judgement.verified, "{judgement:?}");
    let judgement = judged("1 a+ b-", "0 a+ b+", &["a"]);
    assert!(judgement.verified, "{judgement:?}");
    assert_eq!(
        judgement.remarks,
        ["left out, because they do not say the same each time: a"]
    );
}

#[test]
fn what_a_patch_makes_flaky_speaks_against_it() {
    let (before, after) = ([run_of("make test", "1 a+ b-")], [run_of("make test", "1 a- b+")]);
    let all = ["a".to_owned()];
    let changes = told_apart(&before, &after, &all);
    let judgement = judge(&before, &after, &changes, &[], &all, false);
    assert!(!judgement.verified, "{judgement:?}");
    assert_eq!(
        judgement.remarks,
        ["1 test does not say the same each time with it: a"]
    );
    assert!(judge(&before, &after, &changes, &all, &[], false).verified);
}

#[test]
fn every_command_counts() {
    let before = [run_of("one", "1 a-"), run_of("two", "0 b+")];
    let good = [run_of("one", "0 a+"), run_of("two", "0 b+")];
    let bad = [run_of("one", "0 a+"), run_of("two", "1 b-")];
    let verified =
        |after: &[TestRun]| judge(&before, after, &told_apart(&before, after, &[]), &[], &[], false).verified;
    assert!(verified(&good));
    assert!(!verified(&bad));
    assert!(!verified(&good[..1]), "a command that was not run proves nothing");
}

#[test]
fn a_guessed_command_that_never_starts_says_nothing() {
    let guessed = |text: &str| {
        let mut run = run_of("npm test", text);
        let reason = "there is a package.json".to_owned();
        run.command.source = CommandSource::Found { reason };
        run
    };
    let before = [run_of("make test", "1 a-"), guessed("none")];
    let judged = |after: &[TestRun]| judge(&before, after, &told_apart(&before, after, &[]), &[], &[], false);
    let judgement = judged(&[run_of("make test", "0 a+"), guessed("none")]);
    assert!(judgement.verified, "{judgement:?}");
    assert_eq!(
        judgement.remarks,
        ["`npm test` runs no test: no module named pytest"]
    );
    assert!(!judged(&[run_of("make test", "0 a+"), guessed("1 b-")]).verified);
    assert!(!judged(&[run_of("make test", "1 a-"), guessed("none")]).verified);
}

#[test]
fn names_from_outside_stay_short_and_harmless() {
    let names: Vec<String> = (0..9).map(|number| format!("t\x1b[2J\n{number}")).collect();
    assert_eq!(
        name_some(&names, 2),
        "t\u{fffd}[2J\u{fffd}0, t\u{fffd}[2J\u{fffd}1 and 7 more"
    );
    let long = vec!["x".repeat(100_000)];
    assert!(name_some(&long, 5).len() < 200);
}

#[test]
fn what_was_run_so_far_speaks_for_a_patch_or_not_against_it() {
    for (before, after, so_far) in [
        ("1 a+ b- c+", "0 a+ b+", Some(SoFar::Mends)),
        ("0 a+ b+ c+", "0 a+ b+", Some(SoFar::KeepsWhole)),
        ("1 a+ b- c+", "1 a+ b-", None),
        ("1 a- b- c+", "1 a+ b-", Some(SoFar::MendsSome)),
        ("1 a+ b- c+", "1 a- b+", None),
        ("0 a+ b+ c+", "1 a+ b-", None),
    ] {
        let (before, mut after) = ([run_of("pytest", before)], [run_of("pytest", after)]);
        after[0].selected = ["a", "b"].map(str::to_owned).into();
        let changes = told_apart(&before, &after, &[]);
        let judged = judge(&before, &after, &changes, &[], &[], false);
        assert_eq!((judged.verified, judged.so_far), (false, so_far), "{judged:?}");
        assert!(
            judged.remarks.contains(&"not every test was run".to_owned()),
            "{judged:?}"
        );
        // A command that was left out is no less than tests that were.
        after[0].selected.clear();
        if so_far == Some(SoFar::KeepsWhole) {
            let whole = [before[0].clone()];
            let judged = judge(&before, &whole, &told_apart(&before, &whole, &[]), &[], &[], true);
            assert_eq!(judged.so_far, so_far, "{judged:?}");
        }
    }
}
