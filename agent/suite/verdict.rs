//! From what was printed, reported and returned to one result. Nothing here runs anything.

use std::collections::{BTreeMap, BTreeSet};

use cwm_tools::sandbox::{Ending, KillReason};

use super::parse::pytest::exception;
use super::parse::pytest_report::Report;
use super::parse::{NOT_BUILT, Parsed, clean, first_words, read, telling_tail};
use super::types::{Framework, RunEnding, Status, TestCase, TestCommand, TestRun, UNNAMED};

/// The name of what is wrong with a run that ended before its tests did.
const BROKE_OFF: &str = "(the run broke off)";

/// All that is known of a run that ended.
pub(super) struct Seen<'a> {
    pub(super) command: &'a TestCommand,
    pub(super) ending: &'a Ending,
    /// Everything that was printed, or nearly so.
    pub(super) text: &'a str,
    /// The same, cut to what is kept.
    pub(super) output: String,
    /// What our plugin wrote.
    pub(super) report: Report,
    /// What reports in files say.
    pub(super) documents: Parsed,
    /// The tests that were chosen, where the command was made to leave others out.
    pub(super) selected: BTreeSet<String>,
    pub(super) seconds: f64,
}

/// Judges a run.
pub(super) fn judge(seen: Seen<'_>) -> TestRun {
    let timed_out = matches!(seen.ending, Ending::Killed(KillReason::Timeout));
    let status = seen.report.status;
    let mut report = seen.report;
    let coverage = std::mem::take(&mut report.coverage);
    let mut parsed = gather(report, seen.documents, seen.command, seen.text, timed_out);
    let (mut ending, exit_code) = match seen.ending {
        Ending::Exited(code) | Ending::ShellExited(code) => (RunEnding::Ran, Some(*code)),
        Ending::Killed(KillReason::Timeout) => (RunEnding::TimedOut, None),
        other => (
            RunEnding::Stopped {
                reason: other.to_string(),
            },
            None,
        ),
    };
    if let Some(code) = exit_code {
        let only_broken =
            parsed.unnamed == 0 && parsed.tests.values().all(|case| case.status == Status::Errored);
        let reason = if only_broken {
            not_started(code, &parsed, seen.text)
        } else {
            None
        };
        let only_skipped = code != 0 && parsed.tests.values().all(|case| case.status == Status::Skipped);
        if let Some(reason) = reason {
            ending = RunEnding::NotStarted { reason };
        } else if status == Some(5) && only_skipped {
            ending = RunEnding::NotStarted {
                reason: "pytest ran no tests".to_owned(),
            };
        } else {
            square(&mut parsed, code, status, seen.command, seen.text);
        }
    } else if matches!(seen.ending, Ending::Signalled(_)) && !parsed.fails() {
        parsed.add(BROKE_OFF, Status::Errored, &telling_tail(&clean(seen.text), 10));
    }
    name_the_unnamed(&mut parsed);
    let mut selected = seen.selected;
    if matches!(&ending, RunEnding::NotStarted { reason } if reason.starts_with(NOT_BUILT)) {
        selected.clear();
    }
    if !selected.is_empty() {
        // Some frameworks say of what was not chosen that it was skipped.
        let tests = &mut parsed.tests;
        tests.retain(|name, case| case.status != Status::Skipped || selected.contains(name));
    }
    TestRun {
        command: seen.command.clone(),
        ending,
        exit_code,
        tests: parsed.tests,
        selected,
        coverage,
        output: seen.output,
        seconds: seen.seconds,
    }
}

