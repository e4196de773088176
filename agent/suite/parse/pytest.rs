//! pytest's printed text: the lines of `-v` and `-rA`, the sections of failures, and the closing count.

use std::collections::{BTreeMap, BTreeSet};

use super::{Parsed, first_words};
use crate::suite::types::{Status, TestCase};

const WORDS: [(&str, Status); 6] = [
    ("PASSED", Status::Passed),
    ("FAILED", Status::Failed),
    ("ERROR", Status::Errored),
    ("SKIPPED", Status::Skipped),
    ("XFAIL", Status::ExpectedFailure),
    ("XPASS", Status::UnexpectedPass),
];

/// The lines of a failure's report that say most: what was run, what came out, and where.
pub(super) fn telling_lines(report: &str) -> String {
    let lines: Vec<&str> = report.lines().collect();
    let is_error = |line: &str| line == "E" || line.starts_with("E ");
    if !lines.iter().any(|line| is_error(line)) {
        return super::telling_tail(report, 40);
    }
    let mut kept = Vec::new();
    let mut last_location = None;
    for line in lines {
        if is_error(line) || line.starts_with("> ") || line.starts_with(">\t") {
            kept.push(line);
        } else if is_location(line) {
            last_location = Some(line);
        }
    }
    kept.extend(last_location);
    kept.join("\n")
}

/// `tests/test_x.py:12: AssertionError`
fn is_location(line: &str) -> bool {
    let mut parts = line.splitn(3, ':');
    let (Some(file), Some(number), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    !file.is_empty()
        && !file.starts_with(' ')
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads what pytest printed.
pub(super) fn read(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let known = live_lines(text, &mut parsed);
    let sections = sections(text);
    let headed = summary_lines(text, &known, &sections, &mut parsed);
    let titles: BTreeMap<String, String> = parsed
        .tests
        .keys()
        .filter_map(|name| Some((title_of(name.split_once("::")?.1), name.clone())))
        .collect();
    for (title, message) in &sections {
        if !headed.contains(title) {
            unheaded(title, message, &titles, &mut parsed);
        }
    }
    // Names alone are no sign of pytest: others print such lines too.
    parsed.recognised = false;
    closing(text, &mut parsed);
    parsed
}

/// Lines of `-v`, of xdist too. Returns the names.
fn live_lines<'a>(text: &'a str, parsed: &mut Parsed) -> BTreeSet<&'a str> {
    let mut known = BTreeSet::new();
    for line in text.lines() {
        if !line.contains("::") {
            continue;
        }
        if let Some((name, status)) = live_line(line) {
            known.insert(name);
            parsed.add(name, status, "");
        }
    }
    known
}

fn live_line(line: &str) -> Option<(&str, Status)> {
    if let Some(rest) = line.strip_prefix("[gw") {
        let rest = rest
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .strip_prefix("] ")?;
        let rest = match rest.strip_prefix('[') {
            Some(percent) => percent.split_once("] ")?.1,
            None => rest,
        };
        let (word, name) = rest.split_once(' ')?;
        return Some((test_name(name)?, status_word(word)?));
    }
    let line = without_progress(line);
    for (word, status) in WORDS {
        let plain = line.strip_suffix(word).and_then(|name| name.strip_suffix(' '));
        if let Some(name) = plain.and_then(test_name) {
            return Some((name, status));
        }
    }
    // `… SKIPPED (why)`
    let line = line.strip_suffix(')')?;
    let at = [" SKIPPED (", " XFAIL (", " XPASS ("]
        .iter()
        .filter_map(|word| line.find(word))
        .min()?;
    let (name, word) = line.split_at(at);
    let word = word.trim_start().split(' ').next()?;
    Some((test_name(name)?, status_word(word)?))
}

fn status_word(word: &str) -> Option<Status> {
    WORDS
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, status)| *status)
}

/// Without ` [ 45%]`, ` [ 3/10]` or a time at the end.
fn without_progress(line: &str) -> &str {
    let line = line.trim_end();
    let Some(at) = line.rfind(" [") else {
        return line;
    };
    let (before, bracket) = line.split_at(at);
    let inner = bracket.trim_start_matches(" [").trim_end_matches(']');
    let is_progress = !inner.is_empty()
        && inner.bytes().all(|byte| {
            byte.is_ascii_digit() || matches!(byte, b' ' | b'%' | b'/' | b'.' | b'm' | b's' | b'u')
        });
    if is_progress { before.trim_end() } else { line }
}

/// A node id: a file or folder, `::`, and what is in it.
fn test_name(name: &str) -> Option<&str> {
    let name = name.trim();
    let (file, inner) = name.split_once("::")?;
    let sound = !file.is_empty() && !inner.is_empty() && !file.contains([' ', '\'', '"', '(', '=']);
    sound.then_some(name)
}

