//! Runs of test commands in a few words, for the tests of this room.

use std::collections::{BTreeMap, BTreeSet};

use crate::suite::{RunEnding, Status, TestCase, TestCommand, TestRun};

/// A run in a few words: `a+ b- c~` are tests that passed, failed and were skipped, behind the exit code.
pub(in crate::scaling) fn run_of(command: &str, text: &str) -> TestRun {
    let mut words = text.split_whitespace();
    let (ending, exit_code) = match words.next().unwrap() {
        "time" => (RunEnding::TimedOut, None),
        "disk" => {
            let reason = "it wrote more to disk than allowed".to_owned();
            (RunEnding::Stopped { reason }, None)
        }
        "none" => {
            let reason = "no module named pytest".to_owned();
            (RunEnding::NotStarted { reason }, Some(1))
        }
        code => (RunEnding::Ran, Some(code.parse().unwrap())),
    };
    let case = |word: &str| {
        let (name, sign) = word.split_at(word.len() - 1);
        let status = match sign {
            "+" => Status::Passed,
            "-" => Status::Failed,
            "!" => Status::Errored,
            _ => Status::Skipped,
        };
        let case = TestCase {
            status,
            message: String::new(),
            seconds: None,
        };
        (name.replace('_', " "), case)
    };
    TestRun {
        command: TestCommand::given(command),
        ending,
        exit_code,
        tests: words.map(case).collect::<BTreeMap<_, _>>(),
        selected: BTreeSet::new(),
        coverage: Default::default(),
        output: String::new(),
        seconds: 1.0,
    }
}
