//! Reads assertions out of an answer, and makes of each a script that stands alone.

use std::collections::BTreeSet;

/// So many assertions of an answer are taken.
const MOST: usize = 16;
/// An assertion of more characters is no check that a person would write.
const MOST_CHARACTERS: usize = 600;

/// An assertion of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assertion {
    /// The statement, on one line where it was on one.
    pub(super) statement: String,
    /// What it looks at: the left side of its comparison, or all of it.
    pub(super) asks: String,
    /// Assignments that stand before it in the answer.
    pub(super) setup: Vec<String>,
}

/// The assertions of an answer, each once. Lines that are neither assertions nor assignments are passed over.
pub(super) fn assertions(answer: &str) -> Vec<Assertion> {
    let mut seen = BTreeSet::new();
    let mut setup: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for statement in statements(code(answer)) {
        if let Some(claim) = statement.strip_prefix("assert ").or_else(|| {
            let rest = statement.strip_prefix("assert")?;
            rest.starts_with('(').then_some(rest)
        }) {
            let whole = statement.chars().count() <= MOST_CHARACTERS;
            if whole && !claim.trim().is_empty() && seen.insert(statement.clone()) && found.len() < MOST {
                found.push(Assertion {
                    asks: asks(claim),
                    statement,
                    setup: setup.clone(),
                });
            }
        } else if is_assignment(&statement) {
            setup.push(statement);
        }
    }
    found
}

/// What stands in the first code block, or all of it.
pub(super) fn code(answer: &str) -> &str {
    let Some(start) = answer.find("```") else {
        return answer;
    };
    let inside = answer.get(start + 3..).unwrap_or_default();
    let inside = inside.split_once('\n').map_or("", |(_, rest)| rest);
    inside.split("```").next().unwrap_or(inside)
}

/// Statements at the left margin, or indented as in a function; those that go over several lines are joined. One that does not end is left out.
fn statements(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = String::new();
    for line in code.lines() {
        let line = line.trim_end();
        if open.is_empty() && (line.is_empty() || line.trim_start().starts_with('#')) {
            continue;
        }
        if !open.is_empty() {
            // A new statement begins: the one before was never closed.
            if line.trim_start().starts_with("assert ") {
                open.clear();
            } else {
                open.push('\n');
            }
        }
        open.push_str(if open.is_empty() { line.trim() } else { line });
        match nesting(&open) {
            (0, comment) => {
                open.truncate(comment.unwrap_or(open.len()));
                found.push(open.trim_end().to_owned());
                open.clear();
            }
            (depth, _) if depth < 0 => open.clear(),
            _ => {}
        }
    }
    found
}

/// How many brackets are open at a text's end (a text within quotes counts as one), and where a comment begins in it.
fn nesting(text: &str) -> (i32, Option<usize>) {
    let mut depth = 0;
    let mut quote: Option<&str> = None;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let step = rest.chars().next().map_or(1, char::len_utf8);
        match quote {
            Some(end) => {
                if rest.starts_with('\\') {
                    at += step + rest.chars().nth(1).map_or(0, char::len_utf8);
                    continue;
                }
                if rest.starts_with(end) {
                    at += end.len();
                    quote = None;
                    continue;
                }
                // A line end closes what has one quote.
                if rest.starts_with('\n') && end.len() == 1 {
                    quote = None;
                }
            }
            None => {
                if let Some(begun) = ["\"\"\"", "'''", "\"", "'"]
                    .into_iter()
                    .find(|mark| rest.starts_with(mark))
                {
                    quote = Some(begun);
                    at += begun.len();
                    continue;
                }
                match rest.chars().next() {
                    Some('(' | '[' | '{') => depth += 1,
                    Some(')' | ']' | '}') => depth -= 1,
                    Some('#') if depth == 0 => return (depth, Some(at)),
                    Some('#') => at += rest.find('\n').unwrap_or(rest.len()) - step,
                    _ => {}
                }
            }
        }
        at += step;
    }
    (depth + i32::from(quote.is_some()), None)
}

/// The left side of a claim's comparison, blanks aside.
fn asks(claim: &str) -> String {
    let mut end = claim.len();
    for (at, _) in claim.match_indices(" == ").chain(claim.match_indices(" is ")) {
        if at < end && claim.get(..at).is_some_and(|before| nesting(before).0 == 0) {
            end = at;
        }
    }
    let left = claim.get(..end).unwrap_or(claim);
    left.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `name = …`, with or without a type.
fn is_assignment(statement: &str) -> bool {
    let name: &str = statement
        .split(|sign: char| !sign.is_alphanumeric() && sign != '_')
        .next()
        .unwrap_or_default();
    let rest = statement.get(name.len()..).unwrap_or_default().trim_start();
    let begins = name.starts_with(|sign: char| sign.is_alphabetic() || sign == '_');
    begins && rest.starts_with('=') && !rest.starts_with("==")
}

/// The module that a file of Python is, and the folder that it is imported from; none for files that cannot be imported by their path.
pub(super) fn module(path: &str) -> Option<(String, String)> {
    let path = path.strip_suffix(".py")?;
    let (folder, path) = match path.split_once('/') {
        Some((folder @ ("src" | "lib"), rest)) => (folder, rest),
        _ => ("", path),
    };
    let path = path.strip_suffix("/__init__").unwrap_or(path);
    let part = |part: &str| {
        let mut signs = part.chars();
        signs
            .next()
            .is_some_and(|sign| sign.is_alphabetic() || sign == '_')
            && signs.all(|sign| sign.is_alphanumeric() || sign == '_')
    };
    path.split('/')
        .all(part)
        .then(|| (path.replace('/', "."), folder.to_owned()))
}

/// A script that makes the assertion on what a module defines, and prints one of the three lines. An error that comes from the script's
/// own lines says nothing of the issue; one out of the repository's does. What the `helpers` define, modules of tests that show how the code
/// is used, can be used as well.
pub(super) fn script(assertion: &Assertion, module: &str, folder: &str, helpers: &[String]) -> String {
    let mut body = String::new();
    for line in assertion.setup.iter().chain([&assertion.statement]) {
        body.push_str("    ");
        body.push_str(line);
        body.push('\n');
    }
    let path = if folder.is_empty() { "." } else { folder };
    format!(
        "\
import importlib
import sys
import traceback

sys.path.insert(0, {path:?})
def names(module):
    found = vars(importlib.import_module(module)).items()
    return {{name: value for name, value in found if not name.startswith(\"__\")}}


for helper in {helpers:?}:
    try:
        globals().update(names(helper))
    except BaseException:
        pass
try:
    globals().update(names({module:?}))
except BaseException:
    print(\"Other issues\")
    raise


def check():
{body}

def within_this_file(error):
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename == __file__


try:
    check()
except AssertionError:
    print(\"Issue reproduced\")
except BaseException as error:
    print(\"Other issues\" if within_this_file(error) else \"Issue reproduced\")
else:
    print(\"Issue resolved\")
"
    )
}

#[cfg(test)]
#[path = "assertions_tests.rs"]
mod tests;