/// The reports of failures and errors: the title between underscores, and the lines below it.
fn sections(text: &str) -> BTreeMap<String, String> {
    let mut sections: BTreeMap<String, String> = BTreeMap::new();
    let mut inside = false;
    let mut title: Option<String> = None;
    let mut body = String::new();
    for line in text.lines() {
        if let Some(heading) = ruled(line, '=') {
            finish_section(&mut sections, title.take(), &mut body);
            inside = heading == "FAILURES" || heading == "ERRORS";
        } else if !inside {
        } else if let Some(heading) = ruled(line, '_') {
            finish_section(&mut sections, title.take(), &mut body);
            title = Some(heading.to_owned());
        } else if title.is_some() && body.len() < 1 << 16 {
            body.push_str(line);
            body.push('\n');
        }
    }
    finish_section(&mut sections, title, &mut body);
    sections
}

fn finish_section(sections: &mut BTreeMap<String, String>, title: Option<String>, body: &mut String) {
    let body = std::mem::take(body);
    if let Some(title) = title {
        let own = body.split("\n---").next().unwrap_or_default();
        sections.entry(title).or_insert_with(|| telling_lines(own));
    }
}

/// The words of a line such as `==== FAILURES ====`.
fn ruled(line: &str, rule: char) -> Option<&str> {
    let line = line.trim_end();
    if !line.starts_with(rule) || !line.ends_with(rule) {
        return None;
    }
    let words = line.trim_matches(rule);
    let inner = words.strip_prefix(' ')?.strip_suffix(' ')?;
    (!inner.trim().is_empty()).then(|| inner.trim())
}

/// Lines of the short summary. Returns the titles of the sections that belong to them.
fn summary_lines(
    text: &str,
    known: &BTreeSet<&str>,
    sections: &BTreeMap<String, String>,
    parsed: &mut Parsed,
) -> BTreeSet<String> {
    let mut headed = BTreeSet::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(heading) = ruled(line, '=') {
            inside = heading == "short test summary info";
            continue;
        }
        let Some((word, rest)) = line.split_once(' ') else {
            continue;
        };
        // With `-q` the headings are there too; a line of another program is not taken for one of these.
        let (true, Some(status)) = (inside, status_word(word)) else {
            continue;
        };
        if status == Status::Skipped || rest.starts_with('[') {
            continue;
        }
        let (name, reason) = split_reason(rest, |name| {
            known.contains(name) || section_title(name, status, sections).is_some()
        });
        if name.is_empty() || (!name.contains("::") && !status.fails()) {
            continue;
        }
        let title = section_title(name, status, sections);
        let message = title
            .as_ref()
            .and_then(|title| sections.get(title))
            .map_or(reason, |body| body.as_str());
        parsed.add(name, status, if status.fails() { message } else { "" });
        headed.extend(title);
    }
    headed
}

/// Parts the name from ` - why`. Either may hold ` - ` itself.
fn split_reason(rest: &str, known: impl Fn(&str) -> bool) -> (&str, &str) {
    let rest = rest.trim_end();
    let mut first = None;
    for (at, separator) in rest.match_indices(" - ").take(50) {
        let (name, reason) = (
            rest.get(..at).unwrap_or_default(),
            rest.get(at + separator.len()..).unwrap_or_default(),
        );
        if known(name) {
            return (name, reason);
        }
        // The separator stands behind the parameters, when there are any.
        if first.is_none() && (!name.contains('[') || name.ends_with(']')) {
            first = Some((name, reason));
        }
    }
    first.unwrap_or((rest, ""))
}

/// Which section tells of a test: `TestA.test_b[x]` of `tests/test_x.py::TestA::test_b[x]`.
fn section_title(name: &str, status: Status, sections: &BTreeMap<String, String>) -> Option<String> {
    let title = match name.split_once("::") {
        None => format!("ERROR collecting {name}"),
        Some((_, inner)) => title_of(inner),
    };
    let titles = if status == Status::Errored {
        vec![
            format!("ERROR at setup of {title}"),
            format!("ERROR at teardown of {title}"),
            title,
        ]
    } else {
        vec![title]
    };
    titles.into_iter().find(|title| sections.contains_key(title))
}

/// A test in its file, `TestA::test_b[x::y]`, as titles name it: `TestA.test_b[x::y]`.
fn title_of(inner: &str) -> String {
    let (path, parameters) = inner.split_at(inner.find('[').unwrap_or(inner.len()));
    format!("{}{parameters}", path.replace("::", "."))
}

