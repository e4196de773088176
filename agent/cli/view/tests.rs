//! Tests of what a run looks like: on terminals of several widths, in a pipe, as events, and at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use cwm_runtime::engine::{SamplingParameters, Usage};
use cwm_runtime::source::{ChatMessage, StopReason};
use cwm_tools::call::Tool;
use serde_json::{Value, json};

use super::*;
use crate::cli::terminal::Terminal;
use crate::cli::text::width;
use crate::cli::{Format, Settings, Verbosity};
use crate::rollout::journal::{Elided, Generated, ModelRecord, RunRecord, ToolUsed, Verdict};
use crate::rollout::{Budget, Candidate, Ending, Strategy};
use crate::suite::{CommandSource, Framework, RunEnding, Status, TestCase, TestCommand, TestRun};

const PATCH: &str =
    "diff --git a/stats.py b/stats.py\n--- a/stats.py\n+++ b/stats.py\n@@ -1 +1,2 @@\n-x\n+y\n+z\n";

fn command() -> TestCommand {
    TestCommand {
        command: "pytest -q".to_owned(),
        framework: Framework::Pytest,
        source: CommandSource::Given,
    }
}

/// A run of these tests, of which those in the second list failed.
fn tests(passed: &[&str], failed: &[&str]) -> TestRun {
    let case = |status| TestCase {
        status,
        message: String::new(),
        seconds: None,
    };
    let named = |names: &[&str], status| -> BTreeMap<String, TestCase> {
        let cases = names.iter().map(|name| ((*name).to_owned(), case(status)));
        cases.collect()
    };
    let mut all = named(passed, Status::Passed);
    all.extend(named(failed, Status::Failed));
    TestRun {
        command: command(),
        ending: RunEnding::Ran,
        exit_code: Some(i32::from(!failed.is_empty())),
        tests: all,
        selected: BTreeSet::new(),
        coverage: Default::default(),
        output: "…".to_owned(),
        seconds: 1.25,
    }
}

fn before() -> TestRun {
    tests(&["test_mean", "test_sum"], &["test_median"])
}

fn after() -> TestRun {
    tests(&["test_mean", "test_sum", "test_median"], &[])
}

fn run_record() -> Record {
    Record::Run(Box::new(RunRecord {
        cwm_version: "0.1.0".to_owned(),
        id: "20260102-030405-abcd".to_owned(),
        repository: "/home/ada/stats".to_owned(),
        start: String::new(),
        base_commit: "c0ffee".to_owned(),
        uncommitted: 2,
        issue: "median() is wrong".to_owned(),
        model: ModelRecord {
            argument: "qwen2.5-coder-1.5b".to_owned(),
            name: "Qwen2.5 Coder 1.5B".to_owned(),
            fingerprint: None,
            context: Some(32_768),
        },
        strategy: Strategy::Agentic,
        mixed: false,
        samples: 3,
        seed: 7,
        sampling: SamplingParameters::default(),
        budget: Budget {
            turns: 20,
            ..Budget::default()
        },
        max_time: None,
        tests: vec![command()],
        guidance: Vec::new(),
        arguments: Vec::new(),
        directory: "/home/ada/stats".to_owned(),
    }))
}

fn attempt_begins(name: &str, strategy: Strategy) -> Record {
    Record::Attempt {
        attempt: name.to_owned(),
        strategy,
        sampling: SamplingParameters {
            seed: 7,
            temperature: 0.5,
            ..SamplingParameters::default()
        },
    }
}

fn generation(name: &str, text: &str) -> Record {
    Record::Generation {
        attempt: name.to_owned(),
        generated: Generated {
            text: text.to_owned(),
            prefix: "<think>\n".to_owned(),
            tokens: Vec::new(),
            calls: Vec::new(),
            reason: StopReason::Stop,
            usage: Usage {
                prompt_tokens: 900,
                cached_tokens: 800,
                completion_tokens: 1234,
            },
            seed: 7,
            seconds: 12.0,
        },
    }
}

fn tool(name: &str) -> Record {
    Record::Tool {
        attempt: name.to_owned(),
        used: ToolUsed {
            tool: Tool::Bash,
            content: "ls".to_owned(),
            result: "stats.py".to_owned(),
            done: true,
            submitted: None,
            closing: 0,
            long: None,
            seconds: 0.5,
        },
    }
}

