//! The Test Anything Protocol, with indented subtests and YAML notes, as `node --test` and others print it.

use super::{Parsed, bounded, joined, telling_tail};
use crate::suite::types::Status;

/// Reads TAP; text without a version line, a plan or a numbered result is not TAP.
pub(super) fn read(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let versioned = text
        .lines()
        .any(|line| line.trim_start().starts_with("TAP version "));
    let mut plan = None;
    let mut points = 0u64;
    // Names of the subtests that we are in, by depth.
    let mut inside: Vec<(usize, String)> = Vec::new();
    let mut last: Option<(String, Status)> = None;
    let mut notes: Option<String> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let inner = line.trim();
        if let Some(body) = &mut notes {
            if inner == "..." {
                finish_point(last.take(), notes.take().as_deref(), &mut parsed);
            } else if body.len() < 1 << 16 {
                body.push_str(inner);
                body.push('\n');
            }
        } else if inner == "---" && last.is_some() {
            notes = Some(String::new());
        } else if let Some(name) = inner.strip_prefix("# Subtest: ") {
            finish_point(last.take(), None, &mut parsed);
            inside.retain(|(depth, _)| *depth < indent);
            inside.push((indent, bounded(name).to_owned()));
        } else if let Some((name, status)) = point(inner) {
            finish_point(last.take(), None, &mut parsed);
            points += 1;
            inside.retain(|(depth, _)| *depth < indent);
            let path = joined(inside.iter().map(|(_, name)| name.as_str()).chain([name]));
            last = Some((path.replace("\\#", "#"), status));
        } else if let Some(count) = inner.strip_prefix("1..").filter(|_| indent == 0) {
            plan = count
                .split(' ')
                .next()
                .and_then(|count| count.parse::<u64>().ok());
        } else if inner.starts_with("Bail out!") {
            finish_point(last.take(), None, &mut parsed);
            parsed.add("(bail out)", Status::Errored, inner);
        }
    }
    finish_point(last.take(), notes.as_deref(), &mut parsed);
    if !versioned && (plan.is_none() || points == 0) {
        return Parsed::default();
    }
    parsed.recognised = true;
    parsed.finished = plan.is_some();
    if plan == Some(0) || (plan.is_some() && points == 0) {
        parsed.problem = Some("there are no tests".to_owned());
    }
    parsed
}

fn finish_point(point: Option<(String, Status)>, notes: Option<&str>, parsed: &mut Parsed) {
    if let Some((name, status)) = point {
        let message = if status.fails() {
            error_lines(notes.unwrap_or_default())
        } else {
            String::new()
        };
        parsed.add(&name, status, &message);
    }
}

/// Begins the directive of a test that is expected to fail, for its subject is not there yet.
pub(super) const NOT_YET: &str = concat!("TO", "DO");

/// A line such as `not ok 3 - name # SKIP later`.
fn point(line: &str) -> Option<(&str, Status)> {
    let (failed, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let rest = rest.trim_start();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let rest = rest.get(digits..).unwrap_or_default().trim_start();
    let rest = rest.strip_prefix("- ").unwrap_or(rest);
    if digits == 0 && rest.is_empty() {
        return None;
    }
    let (name, directive) = rest.rsplit_once(" # ").unwrap_or((rest, ""));
    let directive = directive.to_ascii_uppercase();
    let status = if directive.starts_with("SKIP") {
        Status::Skipped
    } else if directive.starts_with(NOT_YET) {
        if failed {
            Status::ExpectedFailure
        } else {
            Status::Passed
        }
    } else if failed {
        Status::Failed
    } else {
        Status::Passed
    };
    let name = if directive.starts_with("SKIP") || directive.starts_with(NOT_YET) {
        name
    } else {
        rest
    };
    Some((if name.is_empty() { "(no name)" } else { name.trim() }, status))
}

/// The notes without what is the same for every failure or differs from run to run.
fn error_lines(notes: &str) -> String {
    let kept: Vec<&str> = notes
        .lines()
        .filter(|line| {
            !line.starts_with("duration_ms:")
                && !line.starts_with("type:")
                && !line.contains("node:internal/")
        })
        .collect();
    telling_tail(&kept.join("\n"), 40)
}
