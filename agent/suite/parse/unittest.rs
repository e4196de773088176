//! Python's unittest, and Django's runner on it: lines of `-v`, reports of failures, and the closing count.

use std::collections::BTreeMap;

use super::{Parsed, first_words, telling_tail};
use crate::suite::types::Status;

/// Reads what unittest printed.
pub(super) fn read(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut reader = Reader::default();
    for line in text.lines() {
        reader.take(line, &mut parsed);
    }
    reader.finish(&mut parsed);
    parsed
}

#[derive(Default)]
struct Reader {
    /// A test whose line has begun and not said how it went.
    pending: Option<String>,
    /// Tests whose line was broken up by what they printed.
    unresolved: Vec<String>,
    /// The report that is being read: its test, and whether it failed or broke.
    report: Option<(String, Status)>,
    body: String,
    /// The line before was a double rule.
    ruled: bool,
    ran: Option<u64>,
    /// Something was said of a test, and its run has not come to its count.
    open: bool,
    /// From the closing line: those that neither passed nor failed.
    others: u64,
    /// Modules that could not be imported, and why.
    not_imported: BTreeMap<String, String>,
}

impl Reader {
    fn take(&mut self, line: &str, parsed: &mut Parsed) {
        let after_rule = std::mem::replace(&mut self.ruled, is_rule(line, '='));
        if self.ruled {
            self.close_report(parsed);
            return;
        }
        if after_rule && let Some(report) = report_heading(line) {
            self.pending = None;
            self.report = Some(report);
            self.open = true;
            parsed.recognised = true;
            return;
        }
        if let Some(ran) = ran(line) {
            self.close_report(parsed);
            self.ran = Some(self.ran.unwrap_or(0).saturating_add(ran));
            self.open = false;
            parsed.recognised = true;
            return;
        }
        if self.report.is_some() {
            if self.body.len() < 1 << 16 && !is_rule(line, '-') {
                self.body.push_str(line);
                self.body.push('\n');
            }
            return;
        }
        if self.ran.is_some() {
            self.closing(line, parsed);
        }
        self.live(line, parsed);
    }

    fn live(&mut self, line: &str, parsed: &mut Parsed) {
        // Older versions print a subtest's own line indented.
        if let Some((name, rest)) = test_heading(line.trim_start()) {
            self.unresolved.extend(self.pending.take());
            self.open |= rest.starts_with(" ...");
            match rest.strip_prefix(" ...").map(str::trim) {
                Some(word) => match status_word(word) {
                    Some(status) => parsed.add(&name, status, ""),
                    None => self.pending = Some(name),
                },
                None if rest.trim().is_empty() => self.pending = Some(name),
                None => {}
            }
            return;
        }
        let Some(name) = &self.pending else {
            return;
        };
        // The first line of the test's description, or what the test printed, stands before the word.
        let word = line.rsplit_once(" ... ").map_or(line, |(_, word)| word).trim();
        if let Some(status) = status_word(word) {
            parsed.add(name, status, "");
            self.pending = None;
            self.open = true;
        }
    }

    fn closing(&mut self, line: &str, parsed: &mut Parsed) {
        let line = line.trim();
        let counts = if line == "OK" || line == "FAILED" || line == "NO TESTS RAN" {
            ""
        } else {
            let counts = line
                .strip_prefix("OK (")
                .or_else(|| line.strip_prefix("FAILED ("));
            match counts.and_then(|counts| counts.strip_suffix(')')) {
                Some(counts) => counts,
                None => return,
            }
        };
        parsed.finished = true;
        for part in counts.split(", ") {
            let Some((what, number)) = part.split_once('=') else {
                continue;
            };
            if !matches!(what, "failures" | "errors") {
                self.others = self.others.saturating_add(number.parse().unwrap_or(0));
            }
        }
    }

    fn close_report(&mut self, parsed: &mut Parsed) {
        let body = std::mem::take(&mut self.body);
        if let Some((name, status)) = self.report.take() {
            let message = traceback(&body);
            if body.starts_with("ImportError: Failed to import test module") {
                self.not_imported.insert(name.clone(), message.clone());
            }
            parsed.add(&name, status, &message);
        }
    }

