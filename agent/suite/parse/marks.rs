//! Test names behind marks, nested by indentation: Jest, Mocha, and the `spec` form of `node --test`.

use super::{Parsed, telling_tail};
use crate::suite::types::Status;

/// Reads such text; without a closing count, or a line that names a file, it is taken for something else.
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
    /// The file that Jest reports on.
    file: Option<(String, bool)>,
    file_has_names: bool,
    /// Groups that we are in, by indentation.
    groups: Vec<(usize, String)>,
    /// Reports of failures by their title; Jest's begin with a bullet.
    report: Option<String>,
    body: String,
    marks: u64,
    closed: bool,
    passing: u64,
    total: Option<u64>,
    /// Below Mocha's count come its reports, whose lines look like marks.
    reports_begun: bool,
}

impl Reader {
    fn take(&mut self, line: &str) {
        let indent = line.chars().take_while(|c| *c == ' ').count();
        let inner = line.trim();
        if let Some((path, failed)) = file_line(line) {
            self.close_file();
            self.file = Some((path.to_owned(), failed));
            self.parsed.recognised = true;
        } else if self.closing(inner) {
        } else if let Some(title) = inner.strip_prefix("● ").filter(|_| self.file.is_some()) {
            self.close_report();
            self.report = Some(title.to_owned());
        } else if self.report.is_some() {
            if self.body.len() < 1 << 16 {
                self.body.push_str(line);
                self.body.push('\n');
            }
        } else if !self.reports_begun
            && let Some((name, status)) = mark(inner)
        {
            self.groups.retain(|(depth, _)| *depth < indent);
            self.add(name, status);
        } else if !self.reports_begun && !inner.is_empty() && (indent > 0 || inner.starts_with('▶')) {
            self.groups.retain(|(depth, _)| *depth < indent);
            if self.groups.len() < 64 {
                let name = without_time(inner.trim_start_matches('▶').trim());
                self.groups.push((indent, name.to_owned()));
            }
        } else if inner.is_empty() && indent == 0 && self.file.is_none() {
            self.groups.clear();
        }
    }

    fn add(&mut self, name: &str, status: Status) {
        self.marks += 1;
        self.file_has_names = true;
        let file = self.file.as_ref().map(|(path, _)| path.as_str());
        let groups = self.groups.iter().map(|(_, name)| name.as_str());
        let path: Vec<&str> = file.into_iter().chain(groups).chain([name]).collect();
        self.parsed.add(&path.join(" > "), status, "");
    }

    fn close_report(&mut self) {
        let body = std::mem::take(&mut self.body);
        let (Some(title), Some((path, _))) = (self.report.take(), &self.file) else {
            return;
        };
        let name = format!("{path} > {}", title.trim().replace(" › ", " > "));
        let message = telling_tail(&body, 40);
        if let Some(case) = self.parsed.tests.get_mut(&name) {
            if case.message.is_empty() && case.status.fails() {
                case.message = message;
            }
        } else if title.starts_with("Test suite failed to run") {
            self.parsed.add(path, Status::Errored, &message);
        } else if !title.starts_with("Console") {
            self.parsed.add(&name, Status::Failed, &message);
        }
    }

    /// Without names of what passed, the file itself stands for its tests.
    fn close_file(&mut self) {
        self.close_report();
        self.groups.clear();
        if let Some((path, failed)) = self.file.take()
            && !self.file_has_names
        {
            self.parsed
                .add(&path, if failed { Status::Failed } else { Status::Passed }, "");
        }
        self.file_has_names = false;
    }

