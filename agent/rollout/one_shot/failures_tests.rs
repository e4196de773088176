//! Judgements of runs that left tests out.

use std::path::PathBuf;

use super::*;
use crate::suite::{Status, TestCase, TestCommand};

/// A run in a few words: `a+ b-` are tests that passed and failed; what was chosen is marked by a star.
fn run(command: &str, words: &str) -> TestRun {
    let mut run = TestRun {
        command: TestCommand::given(command),
        ending: RunEnding::Ran,
        exit_code: Some(i32::from(words.contains('-'))),
        tests: Default::default(),
        selected: Default::default(),
        coverage: Default::default(),
        output: String::new(),
        seconds: 1.0,
    };
    for word in words.split_whitespace() {
        let name = word.trim_end_matches(['+', '-', '*']).to_owned();
        if word.ends_with('*') {
            run.selected.insert(name.clone());
        }
        let status = if word.contains('+') {
            Status::Passed
        } else {
            Status::Failed
        };
        let case = TestCase {
            status,
            message: String::new(),
            seconds: None,
        };
        if word.contains(['+', '-']) {
            run.tests.insert(name, case);
        }
    }
    run
}

fn problem(baseline: &[TestRun]) -> Problem {
    Problem {
        issue: String::new(),
        root: PathBuf::new(),
        tree: PathBuf::new(),
        tests: baseline.iter().map(|run| run.command.clone()).collect(),
        baseline: baseline.to_vec(),
        guidance: Vec::new(),
        caches: None,
        ranking: std::sync::OnceLock::new(),
        pack: std::sync::OnceLock::new(),
    }
}

#[test]
fn a_part_never_solves_and_misses_nothing() {
    let problem = problem(&[run("x", "a- b- c+ d+")]);
    let judged = |words: &str| judge(&problem, &[run("x", words)]);
    assert!(judged("a+ b+ c+ d+").1);
    let (part, solved) = judged("a+* b+*");
    assert!(!solved);
    assert_eq!((part.stopped, part.failing), (0, -2), "nothing has vanished");
    // What was run whole is better known, and so better where both say the same.
    assert!(judged("a+ b+ c+ d+").0 < part);
    assert!(judged("a+* b-*").0 < judged("a-* b-*").0);
    assert!(judged("a+* b-* (exit)-").0 == judged("a+* b-*").0);
    assert!(
        judged("a+* b-* d-").0 > judged("a+* b-*").0,
        "one that ran besides, and broke"
    );
}

#[test]
fn commands_that_were_left_out_fail_as_before() {
    let problem = problem(&[run("x", "a- b+"), run("y", "c- d- e- f- g-")]);
    let (first_fails, solved) = judge(&problem, &[run("x", "a-*")]);
    assert!(!solved);
    let (second_fails, _) = judge(&problem, &[run("x", "a+*"), run("y", "c-* d-* e-* f-* g-*")]);
    assert!(second_fails < first_fails);
    assert!(!judge(&problem, &[run("x", "a+ b+")]).1);
}

#[test]
fn only_a_chosen_test_that_fails_refutes() {
    let refuted_by = |words: &str| refuted(&[run("x", "a+ b+"), run("y", words)]);
    assert!(refuted_by("a-* b+*"));
    assert!(!refuted_by("a+* b+*"));
    assert!(!refuted_by("a- b+"), "all ran, and the next round is told of all");
    assert!(!refuted_by("a+* (exit)-"), "that may come of leaving out");
    assert!(
        !refuted_by("a+* b*"),
        "it was not there, perhaps because it was not found"
    );
    let mut hanging = run("y", "a*");
    hanging.ending = RunEnding::TimedOut;
    assert!(refuted(&[hanging]));
}

#[test]
fn paths_are_relative_to_the_repository_wherever_it_lies() {
    let said = "File \"/home/me/project/tests/a.py\", line 3\n/home/me/project/b.py:1 and /mnt/home/me/project/c.py, /home/me/projects/d.py\n";
    let relative =
        "File \"tests/a.py\", line 3\nb.py:1 and /mnt/home/me/project/c.py, /home/me/projects/d.py\n";
    assert_eq!(without_root(said, "/home/me/project"), relative);
    assert_eq!(without_root(said, "/home/me/project/"), relative);
    assert_eq!(without_root(said, "/"), said);
    assert_eq!(without_root("a/r/x /r/x", "/r"), "a/r/x x");
}
