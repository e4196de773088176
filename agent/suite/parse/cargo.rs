//! `cargo test`: several programs one after another, each with tests of its own, and documentation tests.

use std::collections::BTreeMap;

use super::{NOT_BUILT, Parsed, bounded, first_words, telling_tail};
use crate::suite::types::Status;

/// Reads what `cargo test` printed.
pub(super) fn read(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut reader = Reader::default();
    for line in text.lines() {
        reader.take(line, &mut parsed);
    }
    if !parsed.recognised {
        reader.tests.clear();
    }
    reader.close_program(&mut parsed);
    parsed.broke_off = parsed.ran() && !parsed.finished;
    if reader.compile_errors {
        parsed.problem = Some(match &reader.first_error {
            Some(error) => format!("{NOT_BUILT}: {}", first_words(error)),
            None => NOT_BUILT.to_owned(),
        });
    } else if let (Some(error), false) = (&reader.cargo_error, parsed.ran()) {
        parsed.problem = Some(format!("cargo cannot start: {}", first_words(error)));
        parsed.recognised = true;
    } else if parsed.finished && !parsed.ran() {
        parsed.problem = Some("cargo found no tests".to_owned());
    }
    parsed
}

#[derive(Default)]
struct Reader {
    /// How often each program's label was used.
    labels: BTreeMap<String, u32>,
    label: String,
    /// Tests that the running program said it has, when it has not closed yet.
    expected: Option<u64>,
    /// Documentation tests are told apart by their lines, which move; so their numbers among equals count.
    tests: Vec<(String, u64, Status)>,
    messages: BTreeMap<String, String>,
    /// The test whose output is being read.
    section: Option<String>,
    body: String,
    in_failures: bool,
    /// Names listed as failed, without their own lines in quiet runs.
    listed: Vec<String>,
    pending: Option<String>,
    compile_errors: bool,
    first_error: Option<String>,
    cargo_error: Option<String>,
}

impl Reader {
    fn take(&mut self, line: &str, parsed: &mut Parsed) {
        if let Some(label) = program(line) {
            let label = bounded(&label).to_owned();
            self.close_program(parsed);
            let count = self.labels.entry(label.clone()).or_default();
            *count += 1;
            self.label = if *count > 1 {
                format!("{label} #{count}")
            } else {
                label
            };
            parsed.recognised = true;
        } else if self.section.is_some() {
            // What a failed test printed may look like anything.
            self.failure_line(line);
        } else if let Some(count) = running(line) {
            if self.expected.is_some() {
                self.close_program(parsed);
            }
            self.expected = Some(count);
            parsed.recognised = true;
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.result(counts, parsed);
        } else if self.in_failures {
            self.failure_line(line);
        } else if line == "failures:" {
            self.in_failures = true;
        } else if self.expected.is_some() || line.starts_with("test ") {
            self.test_line(line);
        } else {
            self.error_line(line, parsed);
        }
    }