/// A failure that no line of the summary names, as old versions print them.
fn unheaded(title: &str, message: &str, titles: &BTreeMap<String, String>, parsed: &mut Parsed) {
    let collecting = title.strip_prefix("ERROR collecting ");
    let fixture = title
        .strip_prefix("ERROR at setup of ")
        .or_else(|| title.strip_prefix("ERROR at teardown of "));
    let (inner, status) = match (collecting, fixture) {
        (Some(file), _) => {
            parsed.add(file, Status::Errored, message);
            return;
        }
        (None, Some(inner)) => (inner, Status::Errored),
        (None, None) => (title, Status::Failed),
    };
    if let Some(case) = titles.get(inner).and_then(|name| parsed.tests.get_mut(name)) {
        if case.message.is_empty() && case.status.fails() {
            case.message = super::shorten(message);
        }
        return;
    }
    let file = message
        .lines()
        .rev()
        .find(|line| is_location(line))
        .and_then(|line| line.split(':').next());
    match file {
        Some(file) => {
            let (path, parameters) = inner.split_at(inner.find('[').unwrap_or(inner.len()));
            let name = format!("{file}::{}{parameters}", path.replace('.', "::"));
            parsed.add(&name, status, message);
        }
        None => parsed.add(inner, status, message),
    }
}

/// The last line, `=== 1 failed, 2 passed in 0.12s ===`, and why nothing was run.
fn closing(text: &str, parsed: &mut Parsed) {
    // Whether the next line of an error completes the problem's sentence.
    let mut incomplete = false;
    for line in text.lines() {
        if line.starts_with('=') && ruled(line, '=') == Some("test session starts") {
            parsed.recognised = true;
        }
        if line.contains("No module named pytest") || line.contains("No module named 'pytest'") {
            parsed.recognised = true;
            parsed
                .problem
                .get_or_insert("pytest is not installed for this Python".to_owned());
        } else if line.starts_with("ImportError while loading conftest") {
            parsed.recognised = true;
            incomplete = parsed.problem.is_none() && line.ends_with("'.");
            parsed
                .problem
                .get_or_insert_with(|| format!("pytest cannot start: {}", first_words(line)));
        } else if incomplete && line.starts_with("E   ") {
            incomplete = false;
            parsed.problem = parsed
                .problem
                .take()
                .map(|why| format!("{why} {}", exception(line)));
        } else if line.starts_with("ERROR: ") {
            let reason = format!(
                "pytest cannot start: {}",
                first_words(line.trim_start_matches("ERROR: "))
            );
            if line.contains("not found:") || line.contains("file or directory not found") {
                parsed.recognised = true;
                parsed.problem = Some(reason);
            }
        }
        let words = ruled(line, '=').unwrap_or(line).trim();
        let Some(passed) = closing_count(words) else {
            continue;
        };
        parsed.finished = true;
        parsed.recognised = true;
        parsed.unnamed = passed;
        if words.starts_with("no tests ran") && parsed.tests.is_empty() {
            parsed.problem.get_or_insert("pytest found no tests".to_owned());
        }
    }
    let named = parsed.count(|status| status == Status::Passed);
    parsed.unnamed = parsed.unnamed.saturating_sub(named);
    if parsed.finished && !parsed.ran() {
        parsed.problem.get_or_insert("pytest found no tests".to_owned());
    }
    let no_module =
        |(name, case): (&String, &TestCase)| !name.contains("::") && case.status == Status::Errored;
    if parsed.finished
        && parsed.unnamed == 0
        && parsed.tests.iter().all(no_module)
        && let Some((name, case)) = parsed.tests.iter().next()
    {
        parsed.problem = Some(format!(
            "{name} cannot be collected: {}",
            exception(&case.message)
        ));
    }
}

/// The line of a message that names the exception.
pub(in crate::suite) fn exception(message: &str) -> String {
    let lines = message
        .lines()
        .map(|line| line.strip_prefix("E ").unwrap_or(line).trim());
    let named = lines.rev().find(|line| {
        let word = line.split(':').next().unwrap_or_default();
        word.ends_with("Error") || word.ends_with("Exception") || word.ends_with("Interrupt")
    });
    first_words(
        named
            .or_else(|| message.lines().next_back())
            .unwrap_or("its module cannot be imported"),
    )
}

/// How many passed, when this is the closing line.
fn closing_count(words: &str) -> Option<u64> {
    let (counts, time) = words.rsplit_once(" in ")?;
    let time = time.split(' ').next()?;
    let is_time = time
        .strip_suffix('s')
        .is_some_and(|number| number.parse::<f64>().is_ok())
        || time.parse::<f64>().is_ok();
    if !is_time {
        return None;
    }
    if counts == "no tests ran" {
        return Some(0);
    }
    let mut passed = 0;
    for part in counts.split(", ") {
        let (number, what) = part.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match what {
            "passed" => passed = number,
            "failed" | "error" | "errors" | "skipped" | "xfailed" | "xpassed" | "deselected" | "warning"
            | "warnings" | "rerun" | "subtests passed" => {}
            _ => return None,
        }
    }
    Some(passed)
}
