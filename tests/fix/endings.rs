//! Runs that are cut short, and go on.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Desk, END, ISSUE, MEND, SUBMIT, TEST, WRITE};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A script that is a function of the conversation, each answer of which takes a while.
fn slow(desk: &Desk) -> String {
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

/// Waits until the only run's journal has so many lines.
fn wait_for_lines(desk: &Desk, lines: usize) {
    let until = Instant::now() + PATIENCE;
    loop {
        let journals = desk.runs().into_iter().map(|run| run.join("journal.jsonl"));
        let most = journals
            .filter_map(|path| std::fs::read(path).ok())
            .map(|text| text.iter().filter(|byte| **byte == b'\n').count())
            .max();
        if most >= Some(lines) {
            return;
        }
        assert!(Instant::now() < until, "the journal has {most:?} lines");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_killed_run_goes_on_and_comes_to_the_same() {
    let desk = Desk::calculator();
    let model = slow(&desk);
    let whole = desk.fix(&model, &[]);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    desk.run(&["runs", "rm", "last"]);
    for lines in [2, 3, 4, 6, 7, 9, 10, 12] {
        let words = ["fix", "-m", ISSUE, "--test", TEST, "--model", &model];
        let mut child = desk.spawn(&words);
        wait_for_lines(&desk, lines);
        child.kill().unwrap();
        child.wait().unwrap();
        let resumed = desk.run(&["runs", "resume", "last"]);
        assert_eq!(resumed.code, 0, "killed after {lines} lines: {}", resumed.stderr);
        assert_eq!(resumed.text(), whole.text(), "killed after {lines} lines");
        assert_eq!(desk.run(&["runs", "rm", "last"]).code, 0);
        desk.assert_untouched();
    }
}

#[test]
fn ctrl_c_ends_after_the_step_and_says_how_to_go_on() {
    let desk = Desk::calculator();
    let model = slow(&desk);
    let words = ["fix", "-m", ISSUE, "--test", TEST, "--model", &model];
    let child = desk.spawn(&words);
    wait_for_lines(&desk, 5);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let done: crate::copies::Done = child.wait_with_output().unwrap().into();
    assert_eq!((done.code, done.text().as_str()), (130, ""), "{}", done.stderr);
    assert!(done.stderr.contains("cwm runs resume"), "{}", done.stderr);
    let resumed = desk.run(&["runs", "resume", "last"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    desk.assert_untouched();
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
