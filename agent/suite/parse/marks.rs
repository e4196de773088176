//! Test names behind marks, nested by indentation: Jest, Mocha, and the `spec` form of `node --test`.

use super::{Parsed, bounded, joined, shorten, telling_tail};
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
    file: Option<String>,
    /// Groups that we are in, by indentation.
    groups: Vec<(usize, String)>,
    /// Reports of failures by their title; Jest's begin with a bullet.
    report: Option<String>,
    body: String,
    closed: bool,
    passing: u64,
    /// The test that failed just now, and how far its line is indented: what follows further in tells why.
    failed: Option<(usize, String)>,
    /// Below Mocha's count come its reports, whose lines look like marks.
    reports_begun: bool,
    /// Below its count `node --test` says everything again.
    skip_rest: bool,
    /// Tests outside of any file. Where there are files, those were printed by tests.
    fileless: Vec<String>,
    files: bool,
}

impl Reader {
    fn take(&mut self, line: &str) {
        let indent = line.chars().take_while(|c| *c == ' ').count();
        let inner = line.trim();
        if let Some(path) = file_line(line) {
            self.close_file();
            self.file = Some(bounded(path).to_owned());
            self.files = true;
            self.parsed.recognised = true;
        } else if self.skip_rest || self.closing(inner) {
        } else if let Some(title) = inner.strip_prefix("● ").filter(|_| self.file.is_some()) {
            self.close_report();
            self.report = Some(bounded(title).to_owned());
        } else if self.report.is_some() {
            if self.body.len() < 1 << 16 {
                self.body.push_str(line);
                self.body.push('\n');
            }
        } else if self.reports_begun {
            self.mocha_report(inner);
        } else if let Some((name, status)) = mark(inner) {
            self.groups.retain(|(depth, _)| *depth < indent);
            self.add(name, status, indent);
        } else if let Some((depth, name)) = &self.failed
            && (indent > *depth || inner.is_empty())
        {
            tell_more(&mut self.parsed, name, inner);
        } else if !inner.is_empty() && (indent > 0 || inner.starts_with('▶')) {
            self.failed = None;
            self.groups.retain(|(depth, _)| *depth < indent);
            if self.groups.len() < 64 {
                let name = without_time(inner.trim_start_matches('▶').trim());
                self.groups.push((indent, bounded(name).to_owned()));
            }
        } else if inner.is_empty() && indent == 0 && self.file.is_none() {
            self.groups.clear();
        }
    }

    fn add(&mut self, name: &str, status: Status, indent: usize) {
        let file = self.file.as_deref();
        let groups = self.groups.iter().map(|(_, name)| name.as_str());
        let name = joined(file.into_iter().chain(groups).chain([name]));
        self.parsed.add(&name, status, "");
        if self.file.is_none() {
            self.fileless.push(name.clone());
        }
        self.failed = status.fails().then_some((indent, name));
    }

    /// Mocha's reports: `1) group`, further groups, `name:`, and what happened.
    fn mocha_report(&mut self, line: &str) {
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let opens = line
            .get(digits..)
            .and_then(|rest| rest.strip_prefix(") "))
            .filter(|_| digits > 0);
        if let Some(title) = opens {
            self.failed = None;
            self.groups = vec![(0, bounded(title).to_owned())];
        } else if let Some((_, name)) = &self.failed {
            tell_more(&mut self.parsed, name, line);
            return;
        } else if !self.groups.is_empty() && self.groups.len() < 64 && !line.is_empty() {
            self.groups.push((0, bounded(line).to_owned()));
        }
        if self.groups.last().is_some_and(|(_, last)| last.ends_with(':')) {
            let path = joined(self.groups.iter().map(|(_, name)| name.as_str()));
            let name = path.trim_end_matches(':').to_owned();
            // Without names before, as its shorter reporters print it, this is the name.
            self.parsed.add(&name, Status::Failed, "");
            self.failed = Some((0, name));
        }
    }

    fn close_report(&mut self) {
        let body = std::mem::take(&mut self.body);
        let (Some(title), Some(path)) = (self.report.take(), &self.file) else {
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

    fn close_file(&mut self) {
        self.close_report();
        self.groups.clear();
        self.failed = None;
        self.file = None;
    }

    /// Lines of the closing count.
    fn closing(&mut self, line: &str) -> bool {
        if let Some(counts) = line
            .strip_prefix("Tests:")
            .filter(|counts| counts.contains(" total"))
        {
            self.close_file();
            self.closed = true;
            self.passing = count(counts, "passed").unwrap_or(0);
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
            self.skip_rest |= line.starts_with('✖');
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
        if !self.reports_begun {
            self.reports_begun = true;
            self.groups.clear();
            self.failed = None;
        }
        true
    }

    fn finish(mut self) -> Parsed {
        self.close_file();
        let mut parsed = self.parsed;
        for name in self.fileless.iter().filter(|_| self.files) {
            parsed.tests.remove(name);
        }
        for case in parsed.tests.values_mut() {
            case.message = shorten(&case.message);
        }
        if !self.closed && !self.files && parsed.problem.is_none() {
            return Parsed::default();
        }
        parsed.recognised = true;
        parsed.finished = self.closed;
        let named = parsed.count(|status| status == Status::Passed);
        if self.closed {
            parsed.unnamed = self.passing.saturating_sub(named);
        }
        if self.closed && !parsed.ran() && parsed.problem.is_none() {
            parsed.problem = Some("there are no tests".to_owned());
        }
        parsed
    }
}

/// Adds a line to a failure's message.
fn tell_more(parsed: &mut Parsed, name: &str, line: &str) {
    let case = parsed
        .tests
        .get_mut(name)
        .filter(|case| case.message.len() < 1 << 14);
    if let Some(case) = case.filter(|case| !line.is_empty() || !case.message.is_empty()) {
        case.message.push_str(line);
        case.message.push('\n');
    }
}

/// The file of `PASS src/a.test.js (5.1 s)`.
fn file_line(line: &str) -> Option<&str> {
    let line = line.trim_end();
    let path = line
        .strip_prefix("PASS ")
        .or_else(|| line.strip_prefix("FAIL "))?
        .trim();
    let path = match path.rsplit_once(" (") {
        Some((before, time)) if time.ends_with("s)") || time.ends_with("MB heap size)") => before,
        _ => path,
    };
    let path = path.strip_prefix("./").unwrap_or(path);
    (!path.is_empty() && path.contains('.') && !path.contains(' ')).then_some(path)
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
        } else if directive.starts_with(super::tap::NOT_YET) {
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
