//! What is tried again before it is a verdict.

use super::*;

/// What becomes of a patch that is tried with these outcomes: the words of a refusal, `ran`, or `error`, and how often it was tried.
fn tried(outcomes: &[&str]) -> (String, usize) {
    let mut count = 0;
    let result = twice(|| {
        let outcome = outcomes[count];
        count += 1;
        match outcome {
            "ran" => Ok(Try::Done(Pass::Ran {
                runs: Vec::new(),
                applied: None,
            })),
            "misfit" => Ok(Try::Done(Pass::Refused("misfit".to_owned()))),
            "interrupted" => Err(ValidateError::Interrupted),
            lost => Ok(Try::Lost(lost.to_owned())),
        }
    });
    let words = match result {
        Ok(Pass::Ran { .. }) => "ran".to_owned(),
        Ok(Pass::Refused(why)) => why,
        Err(_) => "error".to_owned(),
    };
    (words, count)
}

#[test]
fn a_lost_sandbox_is_a_verdict_only_when_it_is_lost_twice() {
    for (outcomes, words, count) in [
        (&["ran"][..], "ran", 1),
        (&["misfit"], "misfit", 1),
        (&["interrupted"], "error", 1),
        (&["disk full", "ran"], "ran", 2),
        (&["disk full", "misfit"], "misfit", 2),
        (&["disk full", "helper lost"], "helper lost", 2),
        (&["disk full", "interrupted"], "error", 2),
    ] {
        assert_eq!(tried(outcomes), (words.to_owned(), count), "{outcomes:?}");
    }
}