fn candidate(name: &str, ending: Ending) -> Candidate {
    Candidate {
        attempt: name.to_owned(),
        strategy: Strategy::Agentic,
        ending,
        patch: PATCH.as_bytes().to_vec(),
        answer: "## Done".to_owned(),
        turns: 4,
        prompt_tokens: 9000,
        completion_tokens: 5678,
        seconds: 61.4,
    }
}

fn verdict(name: &str, run: TestRun, verified: bool) -> Verdict {
    Verdict {
        attempt: name.to_owned(),
        refused: None,
        changes: crate::suite::compare(&before(), &run),
        runs: vec![run],
        flaky: Vec::new(),
        test_files: Vec::new(),
        verified,
        but_for_still_failing: false,
        but_for_nothing_failing: false,
        postponed: false,
        remarks: Vec::new(),
        seconds: 3.0,
    }
}

/// A run with an attempt of each kind, as it comes in.
fn some_records() -> Vec<Record> {
    let bash = "I look.\n</think>\nLet me see.\n<tool: bash>\ngrep -rn 'def median' src/ tests/ && sed -n 1,80p src/stats.py\n</tool>";
    vec![
        run_record(),
        Record::Baseline {
            runs: vec![before()],
            flaky: Vec::new(),
        },
        attempt_begins("attempt-1", Strategy::Agentic),
        attempt_begins("attempt-2", Strategy::OneShot),
        attempt_begins("attempt-3", Strategy::Agentic),
        Record::Message {
            attempt: "attempt-1".to_owned(),
            message: ChatMessage::new("user", "the issue"),
            tokens: Some(12),
        },
        generation("attempt-1", bash),
        tool("attempt-1"),
        generation("attempt-1", bash),
        generation("attempt-2", "edits"),
        Record::Tests {
            attempt: "attempt-2".to_owned(),
            runs: vec![after()],
        },
        Record::Candidate(Box::new(candidate("attempt-3", Ending::Finished))),
        Record::Validation(Box::new(verdict("attempt-3", after(), true))),
    ]
}

/// What the live area shows of these records, at a time.
fn area(records: &[Record], now: f64, columns: usize, rows: usize) -> Vec<String> {
    let mut overview = Overview::default();
    for record in records {
        overview.record(record);
    }
    for tenth in 0..20 {
        overview.tokens("attempt-2", 4, now - 2.0 + f64::from(tenth) / 10.0);
    }
    let lines = screen::lines(&overview, now, columns, rows);
    let text = |line: &crate::cli::live::LiveLine| -> String {
        line.iter().map(|(_, text)| text.as_str()).collect()
    };
    lines.iter().map(text).collect()
}

#[test]
fn a_live_area_says_what_each_attempt_does() {
    assert_eq!(
        area(&some_records(), 75.0, 80, 24),
        [
            "1m 15s · 1/3 ended · 1 verified · 40 tokens/s · 1 failure before",
            "attempt-1 turn 2 of 20, bash: grep -rn 'def median' src/ tests/ &…  2.5k tokens",
            "attempt-2 round 2 of 2, thinking                +1 -0 tests  1.3k tokens   40/s",
            "attempt-3 verified                                     +1 -0 tests  5.7k tokens",
        ]
    );
}

#[test]
fn a_narrow_terminal_shows_the_most_telling() {
    assert_eq!(
        area(&some_records(), 75.0, 40, 24),
        [
            "1m 15s · 1/3 ended · 1 verified",
            "1 2/20 bash: grep -rn 'def median… 2.5k",
            "2 2/2 thinking               +1 -0 1.3k",
            "3 verified                   +1 -0 5.7k",
        ]
    );
    assert_eq!(
        area(&some_records(), 75.0, 20, 24),
        [
            "1m 15s · 1/3 ended",
            "1 2 bash: grep -rn…",
            "2 2 thinking  +1 -0",
            "3 verified    +1 -0",
        ]
    );
    for columns in 1..200 {
        for line in area(&some_records(), 7200.0, columns, 24) {
            assert!(width(&line) < columns.max(2), "{columns}: {line:?}");
        }
    }
}

#[test]
fn the_tests_first_run_is_announced() {
    let mut overview = Overview::default();
    overview.record(&run_record());
    let lines = screen::lines(&overview, 3.0, 80, 24);
    assert_eq!(lines[1][0].1, "running the tests before any change");
}

