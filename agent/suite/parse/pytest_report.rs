//! The lines that our own pytest plugin writes: each test's fate by its exact node id, as it happens.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::pytest::telling_lines;
use super::{Parsed, stable_name};
use crate::suite::types::{Coverage, Status};

/// What the plugin saw of a run.
#[derive(Debug, Default)]
pub(in crate::suite) struct Report {
    /// Tests, and modules that could not be collected.
    pub(in crate::suite) parsed: Parsed,
    /// Tests that began and did not end.
    pub(in crate::suite) running: Vec<String>,
    /// Whether any session of pytest began.
    pub(in crate::suite) begun: bool,
    /// pytest's own exit status, the worst of its sessions, when all came to their end.
    pub(in crate::suite) status: Option<i32>,
    /// Whether our plugin left tests out because they were not wanted.
    pub(in crate::suite) selected: bool,
    /// Whether only collection was seen to fail, and no test ran.
    pub(in crate::suite) only_collection_failed: bool,
    /// The files of code that tests run, where that was asked for.
    pub(in crate::suite) coverage: Coverage,
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    Begin {},
    Select {},
    Start {
        id: String,
    },
    Test {
        id: String,
        when: String,
        outcome: String,
        expected: bool,
        seconds: f64,
        message: String,
    },
    End {
        id: String,
    },
    File {
        number: u32,
        path: String,
    },
    Touched {
        id: String,
        files: Vec<u32>,
    },
    Collect {
        id: String,
        outcome: String,
        message: String,
    },
    Finish {
        status: i32,
    },
}

/// Reads the plugin's lines; a last one that was cut off is passed over.
pub(in crate::suite) fn read(text: &str) -> Report {
    let mut report = Report::default();
    let mut running = BTreeSet::new();
    let (mut sessions, mut finished, mut worst, mut tests, mut not_collected) = (0, 0, 0, 0, 0);
    for line in text.lines() {
        match serde_json::from_str(line) {
            Ok(Line::Begin {}) => sessions += 1,
            Ok(Line::Select {}) => report.selected = true,
            Ok(Line::Start { id }) => {
                running.insert(id);
            }
            Ok(Line::Test {
                id,
                when,
                outcome,
                expected,
                seconds,
                message,
            }) => {
                tests += 1;
                if let Some(status) = status(&when, &outcome, expected) {
                    let message = if status.fails() {
                        telling_lines(&message)
                    } else {
                        String::new()
                    };
                    report.parsed.add_case(&id, status, &message, Some(seconds));
                }
            }
            Ok(Line::End { id }) => {
                running.remove(&id);
            }
            Ok(Line::File { number, path }) => report.coverage.name(number, path),
            Ok(Line::Touched { id, files }) => report.coverage.add(stable_name(&id), files),
            Ok(Line::Collect { id, outcome, message }) => {
                let name = if id.is_empty() { "(collection)" } else { &id };
                if outcome == "skipped" {
                    report.parsed.add(name, Status::Skipped, "");
                } else {
                    not_collected += 1;
                    report.parsed.add(name, Status::Errored, &telling_lines(&message));
                }
            }
            Ok(Line::Finish { status }) => {
                finished += 1;
                worst = worst.max(status);
            }
            Err(_) => {}
        }
    }
    report.begun = sessions > 0;
    report.parsed.recognised |= report.begun;
    if report.begun && finished >= sessions {
        report.status = Some(worst);
        report.parsed.finished = true;
    }
    report.only_collection_failed = not_collected > 0 && tests == 0;
    report.running = running.into_iter().collect();
    report
}

/// What one phase of a test says of it; nothing, when another phase is to tell.
fn status(when: &str, outcome: &str, expected: bool) -> Option<Status> {
    Some(match (outcome, when) {
        ("passed", _) if expected => Status::UnexpectedPass,
        ("passed", _) => Status::Passed,
        ("skipped", _) if expected => Status::ExpectedFailure,
        ("skipped", _) => Status::Skipped,
        ("failed", "call") => Status::Failed,
        ("failed", _) => Status::Errored,
        _ => return None,
    })
}
