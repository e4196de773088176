//! One-shot attempts, the way of small models: who goes first, who wins, and how they are cut short.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::copies::Done;

use super::{Desk, ISSUE, TEST, assert_says, refuses};

/// What the second round is told.
pub(super) const FAILING: &str = "With this change tests still fail.";
/// Answers that mend the calculator, each in a way of its own.
pub(super) const RIGHT: &str = "calculator.py\n<<<<<<< SEARCH\ndef add(a, b):\n    return a - b\n=======\ndef add(a, b):\n    return a + b\n>>>>>>> REPLACE\n";
const RIGHT_TOO: &str = "calculator.py\n<<<<<<< SEARCH\ndef add(a, b):\n    return a - b\n=======\ndef add(a, b):\n    return b + a\n>>>>>>> REPLACE\n";
/// Answers that do not.
pub(super) const WRONG: &str = "calculator.py\n<<<<<<< SEARCH\ndef add(a, b):\n    return a - b\n=======\ndef add(a, b):\n    return a * b\n>>>>>>> REPLACE\n";
pub(super) const WORSE: &str = "calculator.py\n<<<<<<< SEARCH\ndef add(a, b):\n    return a - b\n=======\ndef add(a, b):\n    return a\n>>>>>>> REPLACE\n";

/// A small model that calls no tools, with these answers.
pub(super) fn script(desk: &Desk, answers: &[Value]) -> String {
    let small = json!({"model": {"calls": "none", "parameters": 7, "context": 8192}});
    let lines = std::iter::once(&small).chain(answers);
    desk.lines(&lines.map(Value::to_string).collect::<Vec<_>>())
}

/// The attempts that the newest run's journal says have begun.
fn begun(desk: &Desk) -> Vec<String> {
    let journal = desk.journal().into_iter();
    let attempts = journal.filter(|line| line["event"] == "attempt");
    attempts
        .map(|line| line["attempt"].as_str().unwrap().to_owned())
        .collect()
}

/// The first attempt is wrong twice; each answer takes a while.
fn wrong_twice() -> [Value; 2] {
    [
        json!({"seed": 0, "text": WRONG, "delay_ms": 300}),
        json!({"when": [FAILING], "text": WORSE, "delay_ms": 300}),
    ]
}

#[test]
fn a_small_model_works_one_shot_and_a_verified_attempt_is_the_last() {
    let desk = Desk::calculator();
    let model = script(&desk, &[json!({"text": RIGHT})]);
    let done = desk.fix(&model, &[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_says(
        &done,
        &[
            "8 attempts at most, one-shot, with script",
            "finished after 1 round",
        ],
    );
    assert!(done.text().contains("+    return a + b"), "{}", done.text());
    assert_eq!(desk.journal()[0]["strategy"], "one_shot");
    assert_eq!(begun(&desk), ["attempt-1"]);
    desk.assert_untouched();
    // The same model with another word of the user's.
    let done = desk.fix(&model, &["--strategy", "agentic"]);
    assert_says(&done, &["1 attempt at most, agentic, with script"]);
}

#[test]
fn the_first_verified_attempt_by_number_wins_whichever_is_quicker() {
    let desk = Desk::calculator();
    let run = |second: u64, third: u64| {
        let [first, again] = wrong_twice();
        let answers = [
            first,
            again,
            json!({"seed": 1, "text": RIGHT, "delay_ms": second}),
            json!({"seed": 2, "text": RIGHT_TOO, "delay_ms": third}),
        ];
        let done = desk.fix(&script(&desk, &answers), &["-n", "3"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let ended: Vec<String> = desk
            .journal()
            .iter()
            .filter(|line| line["event"] == "candidate")
            .map(|line| line["attempt"].as_str().unwrap().to_owned())
            .collect();
        (done.text(), ended)
    };
    let (slow, ended) = run(4000, 0);
    assert_eq!(ended, ["attempt-1", "attempt-3", "attempt-2"]);
    let (quick, ended) = run(0, 60_000);
    assert_eq!(ended, ["attempt-1", "attempt-2"], "the third is not waited for");
    assert!(quick.contains("+    return a + b"), "{quick}");
    assert_eq!(slow, quick);
}

#[test]
fn used_up_rounds_are_no_used_up_budget() {
    let desk = Desk::calculator();
    let model = script(&desk, &wrong_twice());
    let done = desk.fix(&model, &["-n", "1"]);
    refuses(
        &done,
        1,
        &["attempt-1 used up its rounds after 2 rounds", "Not verified"],
    );
    let patch = std::fs::read_to_string(desk.runs()[0].join("patch.diff")).unwrap();
    assert!(
        patch.contains("+    return a * b"),
        "the first of equals: {patch}"
    );
    desk.assert_untouched();
}

/// A model whose first attempt fails and whose second one is right.
fn second_is_right(desk: &Desk) -> String {
    let [first, again] = wrong_twice();
    let second = json!({"seed": 1, "text": RIGHT, "delay_ms": 300});
    script(desk, &[first, again, second])
}

fn two_attempts(model: &str) -> [&str; 9] {
    ["fix", "-m", ISSUE, "--test", TEST, "--model", model, "-n", "2"]
}

/// What a run comes to that nothing interrupts; it leaves nothing behind.
fn done_whole(desk: &Desk, words: &[&str]) -> Done {
    let whole = desk.run(words);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    assert_eq!(desk.run(&["runs", "rm", "last"]).code, 0);
    whole
}

#[test]
fn killed_one_shot_runs_go_on_and_come_to_the_same() {
    let desk = Desk::calculator();
    let model = second_is_right(&desk);
    let words = two_attempts(&model);
    let whole = done_whole(&desk, &words);
    // The first attempt ends with line 14.
    desk.assert_resumable(&words, &[2, 4, 6, 7, 9, 12, 14, 16, 17], &whole);
}

#[test]
fn ctrl_c_leaves_a_one_shot_run_that_goes_on() {
    let desk = Desk::calculator();
    let model = second_is_right(&desk);
    let words = two_attempts(&model);
    let whole = done_whole(&desk, &words);
    for lines in [4, 8] {
        let child = desk.spawn(&words);
        desk.wait_for_lines(lines);
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let done: Done = child.wait_with_output().unwrap().into();
        refuses(&done, 130, &["ending after the steps", "cwm runs resume"]);
        let resumed = desk.run(&["runs", "resume", "last"]);
        assert_eq!(
            (resumed.code, resumed.text()),
            (0, whole.text()),
            "{}",
            resumed.stderr
        );
        assert_eq!(desk.run(&["runs", "rm", "last"]).code, 0);
    }
    desk.assert_untouched();
}

#[test]
fn mixed_strategies_take_turns() {
    let desk = Desk::calculator();
    let answers = [
        json!({"seed": 0, "text": super::END}),
        json!({"seed": 1, "text": RIGHT}),
    ];
    let lines = answers.map(|answer| answer.to_string());
    let done = desk.fix(&desk.lines(&lines), &["--strategy", "mixed"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_says(&done, &["2 attempts at most, mixed, with script", "attempt-2"]);
    let strategies: Vec<String> = desk
        .journal()
        .iter()
        .filter(|line| line["event"] == "attempt")
        .map(|line| {
            format!(
                "{} {}",
                line["attempt"].as_str().unwrap(),
                line["strategy"].as_str().unwrap()
            )
        })
        .collect();
    let mut strategies: Vec<&str> = strategies.iter().map(String::as_str).collect();
    strategies.sort_unstable();
    assert_eq!(strategies, ["attempt-1 agentic", "attempt-2 one_shot"]);
}
