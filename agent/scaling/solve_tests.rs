//! What a run comes to does not depend on which of its attempts is quicker. Attempts at work are tested through `cwm fix`.

use std::path::Path;

use super::*;
use crate::scaling::{Base, Decision, Matrix};
use crate::suite::Comparison;

/// An attempt that fixes a test, verified or not.
fn attempted(index: usize, verified: bool) -> Attempted {
    let file = format!("f{index}");
    Attempted {
        candidate: Candidate {
            attempt: name(index),
            strategy: Strategy::OneShot,
            ending: Ending::Finished,
            patch: format!("--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-x\n+y\n").into_bytes(),
            answer: String::new(),
            turns: 1,
            prompt_tokens: 0,
            completion_tokens: 0,
            seconds: 0.0,
        },
        verdict: Verdict {
            changes: Comparison {
                fixed: vec!["test".to_owned()],
                ..Comparison::default()
            },
            verified,
            ..Verdict::new(&name(index))
        },
    }
}

/// What attempts come to that end in this order.
fn outcome(samples: usize, ended: &[(usize, Result<bool, &str>)]) -> Outcome {
    let mut shared = Shared {
        outcomes: (0..samples).map(|_| None).collect(),
        ..Shared::default()
    };
    for (index, result) in ended {
        let result = result
            .map(|verified| attempted(*index, verified))
            .map_err(str::to_owned);
        let verified = matches!(&result, Ok(attempted) if attempted.verdict.verified);
        assert_eq!(shared.store(*index, result, false), verified);
    }
    let mut outcome = shared.outcome().unwrap();
    let base = Base {
        tree: Path::new("/nowhere"),
        issue: "",
        runs: &[],
    };
    let decision = Decision::of(&Matrix::of(
        base,
        outcome.attempts.iter().map(Attempted::case).collect(),
    ));
    outcome.take(decision);
    outcome
}

fn names(outcome: &Outcome) -> Vec<&str> {
    let names = outcome.attempts.iter();
    names
        .map(|attempted| attempted.candidate.attempt.as_str())
        .collect()
}

#[test]
fn the_first_verified_attempt_by_number_wins_whichever_ends_first() {
    let ended = [(0, Ok(false)), (1, Ok(true)), (2, Ok(true)), (3, Ok(false))];
    let expected = outcome(5, &ended);
    assert_eq!(names(&expected), ["attempt-2", "attempt-1"]);
    assert!(expected.verified() && !expected.interrupted);
    for order in [[3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2], [2, 3, 1, 0]] {
        let found = outcome(5, &order.map(|place| ended[place]));
        assert_eq!(found.attempts, expected.attempts, "{order:?}");
        assert!(!found.interrupted, "{order:?}");
    }
}

#[test]
fn attempts_before_a_verified_one_that_did_not_end_leave_the_run_open() {
    let found = outcome(3, &[(2, Ok(true)), (0, Ok(false))]);
    assert!(found.verified() && found.interrupted);
    assert_eq!(names(&found), ["attempt-3", "attempt-1"]);
    // Those behind it are not missed.
    assert!(!outcome(3, &[(0, Ok(true))]).interrupted);
}

#[test]
fn failures_are_told_and_do_not_hide_what_ended() {
    let found = outcome(
        3,
        &[(1, Err("the server is gone")), (0, Ok(false)), (2, Ok(false))],
    );
    let failed = ("attempt-2".to_owned(), "the server is gone".to_owned());
    assert_eq!(
        (found.failures.as_slice(), found.interrupted),
        (&[failed][..], false)
    );
    assert_eq!(names(&found), ["attempt-1", "attempt-3"]);
    assert!(!found.verified());
    let behind = outcome(2, &[(1, Err("needless")), (0, Ok(true))]);
    assert!(behind.failures.is_empty() && behind.verified());
}