#[test]
fn many_attempts_do_not_fill_the_screen_and_those_at_work_come_first() {
    let mut records = vec![run_record()];
    for number in 1..=30 {
        let name = format!("attempt-{number}");
        records.push(attempt_begins(&name, Strategy::Agentic));
        if number <= 20 {
            records.push(Record::Candidate(Box::new(candidate(&name, Ending::Turns))));
        }
    }
    let lines = area(&records, 1.0, 80, 24);
    assert_eq!(lines.len(), 12);
    assert!(
        lines[1].starts_with("attempt-21 turn 1 of 20, thinking"),
        "{lines:?}"
    );
    assert_eq!(lines[11], "and 20 more");
    assert_eq!(area(&records, 1.0, 80, 5).len(), 4);
    for rows in 0..4 {
        assert!(area(&records, 1.0, 80, rows).len() <= rows.max(2), "{rows}");
    }
}

/// What a printer writes of these records to stdout and stderr.
fn streams(format: Format, verbosity: Verbosity, records: &[Record]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let settings = Settings {
        format,
        verbosity,
        ..Settings::default()
    };
    let streams = (File::create(&out).unwrap(), File::create(&err).unwrap());
    let mut printer = Printer::to(Box::new(streams.0), Box::new(streams.1), settings);
    let mut view = View::new(&printer, &Environment::default());
    for record in records {
        view.take(&Update::Record(Box::new(record.clone())), &mut printer)
            .unwrap();
        view.tick(&mut printer);
    }
    view.finish(&mut printer);
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    (read(&out), read(&err))
}

#[test]
fn without_a_terminal_there_is_a_line_for_what_is_notable() {
    let (out, err) = streams(Format::Text, Verbosity::Normal, &some_records());
    assert_eq!(out, "");
    assert_eq!(
        err,
        "run 20260102-030405-abcd: 3 attempts at most, agentic, with Qwen2.5 Coder 1.5B, seed 7\n\
         2 uncommitted files are part of the base\n\
         tests before any change: pytest -q: 1 failed, 2 passed in 1.2 s\n\
         attempt-3 finished after 4 turns, 5,678 tokens and 1m 01s: 1 file, +2 -1\n\
         attempt-3 was tried in a fresh copy: fixes 1, breaks none; verified\n"
    );
    let (_, err) = streams(Format::Text, Verbosity::Verbose, &some_records());
    for line in [
        "attempt-1 begins: agentic, seed 7, temperature 0.5\n",
        "attempt-1, turn 1: 1,234 tokens in 12 s\n",
        "attempt-1, bash: ls (0.5 s)\n",
        "attempt-2, round 1: 1,234 tokens in 12 s\n",
        "attempt-2, pytest -q: 3 passed in 1.2 s\n",
    ] {
        assert!(err.contains(line), "{line} in {err}");
    }
    let (out, err) = streams(Format::Text, Verbosity::Quiet, &some_records());
    assert_eq!((out.as_str(), err.as_str()), ("", ""));
}

#[test]
fn tests_that_say_nothing_are_a_warning() {
    let not_started = TestRun {
        ending: RunEnding::NotStarted {
            reason: "pytest: command not found\x1b[31m".to_owned(),
        },
        ..tests(&[], &[])
    };
    let baseline = |runs: Vec<TestRun>| Record::Baseline {
        runs,
        flaky: vec!["test_clock".to_owned()],
    };
    let (_, err) = streams(Format::Text, Verbosity::Normal, &[baseline(vec![not_started])]);
    assert_eq!(
        err,
        "warning: tests before any change: pytest -q: did not start: pytest: command not found\u{fffd}[31m in 1.2 s\n\
         1 test does not say the same each time and will not count\n"
    );
    let (_, err) = streams(Format::Text, Verbosity::Normal, &[baseline(Vec::new())]);
    assert!(err.starts_with("warning: No tests were found"), "{err}");
}