    fn test_line(&mut self, line: &str) {
        let whole = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ... "));
        if let Some((name, word)) = whole {
            self.pending = None;
            match status_word(word) {
                Some(status) => self.push(name, status),
                None => self.pending = Some(bounded(name).to_owned()),
            }
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ..."))
        {
            self.pending = Some(bounded(name).to_owned());
        } else if let (Some(name), Some(status)) = (&self.pending, status_word(line.trim())) {
            // With `--nocapture` what the test prints stands between.
            let name = name.clone();
            self.pending = None;
            self.push(&name, status);
        }
    }

    fn push(&mut self, name: &str, status: Status) {
        let name = name.strip_suffix(" - should panic").unwrap_or(name);
        let (name, line) = without_line(name);
        self.tests.push((name, line, status));
    }

    fn failure_line(&mut self, line: &str) {
        let title = line.strip_prefix("---- ").and_then(|rest| {
            rest.strip_suffix(" stdout ----")
                .or_else(|| rest.strip_suffix(" ----"))
        });
        if let Some(title) = title {
            self.close_section();
            self.section = Some(title.to_owned());
        } else if line == "failures:" {
            self.close_section();
        } else if self.section.is_some() {
            if self.body.len() < 1 << 16 {
                self.body.push_str(line);
                self.body.push('\n');
            }
        } else if let Some(name) = line.strip_prefix("    ") {
            self.listed.push(name.trim_end().to_owned());
        }
    }

    fn close_section(&mut self) {
        let body = std::mem::take(&mut self.body);
        if let Some(title) = self.section.take() {
            self.messages.entry(title).or_insert_with(|| panic_lines(&body));
        }
    }

    /// The closing line: `FAILED. 1 passed; 1 failed; 0 ignored; …`.
    fn result(&mut self, counts: &str, parsed: &mut Parsed) {
        let mut passed = 0;
        for part in counts.split(['.', ';']) {
            if let Some(number) = part.trim().strip_suffix(" passed") {
                passed = number.parse().unwrap_or(0);
            }
        }
        parsed.recognised = true;
        parsed.finished = true;
        let known: std::collections::BTreeSet<(String, u64)> = self
            .tests
            .iter()
            .map(|(name, line, _)| (name.clone(), *line))
            .collect();
        for name in std::mem::take(&mut self.listed) {
            let (plain, line) = without_line(&name);
            if !known.contains(&(plain.clone(), line)) {
                self.tests.push((plain, line, Status::Failed));
            }
        }
        let named = self
            .tests
            .iter()
            .filter(|(_, _, status)| *status == Status::Passed)
            .count() as u64;
        parsed.unnamed = parsed.unnamed.saturating_add(u64::saturating_sub(passed, named));
        self.expected = None;
        self.close_program(parsed);
    }

    /// Hands over what the program said so far; one that did not close has broken.
    fn close_program(&mut self, parsed: &mut Parsed) {
        self.close_section();
        self.in_failures = false;
        let label = if self.label.is_empty() {
            "tests"
        } else {
            &self.label
        };
        self.tests
            .sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        let mut before: Option<(&str, u32)> = None;
        for (name, line, status) in &self.tests {
            let count = match before {
                Some((same, count)) if same == name => count + 1,
                _ => 1,
            };
            before = Some((name, count));
            let number = if count > 1 {
                format!(" #{count}")
            } else {
                String::new()
            };
            let titled = if *line > 0 {
                with_line(name, *line)
            } else {
                name.clone()
            };
            let message = self.messages.get(&titled).map_or("", String::as_str);
            parsed.add(&format!("{label}: {name}{number}"), *status, message);
        }
        if self.expected.take().is_some() {
            let message = match self.pending.take() {
                Some(name) => format!("The program ended before its tests were over; `{name}` was running."),
                None => "The program ended before its tests were over.".to_owned(),
            };
            parsed.add(&format!("{label}: (the program)"), Status::Errored, &message);
        }
        self.tests.clear();
        self.messages.clear();
        self.listed.clear();
        self.pending = None;
    }

    fn error_line(&mut self, line: &str, parsed: &mut Parsed) {
        if let Some(rest) = line.strip_prefix("error") {
            if rest.starts_with(": could not compile") || rest.starts_with(": aborting due to") {
                self.compile_errors |= rest.starts_with(": could not compile");
                parsed.recognised |= self.compile_errors;
            } else if rest.starts_with('[') {
                self.first_error.get_or_insert_with(|| line.to_owned());
            } else if let Some(words) = rest.strip_prefix(": ") {
                let of_tests = words.starts_with("test failed, to rerun") || words.contains(" target failed");
                if !of_tests && !words.starts_with("doctest failed") {
                    self.first_error.get_or_insert_with(|| line.to_owned());
                    let own = [
                        "could not find `Cargo.toml`",
                        "failed to ",
                        "no matching package",
                        "no test target",
                        "no such command",
                    ];
                    if own.iter().any(|start| words.starts_with(start)) {
                        self.cargo_error.get_or_insert_with(|| words.to_owned());
                    }
                }
            }
        }
    }
}

/// The program that a line announces: `Running tests/whole.rs (target/debug/deps/whole-0123456789abcdef)`.
fn program(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(package) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{} doc-tests", package.trim()));
    }
    let rest = line.strip_prefix("Running ")?;
    let (source, binary) = match rest.split_once(" (") {
        Some((source, binary)) => (source, binary.trim_end().strip_suffix(')')?),
        None => ("", rest),
    };
    if !binary.contains("/deps/") && !binary.contains("\\deps\\") {
        return None;
    }
    let file = binary.trim_end().rsplit(['/', '\\']).next()?;
    let stem = file.rsplit_once('-').map_or(file, |(stem, _)| stem);
    let source = source.strip_prefix("unittests ").unwrap_or(source).trim();
    Some(format!("{stem} {source}").trim_end().to_owned())
}

fn running(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("running ")?;
    let number = rest
        .strip_suffix(" tests")
        .or_else(|| rest.strip_suffix(" test"))?;
    number.parse().ok()
}

fn status_word(word: &str) -> Option<Status> {
    let word = word.trim();
    let first = word.split([',', ' ', '<']).next().unwrap_or_default();
    Some(match first {
        "ok" => Status::Passed,
        "FAILED" => Status::Failed,
        "ignored" => Status::Skipped,
        "bench:" => Status::Passed,
        _ => return None,
    })
}

/// A documentation test's name without its line, and the line: `src/lib.rs - add (line 3)`, perhaps ` - compile` behind.
fn without_line(name: &str) -> (String, u64) {
    let Some(at) = name.rfind(" (line ") else {
        return (name.to_owned(), 0);
    };
    let (before, rest) = name.split_at(at);
    let rest = rest.trim_start_matches(" (line ");
    let Some((number, behind)) = rest.split_once(')') else {
        return (name.to_owned(), 0);
    };
    match number.parse() {
        Ok(number) => (format!("{before}{behind}"), number),
        Err(_) => (name.to_owned(), 0),
    }
}

fn with_line(name: &str, line: u64) -> String {
    match name.strip_suffix(" - compile") {
        Some(before) => format!("{before} (line {line}) - compile"),
        None => format!("{name} (line {line})"),
    }
}

/// From the first panic on, without advice on backtraces.
fn panic_lines(body: &str) -> String {
    let from = body
        .find("panicked at ")
        .and_then(|at| body.get(..at))
        .map_or(0, |before| before.rfind('\n').map_or(0, |newline| newline + 1));
    let kept: Vec<&str> = body
        .get(from..)
        .unwrap_or_default()
        .lines()
        .take_while(|line| !line.starts_with("stack backtrace:"))
        .filter(|line| !line.starts_with("note: run with `RUST_BACKTRACE"))
        .collect();
    telling_tail(&kept.join("\n"), 40)
}