    fn finish(mut self, parsed: &mut Parsed) {
        self.close_report(parsed);
        self.unresolved.extend(self.pending.take());
        let ended = parsed.finished && !self.open;
        for name in self.unresolved {
            // Whatever fails has a report; what has none, in a run that came to its end, passed.
            if ended && !parsed.tests.contains_key(&name) {
                parsed.add(&name, Status::Passed, "");
            } else if !ended && parsed.recognised {
                parsed.add(&name, Status::Errored, "It began and did not end.");
            }
        }
        parsed.broke_off = self.open && parsed.recognised;
        let whole = |name: &str| {
            let method = name.rsplit('.').next().unwrap_or_default();
            !method.starts_with("setUp") && !method.starts_with("tearDown")
        };
        let named = parsed
            .tests
            .iter()
            .filter(|(name, case)| whole(name) && (case.status.fails() || case.status == Status::Passed));
        let named = named.count() as u64;
        parsed.unnamed = self
            .ran
            .unwrap_or(0)
            .saturating_sub(self.others)
            .saturating_sub(named);
        if self.ran == Some(0) && parsed.tests.is_empty() {
            parsed.problem = Some("unittest found no tests".to_owned());
        }
        if let Some((module, why)) = self.not_imported.iter().next()
            && parsed
                .tests
                .keys()
                .all(|name| self.not_imported.contains_key(name))
            && parsed.unnamed == 0
        {
            let why = why.lines().next_back().unwrap_or_default();
            parsed.problem = Some(format!("{module} cannot be imported: {}", first_words(why)));
        }
    }
}

fn is_rule(line: &str, rule: char) -> bool {
    let line = line.trim_end();
    line.len() >= 50 && line.chars().all(|character| character == rule)
}

/// `FAIL: test_a (tests.test_x.TestA)`, perhaps with a subtest's values behind it.
fn report_heading(line: &str) -> Option<(String, Status)> {
    let (word, rest) = line.split_once(": ")?;
    let status = match word {
        "FAIL" => Status::Failed,
        "ERROR" => Status::Errored,
        "UNEXPECTED SUCCESS" => Status::UnexpectedPass,
        _ => return None,
    };
    let name = test_heading(rest).map_or_else(|| rest.trim().to_owned(), |(name, _)| name);
    Some((name, status))
}

/// `test_a (tests.test_x.TestA.test_a)` and older `test_a (tests.test_x.TestA)`: the dotted name, and what stands behind.
fn test_heading(line: &str) -> Option<(String, &str)> {
    let (method, rest) = line.split_once(" (")?;
    let (place, rest) = rest.split_once(')')?;
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '<' | '>' | '-' | '[' | ']'))
    };
    if !plain(method)
        || !plain(place)
        || !(place.contains('.')
            || place.starts_with("__main__")
            || method.starts_with("setUp")
            || method.starts_with("tearDown"))
    {
        return None;
    }
    let name = if place.contains("_FailedTest") || place.contains("ModuleImportFailure") {
        method.to_owned()
    } else if place.ends_with(&format!(".{method}")) {
        place.to_owned()
    } else {
        format!("{place}.{method}")
    };
    // A subtest's values: `(i=1)` or `[message]`.
    let rest = match rest.strip_prefix(" (").or_else(|| rest.strip_prefix(" [")) {
        Some(values) => values
            .rfind(" ...")
            .and_then(|at| values.get(at..))
            .unwrap_or_default(),
        None => rest,
    };
    Some((name, rest))
}

fn status_word(word: &str) -> Option<Status> {
    Some(match word {
        "ok" => Status::Passed,
        "FAIL" => Status::Failed,
        "ERROR" => Status::Errored,
        "expected failure" => Status::ExpectedFailure,
        "unexpected success" => Status::UnexpectedPass,
        _ if word == "skipped" || word.starts_with("skipped '") || word.starts_with("skipped \"") => {
            Status::Skipped
        }
        _ => return None,
    })
}

/// `Ran 3 tests in 0.001s`
fn ran(line: &str) -> Option<u64> {
    let (number, rest) = line.strip_prefix("Ran ")?.split_once(' ')?;
    let number = number.parse().ok()?;
    (rest.starts_with("test in ") || rest.starts_with("tests in ")).then_some(number)
}

/// The telling end of a report: the innermost place and the exception.
fn traceback(body: &str) -> String {
    let body = body.split("\n\nStdout:\n").next().unwrap_or_default();
    match body.rfind("\n  File \"") {
        Some(at) => telling_tail(body.get(at..).unwrap_or_default(), 40),
        None => telling_tail(body, 40),
    }
}