/// Everything that a stranger can say, with something in it that a terminal would act on. The test's terminal panics at it.
#[test]
fn what_models_and_commands_say_never_reaches_a_terminal_raw() {
    let hostile = "\x1b]0;owned\x07\x1b[2J\r\u{9b}31m\u{202e}";
    let call = format!("</think>\n<tool: bash>\n{hostile}echo\n</tool>");
    let mut evil_tool = tool(hostile);
    if let Record::Tool { used, .. } = &mut evil_tool {
        used.content = hostile.to_owned();
    }
    let mut evil = verdict(hostile, after(), false);
    evil.refused = Some(hostile.to_owned());
    let records = [
        attempt_begins(hostile, Strategy::Agentic),
        generation(hostile, &call),
        evil_tool,
        generation(hostile, &call),
        Record::Notice {
            attempt: Some(hostile.to_owned()),
            text: hostile.to_owned(),
        },
        Record::Candidate(Box::new(candidate(
            hostile,
            Ending::Failed {
                reason: hostile.to_owned(),
            },
        ))),
        Record::Validation(Box::new(evil)),
    ];
    let terminal = Terminal::new(60, 24);
    let settings = Settings {
        progress: true,
        color_messages: true,
        verbosity: Verbosity::Verbose,
        ..Settings::default()
    };
    let size = terminal.clone();
    let (out, err) = (Box::new(terminal.clone()), Box::new(terminal.clone()));
    let mut printer = Printer::to(out, err, settings).on_screen(move || size.size());
    let mut view = View::new(&printer, &Environment::default()).limited_to(Some(Duration::from_secs(60)));
    for record in records {
        view.take(&Update::Record(Box::new(record)), &mut printer)
            .unwrap();
        view.tick(&mut printer);
        assert!(terminal.text().contains(" of 1m 00s"), "{}", terminal.text());
    }
    view.finish(&mut printer);
    assert!(!terminal.text().contains(" of 1m 00s"), "{}", terminal.text());
}

#[test]
fn every_record_is_an_event_that_the_documentation_describes() {
    let mut records = some_records();
    records.extend([
        Record::Resumed {
            cwm_version: "0.1.0".to_owned(),
            model: ModelRecord {
                argument: "m".to_owned(),
                name: "M".to_owned(),
                fingerprint: None,
                context: None,
            },
        },
        Record::Elision {
            attempt: "attempt-1".to_owned(),
            elided: Elided {
                messages: vec![3, 5],
                results: Vec::new(),
                tokens_before: 9000,
                tokens_after: 5000,
            },
        },
        Record::Notice {
            attempt: None,
            text: "look".to_owned(),
        },
    ]);
    let (out, err) = streams(Format::JsonLines, Verbosity::Normal, &records);
    assert_eq!(err, "", "events come without noise");
    let events: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.len(), records.len(), "one each");
    let documented = include_str!("../../../docs/json-events.md");
    for event in &events {
        let name = event["event"].as_str().unwrap();
        let section = documented.split(&format!("\n`{name}`")).nth(1);
        let section = section.unwrap_or_else(|| panic!("{name} is not documented"));
        let section = section.split("\n`fix.").next().unwrap();
        for field in event.as_object().unwrap().keys() {
            let known = ["schema", "event"].contains(&field.as_str());
            assert!(
                known || section.contains(&format!("`{field}`")),
                "{name}.{field} is not documented"
            );
        }
    }
    let named = |name: &str| events.iter().find(|event| event["event"] == name).unwrap();
    assert_eq!(
        named("fix.tests")["changes"],
        json!({"fixed": ["test_median"], "broken": [], "vanished": [], "still_failing": [], "new_passing": [],
               "new_failing": [], "still_passing": 2})
    );
    assert_eq!(
        named("fix.baseline")["runs"],
        json!([{"command": "pytest -q", "ending": "ran", "reason": null, "exit_code": 1, "passed": 2, "failed": 1,
                "skipped": 0, "failing": ["test_median"], "selected": 0, "seconds": 1.25}])
    );
    assert_eq!(named("fix.candidate")["patch"], PATCH);
    assert_eq!(named("fix.generation")["completion_tokens"], 1234);
}

#[test]
fn long_texts_of_events_are_cut_and_say_so() {
    let long = "ä".repeat(20_000);
    let (out, _) = streams(
        Format::JsonLines,
        Verbosity::Quiet,
        &[generation("attempt-1", &long)],
    );
    let event: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(event["text"].as_str().unwrap().len(), 16 << 10);
    assert_eq!(event["cut"], json!(["text"]));
    let (out, _) = streams(
        Format::JsonLines,
        Verbosity::Quiet,
        &[generation("attempt-1", "short")],
    );
    let event: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(event["cut"], json!([]));
}

#[path = "closing_tests.rs"]
mod closing;
