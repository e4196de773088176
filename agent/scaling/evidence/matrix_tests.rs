//! From verdicts to evidence, and on to an order.

use super::*;
use crate::scaling::ranking::{Rule, Weights, order};
use crate::scaling::testing::run_of;
use crate::suite::Comparison;

fn names(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A verdict in a few words: what it fixes, leaves failing and breaks.
fn verdict(fixed: &str, failing: &str, broken: &str) -> Verdict {
    Verdict {
        runs: vec![run_of("make test", "0 a+")],
        changes: Comparison {
            fixed: names(fixed),
            still_failing: names(failing),
            broken: names(broken),
            ..Comparison::default()
        },
        ..Verdict::new("")
    }
}

/// The evidence of verdicts, each of another patch.
fn evidence(verdicts: &[Verdict]) -> Evidence {
    let patches: Vec<String> = (0..verdicts.len())
        .map(|number| format!("--- a/f{number}.py\n+++ b/f{number}.py\n@@ -1 +1 @@\n-x\n+y\n"))
        .collect();
    let cases = verdicts.iter().zip(&patches).map(|(verdict, patch)| Case {
        name: "one",
        patch: patch.as_bytes(),
        tokens: 1,
        verdict,
    });
    let base = Base {
        tree: Path::new("/nowhere"),
        issue: "",
        runs: &[],
    };
    Matrix::of(base, cases.collect()).evidence().clone()
}

fn first(verdicts: &[Verdict]) -> usize {
    order(&evidence(verdicts), Rule::Weighed, &Weights::default())[0].index
}

#[test]
fn a_column_is_a_test_that_tells_candidates_apart() {
    let refused = Verdict {
        refused: Some("it is empty".to_owned()),
        ..verdict("", "", "")
    };
    let found = evidence(&[verdict("t", "", "o"), verdict("", "t", ""), refused]);
    let columns: Vec<(&str, TestSource, String)> = found
        .tests
        .iter()
        .map(|test| (test.name.as_str(), test.source, test.cells.to_string()))
        .collect();
    assert_eq!(
        columns,
        [
            ("t", TestSource::Failing, "+-?".to_owned()),
            ("o", TestSource::Passing, "-+?".to_owned())
        ]
    );
}

#[test]
fn what_was_not_run_is_not_known() {
    let mut partial = verdict("", "t", "");
    partial.runs[0].selected = names("t").into_iter().collect();
    let found = evidence(&[partial, verdict("t", "", "o")]);
    assert_eq!(found.tests[1].cells.to_string(), "?-");
    assert!(found.candidates[0].partial && !found.candidates[1].partial);
}

#[test]
fn fixing_is_better_than_not_breaking_and_both_are_best() {
    let (nothing, fixes, breaks) = (verdict("", "t", ""), verdict("t", "", ""), verdict("t", "", "o"));
    assert_eq!(first(&[nothing.clone(), fixes.clone()]), 1);
    assert_eq!(first(&[breaks.clone(), fixes]), 1);
    assert_eq!(first(&[nothing, breaks]), 1);
    let verified = Verdict {
        verified: true,
        ..verdict("t", "", "")
    };
    assert_eq!(first(&[verdict("t u v", "", ""), verified]), 1);
}

#[test]
fn a_run_that_does_not_end_is_a_sign() {
    let mut hangs = verdict("t", "", "");
    hangs.runs = vec![run_of("make test", "time")];
    assert_eq!(evidence(&[hangs.clone()]).candidates[0].signs, [Sign::DoesNotEnd]);
    assert_eq!(first(&[hangs, verdict("t", "", "")]), 1);
}

#[test]
fn a_run_that_cannot_begin_is_no_sign() {
    let mut uncollected = verdict("t", "", "o");
    uncollected.runs = vec![run_of("make test", "none")];
    assert_eq!(evidence(&[uncollected]).candidates[0].signs, []);
}

#[test]
fn failures_that_nobody_mends_point_nowhere() {
    let tree = tempfile::tempdir().unwrap();
    for file in ["a.py", "b.py"] {
        std::fs::write(tree.path().join(file), "x\n").unwrap();
    }
    let patch = b"--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n";
    let mut before = run_of("make test", "1 t- u+");
    before.output = "File \"b.py\", line 1: it failed".to_owned();
    let signs = |verdict: &Verdict| {
        let base = Base {
            tree: tree.path(),
            issue: "",
            runs: std::slice::from_ref(&before),
        };
        let case = Case {
            name: "one",
            patch,
            tokens: 1,
            verdict,
        };
        Matrix::of(base, vec![case]).evidence().candidates[0]
            .signs
            .clone()
    };
    assert_eq!(signs(&verdict("t", "", "")), [Sign::Elsewhere]);
    assert_eq!(signs(&verdict("", "t", "")), []);
}
