//! Runs that are cut short, and go on.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Desk, END, ISSUE, MEND, SUBMIT, TEST, WRITE, refuses};

/// A script that is a function of the conversation, each answer of which takes a while.
pub(super) fn slow(desk: &Desk) -> String {
    let answer = |when: &str, text: &str| {
        serde_json::json!({"when": [when], "text": text, "delay_ms": 300}).to_string()
    };
    desk.lines(&[
        answer("<issue_description>", MEND),
        answer("Edited calculator.py", WRITE),
        answer("<submission>", END),
        answer("/tmp/fix.patch written", SUBMIT),
    ])
}

#[test]
fn a_killed_run_goes_on_and_comes_to_the_same() {
    let desk = Desk::calculator();
    let model = slow(&desk);
    let whole = desk.fix(&model, &[]);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    desk.run(&["runs", "rm", "last"]);
    let words = ["fix", "-m", ISSUE, "--test", TEST, "--model", &model];
    desk.assert_resumable(&words, &[2, 3, 4, 6, 7, 9, 10, 12], &whole);
}

#[test]
fn ctrl_c_ends_after_the_step_and_says_how_to_go_on() {
    let desk = Desk::calculator();
    let model = slow(&desk);
    let words = ["fix", "-m", ISSUE, "--test", TEST, "--model", &model];
    let child = desk.spawn(&words);
    desk.wait_for_lines(5);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let done: crate::copies::Done = child.wait_with_output().unwrap().into();
    assert_eq!((done.code, done.text().as_str()), (130, ""), "{}", done.stderr);
    assert!(done.stderr.contains("cwm runs resume"), "{}", done.stderr);
    let resumed = desk.run(&["runs", "resume", "last"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    desk.assert_untouched();
}

/// Ctrl-C, and once more when the first one was heard: how the run ends, and how long the second one takes.
fn interrupt_twice(desk: &Desk, words: &[&str], lines: usize) -> (crate::copies::Done, Duration) {
    let mut child = desk.spawn(words);
    desk.wait_for_lines(lines);
    let process = Pid::from_child(&child);
    let mut said = String::new();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    kill_process(process, Signal::INT).unwrap();
    while !said.contains("Ctrl-C again ends at once") {
        assert!(messages.read_line(&mut said).unwrap() > 0, "{said}");
    }
    assert!(child.try_wait().unwrap().is_none(), "it ended by itself: {said}");
    let second = Instant::now();
    kill_process(process, Signal::INT).unwrap();
    messages.read_to_string(&mut said).unwrap();
    let mut done: crate::copies::Done = child.wait_with_output().unwrap().into();
    done.stderr = said;
    (done, second.elapsed())
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let thinking = serde_json::json!({"text": END, "delay_ms": 120_000});
    let command = "Wait.\n</think>\n<tool: bash>\nsleep 120\n</tool>";
    let working = serde_json::json!({ "text": command });
    let ended = |answer: serde_json::Value, lines: usize| {
        let desk = Desk::calculator();
        let model = desk.lines(&[answer.to_string()]);
        let words = ["fix", "-m", ISSUE, "--test", TEST, "--model", &model];
        let (done, time) = interrupt_twice(&desk, &words, lines);
        refuses(
            &done,
            130,
            &["The run ended before there was a patch.", "cwm runs resume"],
        );
        assert!(time < Duration::from_secs(30), "{time:?}");
        desk.assert_untouched();
        desk
    };
    // While its command runs, and while the model thinks.
    ended(working, 7);
    let desk = ended(thinking, 5);
    // Nothing but the step that was given up is lost.
    let model = desk.script(&[MEND, WRITE, SUBMIT, END]);
    let resumed = desk.run(&["runs", "resume", "last", "--model", &model]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
}

#[test]
fn a_model_that_fails_in_the_middle_leaves_a_run_to_resume() {
    let desk = Desk::calculator();
    let failing = desk.lines(&[
        serde_json::json!({"text": MEND}).to_string(),
        serde_json::json!({"error": "the server went away"}).to_string(),
    ]);
    let done = desk.fix(&failing, &[]);
    assert_eq!((done.code, done.text().as_str()), (3, ""), "{}", done.stderr);
    assert!(done.stderr.contains("the server went away"), "{}", done.stderr);
    // Another model goes on where the first one was.
    let script = desk.file(
        "rest.jsonl",
        [WRITE, SUBMIT, END]
            .map(|text| serde_json::json!({ "text": text }).to_string())
            .join("\n"),
    );
    let model = format!("script:{}", script.display());
    let resumed = desk.run(&["runs", "resume", "last", "--model", &model]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(resumed.text().contains("+    return a + b"));
}

#[test]
fn the_time_of_a_run_is_bounded() {
    let desk = Desk::calculator();
    let answer = serde_json::json!({
        "when": [""],
        "text": "Wait.\n</think>\n<tool: bash>\nsleep 1\n</tool>",
    });
    let model = desk.lines(&[answer.to_string()]);
    let done = desk.fix(&model, &["--max-time", "4"]);
    assert_eq!((done.code, done.text().as_str()), (4, ""), "{}", done.stderr);
    // The bound once stood in the journal under a name that every line has already, so that no such run could be read again.
    let shown = desk.run(&["runs", "show", "last"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    // It is told before, so that it can still hand something in.
    let told = serde_json::json!({
        "when": ["Your time is nearly over. Submit now"],
        "text": "Quick.\n</think>\n<tool: bash>\necho told > /tmp/told.txt; sleep 1\n</tool>",
    });
    let model = desk.lines(&[told.to_string(), answer.to_string()]);
    let done = desk.fix(&model, &["--max-time", "8", "--json"]);
    assert_eq!(done.code, 4, "{}", done.stderr);
    let text = done.text();
    assert!(text.contains("/tmp/told.txt"), "{text}");
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let run = events.iter().find(|event| event["event"] == "fix.run").unwrap();
    assert_eq!(run["budget"]["seconds"], 8.0);
    let turns = desk.fix(&model, &["--max-turns", "2"]);
    assert_eq!((turns.code, turns.text().as_str()), (4, ""), "{}", turns.stderr);
}