    /// Lines of the closing count.
    fn closing(&mut self, line: &str) -> bool {
        if let Some(counts) = line
            .strip_prefix("Tests:")
            .filter(|counts| counts.contains(" total"))
        {
            self.close_file();
            self.closed = true;
            self.total = count(counts, "total");
            return true;
        }
        if line.starts_with("No tests found, exiting") {
            self.parsed.problem = Some("jest found no tests".to_owned());
            return true;
        }
        if let Some(number) = line
            .strip_prefix("ℹ pass ")
            .and_then(|number| number.parse::<u64>().ok())
        {
            self.closed = true;
            self.passing = number;
            return true;
        }
        if line.starts_with("ℹ ") || line.starts_with("✖ failing tests:") {
            self.reports_begun |= line.starts_with('✖');
            return true;
        }
        let Some((number, rest)) = line.split_once(' ') else {
            return false;
        };
        let (Ok(number), true) = (
            number.parse::<u64>(),
            rest.starts_with("passing") || rest.starts_with("failing") || rest.starts_with("pending"),
        ) else {
            return false;
        };
        if rest.starts_with("passing") {
            self.passing = number;
        }
        self.closed = true;
        self.reports_begun = true;
        true
    }

    fn finish(mut self) -> Parsed {
        self.close_file();
        let mut parsed = self.parsed;
        if !self.closed && !parsed.recognised && parsed.problem.is_none() {
            return Parsed::default();
        }
        parsed.recognised = true;
        parsed.finished = self.closed;
        let named = parsed.count(|status| status == Status::Passed);
        if self.total.is_none() && self.closed {
            parsed.unnamed = self.passing.saturating_sub(named);
        }
        if self.closed && !parsed.ran() && parsed.problem.is_none() {
            parsed.problem = Some("there are no tests".to_owned());
        }
        parsed
    }
}

/// `PASS src/a.test.js (5.1 s)`
fn file_line(line: &str) -> Option<(&str, bool)> {
    let line = line.trim_end();
    let (path, failed) = match line.strip_prefix("PASS ") {
        Some(path) => (path, false),
        None => (line.strip_prefix("FAIL ")?, true),
    };
    let path = path.trim();
    let path = match path.rsplit_once(" (") {
        Some((before, time)) if time.ends_with("s)") || time.ends_with("MB heap size)") => before,
        _ => path,
    };
    (!path.is_empty() && path.contains('.') && !path.contains(' ')).then_some((path, failed))
}

/// `✓ name (3 ms)`, `✕ name`, `○ skipped name`, `1) name`.
fn mark(line: &str) -> Option<(&str, Status)> {
    let mut characters = line.chars();
    let status = match characters.next()? {
        '✓' | '✔' | '√' => Status::Passed,
        '✕' | '✖' | '×' | '✗' => Status::Failed,
        '○' | '﹣' | '✎' | '↓' => Status::Skipped,
        '-' => Status::Skipped,
        digit if digit.is_ascii_digit() => {
            let rest = line
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .strip_prefix(") ")?;
            return Some((without_time(rest), Status::Failed));
        }
        _ => return None,
    };
    let rest = characters.as_str().strip_prefix(' ')?;
    let mut name = without_time(rest.trim());
    let mut status = status;
    if line.starts_with('○') || line.starts_with('✎') {
        name = name
            .strip_prefix("skipped ")
            .or_else(|| name.strip_prefix("todo "))
            .unwrap_or(name);
    }
    // `node --test`
    if let Some((before, directive)) = name.rsplit_once(" # ") {
        if directive.starts_with("SKIP") {
            (name, status) = (without_time(before), Status::Skipped);
        } else if directive.starts_with("TODO") {
            (name, status) = (without_time(before), Status::ExpectedFailure);
        }
    }
    (!name.is_empty()).then_some((name, status))
}

/// Without a time at the end: `(3 ms)`, `(0.52ms)`, `(1.2 s)`.
fn without_time(name: &str) -> &str {
    let name = name.trim_end();
    let Some((before, time)) = name.rsplit_once(" (") else {
        return name;
    };
    let Some(time) = time.strip_suffix(')') else {
        return name;
    };
    let number = time
        .trim_end_matches(|c: char| c.is_ascii_alphabetic())
        .trim_end();
    let unit = time.get(number.len()..).unwrap_or_default().trim();
    if number.parse::<f64>().is_ok() && matches!(unit, "ms" | "s" | "m" | "h") {
        before.trim_end()
    } else {
        name
    }
}

/// The number before a word of `1 failed, 2 passed, 3 total`.
fn count(counts: &str, what: &str) -> Option<u64> {
    counts
        .split(',')
        .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
}
