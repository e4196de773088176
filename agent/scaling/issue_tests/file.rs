//! Files of tests in the repository's own framework: run alone in a copy, read by the same readers as the repository's own tests, and taken apart
//! into what they claim.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use cwm_tools::isolated::IsolatedCopy;
use cwm_tools::sandbox::SandboxError;

use super::{IssueTest, Said, Stand, without_layout};
use crate::context::{canonical_code, definitions, indent_of, language};
use crate::rollout::TestFile;
use crate::suite::{RunEnding, RunOptions, Status, TestRun, UNNAMED, alone, put_file, remove_file, run};

/// What the tests of a file did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Results {
    /// Each that ran to its end, and whether it passed; the others are left out.
    Ran(BTreeMap<String, bool>),
    /// Nothing is known of any: the file cannot be built or loaded, or its run broke off.
    Nothing,
    /// They did not end.
    Hung,
}

/// Puts a file into a copy, runs it alone and takes it away again.
pub(super) fn results(
    stand: &Stand<'_>,
    copy: &mut IsolatedCopy,
    file: &TestFile,
    text: &str,
    timeout: Duration,
) -> Result<Results, SandboxError> {
    let (tree, start) = (stand.copies.snapshot.tree(), &stand.copies.start);
    let Some((command, dialect, _)) = alone(&tree, start, stand.commands, &file.path, text) else {
        return Ok(Results::Nothing);
    };
    let path = copy.root().join(&file.path);
    if !put_file(copy.session(), &path, text)? {
        return Ok(Results::Nothing);
    }
    let options = RunOptions {
        timeout,
        ..RunOptions::default()
    };
    let done = run(copy.session(), &command, &options)?;
    remove_file(copy.session(), &path)?;
    let known = |name: &str| stand.baseline.iter().any(|run| run.tests.contains_key(name));
    let mistake = |message: &str| dialect.is_own_mistake(&file.path, message);
    Ok(read(&done, &file.path, known, mistake))
}

/// What a run says of the file's tests. Tests that are `known` from before are others' that run with it.
fn read(run: &TestRun, path: &str, known: impl Fn(&str) -> bool, mistake: impl Fn(&str) -> bool) -> Results {
    match run.ending {
        RunEnding::TimedOut => return Results::Hung,
        RunEnding::NotStarted { .. } | RunEnding::Stopped { .. } => return Results::Nothing,
        RunEnding::Ran => {}
    }
    // What stands in parentheses is what is wrong with the run as a whole.
    let whole = |name: &str| name.starts_with('(') || name.ends_with(": (the program)");
    if run.failing().any(whole) {
        return Results::Nothing;
    }
    let is_test = |name: &str| {
        // Some commands name it from where they start, and others as a whole.
        let behind = |whole: &str, end: &str| whole == end || whole.ends_with(&format!("/{end}"));
        let is_file = behind(name, path) || behind(path, name);
        !is_file && name != run.command.command && name != UNNAMED && !whole(name) && !known(name)
    };
    let mut results = BTreeMap::new();
    for (name, case) in run.tests.iter().filter(|(name, _)| is_test(name)) {
        match case.status {
            Status::Passed => results.insert(name.clone(), true),
            Status::Failed if !mistake(&case.message) => results.insert(name.clone(), false),
            _ => None,
        };
    }
    // What holds tests that ran fails with them.
    let names: Vec<String> = results.keys().cloned().collect();
    let holds = |name: &String| {
        let inner = [format!("{name} > "), format!("{name}/")];
        names
            .iter()
            .any(|other| inner.iter().any(|start| other.starts_with(start)))
    };
    results.retain(|name, _| !holds(name));
    Results::Ran(results)
}

/// What a file claims, by what its tests did before anything was changed; nothing where none of them failed.
pub(super) fn claims(test: &IssueTest, file: &TestFile, results: &Results) -> Vec<IssueTest> {
    let Results::Ran(results) = results else {
        return Vec::new();
    };
    if !file.apart {
        let shows = results.values().any(|passed| !passed);
        let whole = IssueTest {
            cases: results.clone(),
            ..test.clone()
        };
        return shows.then_some(whole).into_iter().collect();
    }
    let failed = results.iter().filter(|(_, passed)| !**passed);
    let claim = |(case, passed): (&String, &bool)| {
        let mut written = test.written.clone();
        written.name = format!("{} ({})", function(case), test.written.name);
        let own = source(&file.path, &written.script, function(case));
        let canonical = |own: &String| canonical_code(&file.path, own).unwrap_or_else(|| own.clone());
        let code = own.as_ref().map(|own| without_layout(&canonical(own)));
        let asks = own
            .as_ref()
            .and_then(|own| asked(own, file.path.ends_with(".rs")));
        // What looks at nothing that can be told looks at something of its own.
        written.asks = asks
            .or_else(|| code.clone())
            .unwrap_or_else(|| written.name.clone());
        IssueTest {
            written,
            cases: BTreeMap::from([(case.clone(), *passed)]),
            code: code.unwrap_or_default(),
            ..test.clone()
        }
    };
    failed.map(claim).collect()
}

