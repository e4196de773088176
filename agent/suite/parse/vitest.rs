//! Vitest's printed text.

use super::{Parsed, bounded, joined, telling_tail};
use crate::suite::types::Status;

/// Reads it; without Vitest's own closing count, or its banner, it is taken for something else.
pub(super) fn read(text: &str) -> Parsed {
    let mut reader = Reader::default();
    for line in text.lines() {
        reader.take(line);
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    parsed: Parsed,
    banner: bool,
    closed: bool,
    passed: u64,
    /// The failure that is being told: its name, and what is said.
    report: Option<(String, String)>,
    /// The file whose failures are listed.
    file: Option<String>,
}

impl Reader {
    fn take(&mut self, line: &str) {
        let inner = line.trim();
        if inner.starts_with("RUN  v") || inner.starts_with("DEV  v") {
            self.banner = true;
        } else if !self.banner {
        } else if inner.starts_with("Test Files ") && inner.ends_with(')') {
            close_report(&mut self.report, &mut self.parsed);
            self.closed = true;
        } else if let Some(counts) = inner.strip_prefix("Tests ").filter(|_| self.closed) {
            let counts = counts.split('(').next().unwrap_or_default();
            let passed = counts
                .split('|')
                .find_map(|part| part.trim().strip_suffix(" passed")?.parse().ok());
            self.passed = passed.unwrap_or(0);
        } else if inner.starts_with("No test files found") {
            self.parsed.problem = Some("vitest found no tests".to_owned());
        } else if let Some(name) = inner.strip_prefix("FAIL  ") {
            close_report(&mut self.report, &mut self.parsed);
            self.report = Some((bounded(name).to_owned(), String::new()));
        } else if let Some((_, body)) = &mut self.report {
            if body.len() < 1 << 16 && !inner.starts_with('⎯') {
                body.push_str(line);
                body.push('\n');
            }
        } else if let Some((name, status)) = mark(inner) {
            self.mark(name, status, line.starts_with("   "));
        }
    }

    fn mark(&mut self, name: &str, status: Status, listed: bool) {
        if let Some(path) = file_of(name) {
            self.file = Some(bounded(path).to_owned());
        } else if name.contains(" > ") && looks_like_path(name) {
            self.parsed.add(name, status, "");
        } else if let (Some(path), true) = (&self.file, listed) {
            self.parsed.add(&joined([path, name]), status, "");
        }
    }

    fn finish(mut self) -> Parsed {
        close_report(&mut self.report, &mut self.parsed);
        let mut parsed = self.parsed;
        if !self.closed && !self.banner {
            return Parsed::default();
        }
        parsed.recognised = true;
        parsed.finished = self.closed;
        parsed.unnamed = self
            .passed
            .saturating_sub(parsed.count(|status| status == Status::Passed));
        parsed
    }
}

fn close_report(report: &mut Option<(String, String)>, parsed: &mut Parsed) {
    let Some((name, body)) = report.take() else {
        return;
    };
    let plain = name.split(" [ ").next().unwrap_or_default().trim();
    let message = telling_tail(&body, 40);
    match parsed.tests.get_mut(plain) {
        Some(case) if case.message.is_empty() => case.message = message,
        Some(_) => {}
        None => parsed.add(
            plain,
            if plain.contains(" > ") {
                Status::Failed
            } else {
                Status::Errored
            },
            &message,
        ),
    }
}

fn mark(line: &str) -> Option<(&str, Status)> {
    let mut characters = line.chars();
    let status = match characters.next()? {
        '✓' | '✔' | '√' => Status::Passed,
        '×' | '❯' | '✗' => Status::Failed,
        '↓' | '-' => Status::Skipped,
        _ => return None,
    };
    let name = without_time(characters.as_str().strip_prefix(' ')?.trim());
    (!name.is_empty()).then_some((name, status))
}

/// The path of `src/a.test.ts (2 tests | 1 failed)`.
fn file_of(name: &str) -> Option<&str> {
    let (path, counts) = name.rsplit_once('(')?;
    let number = counts.split(' ').next()?;
    let is_count = number.parse::<u64>().is_ok() && counts.contains("test");
    let path = path.trim();
    (is_count && looks_like_path(path) && !path.contains(" > ")).then_some(path)
}

fn looks_like_path(name: &str) -> bool {
    let first = name.split(" > ").next().unwrap_or_default();
    first.contains('.') && !first.trim().contains(' ')
}

/// Without ` 12ms` at the end.
fn without_time(name: &str) -> &str {
    let name = name.trim_end();
    match name.rsplit_once(' ') {
        Some((before, time)) => {
            let number = time.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let unit = time.get(number.len()..).unwrap_or_default();
            let is_time = matches!(unit, "ms" | "s") && number.parse::<f64>().is_ok();
            if is_time { before.trim_end() } else { name }
        }
        None => name,
    }
}