/// The most exact source that there is: our own report, files, printed text.
fn gather(report: Report, documents: Parsed, command: &TestCommand, text: &str, timed_out: bool) -> Parsed {
    if !report.begun {
        return if documents.recognised {
            documents
        } else {
            read(command.framework, text)
        };
    }
    let mut parsed = report.parsed;
    let broke_off = report.status.is_none() && !timed_out;
    let why = if timed_out {
        "It was still running at the time limit."
    } else {
        "It was running when the program ended."
    };
    for name in &report.running {
        parsed.add(name, Status::Errored, why);
    }
    if broke_off && report.running.is_empty() {
        parsed.add(BROKE_OFF, Status::Errored, &telling_tail(&clean(text), 10));
    }
    if report.only_collection_failed && parsed.problem.is_none() {
        let first = parsed
            .tests
            .iter()
            .find(|(_, case)| case.status == Status::Errored);
        parsed.problem =
            first.map(|(name, case)| format!("{name} cannot be collected: {}", exception(&case.message)));
    } else if report.status == Some(5) && parsed.tests.is_empty() {
        parsed.problem = Some("pytest found no tests".to_owned());
    } else if parsed.tests.is_empty() && parsed.problem.is_none() {
        parsed.problem = read(Framework::Pytest, text).problem;
    }
    if documents.recognised {
        parsed.extend(documents);
    }
    parsed
}

/// Why no test was run, when none was.
fn not_started(code: i32, parsed: &Parsed, text: &str) -> Option<String> {
    if let Some(problem) = &parsed.problem {
        return Some(problem.clone());
    }
    if !parsed.tests.is_empty() || code == 0 {
        return None;
    }
    let text = clean(text);
    let telling = |line: &str| {
        let line = line.trim();
        if code == 127 && (line.contains("not found") || line.contains("No such file")) {
            return Some(format!("a program is missing: {}", first_words(line)));
        }
        if code == 126 {
            return Some(format!("a program cannot be run: {}", first_words(line)));
        }
        if let Some((_, module)) = line
            .split_once(": No module named ")
            .filter(|(program, _)| program.contains("python"))
        {
            return Some(format!(
                "the Python module {} is not installed",
                first_words(module)
            ));
        }
        if line.contains("can't open file") && line.contains("[Errno") {
            return Some(first_words(line));
        }
        if line.contains("*** No rule to make target") || line.contains("*** No targets specified") {
            return Some(format!("make cannot start: {}", first_words(line)));
        }
        if line.contains("Missing script:") || line.contains("missing script:") {
            return Some(format!("npm cannot start: {}", first_words(line)));
        }
        if line.contains("Error: no test specified") {
            return Some("package.json says that there are no tests".to_owned());
        }
        let word = line.rsplit(": ").next().unwrap_or_default();
        if line.starts_with("sh: ") && (word == "not found" || word == "command not found") {
            return Some(format!("a program is missing: {}", first_words(line)));
        }
        None
    };
    text.lines().rev().take(2000).find_map(telling)
}

/// Sees to it that what the exit code says shows: a failure that no test tells of gets a name of its own.
fn square(parsed: &mut Parsed, code: i32, pytest: Option<i32>, command: &TestCommand, text: &str) {
    if !parsed.ran() {
        let status = if code == 0 { Status::Passed } else { Status::Failed };
        let message = if code == 0 {
            String::new()
        } else {
            telling_tail(&clean(text), 20)
        };
        parsed.add(&command.command, status, &message);
        return;
    }
    if code == 0 && parsed.broke_off {
        // A test can end its program, and say that all is well.
        parsed.add(BROKE_OFF, Status::Errored, &telling_tail(&clean(text), 10));
    }
    let pytest = pytest.filter(|status| !matches!(status, 0 | 5));
    let code = if code == 0 { pytest.unwrap_or(0) } else { code };
    if code != 0 && !parsed.fails() {
        let message = parsed
            .problem
            .clone()
            .unwrap_or_else(|| telling_tail(&clean(text), 20));
        parsed.add(&format!("(exit status {code})"), Status::Failed, &message);
    }
}

/// Passes that are counted but not named are one entry, so that another run's failures can be told from new ones. Output that
/// names what passes names all of it; where its count says more, something was cut out, and nobody vouches for that.
fn name_the_unnamed(parsed: &mut Parsed) {
    if parsed.unnamed > 0 && parsed.count(|status| status == Status::Passed) == 0 {
        let case = TestCase {
            status: Status::Passed,
            message: String::new(),
            seconds: None,
        };
        parsed.tests.extend(BTreeMap::from([(UNNAMED.to_owned(), case)]));
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