/// What a claim says, by what its tests do now.
pub(super) fn said(cases: &BTreeMap<String, bool>, results: &Results) -> Said {
    let results = match results {
        Results::Ran(results) => results,
        Results::Nothing => return Said::Other,
        Results::Hung => return Said::Hung,
    };
    if cases.is_empty() {
        Said::Other
    } else if cases.keys().all(|case| results.get(case) == Some(&true)) {
        Said::Resolved
    } else if cases
        .iter()
        .all(|(case, passed)| results.get(case) == Some(passed))
    {
        Said::Reproduced
    } else {
        Said::Other
    }
}

/// Claims that are the same but for the names of their tests, as one with all of their votes. Those of one file have the same votes, and count once.
pub(super) fn merged(claims: Vec<IssueTest>) -> Vec<IssueTest> {
    let mut merged: Vec<(IssueTest, Vec<String>)> = Vec::new();
    for claim in claims {
        let same = merged.iter_mut().find(|(known, _)| known.is_same(&claim));
        match same {
            Some((known, texts)) => {
                if !texts.contains(&claim.written.script) {
                    known.votes += claim.votes;
                    texts.push(claim.written.script);
                }
            }
            None => {
                let text = claim.written.script.clone();
                merged.push((claim, vec![text]));
            }
        }
    }
    merged.into_iter().map(|(claim, _)| claim).collect()
}

/// The own name of a test's function: `pkg.TestA`, `tests/a.py::test_a[1]` and `issue tests/issue.rs: group::adds` have it at their ends.
fn function(case: &str) -> &str {
    let case = case.split('[').next().unwrap_or(case);
    let name = case.rsplit("::").next().unwrap_or(case);
    let name = name.rsplit(": ").next().unwrap_or(name);
    let name = name.rsplit(" > ").next().unwrap_or(name);
    // A title is a sentence, which may have a full stop in it.
    if name.contains(' ') {
        return name;
    }
    name.rsplit(['.', '/'])
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or(name)
}

/// What stands in a file for a test, without the test's name; none where there is no such test.
fn source(path: &str, text: &str, name: &str) -> Option<String> {
    let found = definitions(text, &language(path)?);
    let own = found.iter().find(|definition| definition.name == name);
    let lines: Vec<&str> = text.lines().collect();
    let range = own
        .map(|own| own.start..own.end)
        .or_else(|| titled(&lines, name))?;
    Some(lines.get(range)?.join("\n").replacen(name, "test", 1))
}

/// What a test looks at: all that stands before the value which its only comparison wants. None where it has no such, or several checks.
fn asked(source: &str, rust: bool) -> Option<String> {
    const COMPARISONS: [&str; 6] = [
        "assert_eq!(",
        "trictEqual(",
        "deepEqual(",
        ".equal(",
        "assertEqual(",
        "expect(",
    ];
    let checks = |line: &&str| line.contains("assert") || line.contains("expect(");
    if source.lines().filter(checks).count() != 1 {
        return None;
    }
    let begins = COMPARISONS
        .iter()
        .filter_map(|call| Some(source.find(call)? + call.len()));
    let begin = begins.min()?;
    let end = begin + first_argument(source.get(begin..)?, rust)?;
    Some(without_layout(source.get(..end)?))
}

/// Where the first of a call's arguments ends. In Rust a single quote may be a lifetime's.
fn first_argument(arguments: &str, rust: bool) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0, None, false);
    for (at, sign) in arguments.char_indices() {
        match (quote, sign) {
            _ if std::mem::take(&mut escaped) => {}
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == sign => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => quote = Some(sign),
            (None, '\'') if !rust => quote = Some(sign),
            (None, ',' | ')') if depth == 0 => return Some(at),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The lines of a call such as `test('title', () => {`, to the one that closes it.
fn titled(lines: &[&str], title: &str) -> Option<Range<usize>> {
    let opens = |line: &&str| {
        let quoted = ['\'', '"', '`']
            .iter()
            .any(|quote| line.contains(&format!("{quote}{title}{quote}")));
        quoted
            && ["test(", "it("]
                .iter()
                .any(|call| line.trim_start().starts_with(call))
    };
    let start = lines.iter().position(opens)?;
    let first = lines.get(start)?;
    if first.trim_end().trim_end_matches(';').ends_with(')') {
        return Some(start..start + 1);
    }
    let closes = |line: &&str| line.trim_start().starts_with('}') && indent_of(line) <= indent_of(first);
    let length = lines.get(start + 1..)?.iter().position(closes)?;
    Some(start..start + length + 2)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
