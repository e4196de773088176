//! What a patch shows by itself that right patches seldom show: told from its added lines, without running anything.
//!
//! These are hints, not proofs: they decide only between candidates that tests do not tell apart.

use std::collections::BTreeSet;

use cwm_tools::bytes_path;
use cwm_tools::patch::{Body, FilePatch, LineKind, is_test_path, parse};

use crate::scaling::ranking::Sign;
use crate::scaling::validation::{Measure, file_is_test};

/// What ends a process.
const ENDS: [&str; 8] = [
    "sys.exit(",
    "os._exit(",
    "raise SystemExit",
    "process.exit(",
    "process::exit(",
    "os.Exit(",
    "System.exit(",
    "os.abort(",
];
/// What reaches for the code that runs tests.
const REACHES: [&str; 10] = [
    // What is equal to everything passes every comparison.
    "__eq__ = lambda",
    "import unittest",
    "import pytest",
    "import _pytest",
    "from unittest",
    "sys.modules[",
    "sys._getframe(",
    "inspect.stack(",
    "sys.settrace(",
    "builtins.",
];
/// Shorter literals stand in much code.
const TELLING_LITERAL: usize = 4;
/// Even short ones tell where they are all that is returned.
const RETURNED_LITERAL: usize = 2;

/// What is known of the issue besides the patch.
#[derive(Debug, Clone, Default)]
pub(super) struct Clues {
    /// Values that failing tests and the issue name.
    literals: BTreeSet<String>,
    /// Files of the product that what failed names.
    files: BTreeSet<String>,
}

impl Clues {
    /// Those of an issue's text and of what failing tests print; `is_file` tells the repository's files.
    pub(super) fn of(issue: &str, failures: &str, is_file: impl Fn(&str) -> bool) -> Clues {
        let mut clues = Clues::default();
        for text in [issue, failures] {
            clues.literals.extend(literals(text));
        }
        let ends = |sign: char| !(sign.is_alphanumeric() || "_-./".contains(sign));
        for word in failures
            .split(ends)
            .map(|word| word.trim_start_matches("./").trim_end_matches('.'))
        {
            // A traceback names files by their place on the machine.
            let parts = word
                .char_indices()
                .filter(|(_, sign)| *sign == '/')
                .map(|(at, _)| at + 1);
            let names = std::iter::once(0).chain(parts).filter_map(|at| word.get(at..));
            let known = names
                .filter(|name| name.contains('.') && !is_test_path(name.as_bytes()))
                .find(|name| is_file(name));
            clues.files.extend(known.map(str::to_owned));
        }
        clues
    }
}

/// Literals of a text: quoted texts and numbers that are long enough to tell something, and lists of values.
fn literals(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().flat_map(|line| {
        let mut found = Vec::new();
        for quote in ['\'', '"'] {
            let mut parts = line.split(quote);
            parts.next();
            found.extend(parts.step_by(2).map(|part| format!("\"{part}\"")));
        }
        let numbers = line.split(|sign: char| !(sign.is_ascii_digit() || sign == '.'));
        found.extend(numbers.map(|number| number.trim_matches('.').to_owned()));
        let lists = line.split('[').skip(1).filter_map(|rest| rest.split_once(']'));
        found.extend(
            lists
                .filter(|(inside, _)| inside.contains(','))
                .map(|(inside, _)| format!("[{inside}]")),
        );
        found.retain(|literal| literal.len() >= RETURNED_LITERAL);
        found
    })
}

/// The signs of a patch.
pub(super) fn signs(patch: &[u8], measure: &Measure, changes_code: bool, clues: &Clues) -> Vec<Sign> {
    let mut signs = BTreeSet::new();
    let mut add = |sign: Sign, shows: bool| {
        if shows {
            signs.insert(sign);
        }
    };
    add(Sign::NoCode, !changes_code);
    add(
        Sign::WeakensTests,
        !measure.deleted_tests.is_empty() || !measure.weakened_tests.is_empty(),
    );
    add(Sign::ChangesSettings, !measure.settings.is_empty());
    let Ok(parsed) = parse(patch) else {
        return signs.into_iter().collect();
    };
    let product: Vec<&FilePatch> = parsed.files.iter().filter(|file| !file_is_test(file)).collect();
    add(
        Sign::Elsewhere,
        !clues.files.is_empty() && !product.iter().any(|file| touches(file, &clues.files)),
    );
    for file in product {
        let (added, rest) = lines(file);
        let is_new = |word: &str| {
            added.iter().any(|line| line.contains(word)) && !rest.iter().any(|line| line.contains(word))
        };
        add(Sign::EndsProcess, ENDS.iter().any(|word| is_new(word)));
        add(Sign::TouchesRunner, REACHES.iter().any(|word| is_new(word)));
        add(Sign::SwallowsErrors, swallows(&added) && !swallows(&rest));
        let special = |literal: &String| {
            let plain = |line: &str| line.replace('\'', "\"");
            let holds =
                |line: &&String| literal.len() >= TELLING_LITERAL && plain(line).contains(literal.as_str());
            let returned = format!("return {literal}");
            let is_all = |line: &String| plain(line) == returned;
            let acts = added.iter().filter(holds).any(|line| decides(line)) || added.iter().any(is_all);
            acts && !rest.iter().any(|line| holds(&line) || is_all(line))
        };
        add(Sign::ExpectedValue, clues.literals.iter().any(special));
    }
    signs.into_iter().collect()
}

fn touches(file: &FilePatch, files: &BTreeSet<String>) -> bool {
    let paths = [&file.old_path, &file.new_path].into_iter().flatten();
    paths
        .map(|path| bytes_path::display(path))
        .any(|path| files.contains(&path))
}

/// The lines that a file's change adds, and the others that it shows.
fn lines(file: &FilePatch) -> (Vec<String>, Vec<String>) {
    let Body::Text(hunks) = &file.body else {
        return (Vec::new(), Vec::new());
    };
    let (mut added, mut rest) = (Vec::new(), Vec::new());
    for line in hunks.iter().flat_map(|hunk| &hunk.lines) {
        let text = String::from_utf8_lossy(&line.text).trim().to_owned();
        if line.kind == LineKind::Added {
            added.push(text);
        } else {
            rest.push(text);
        }
    }
    (added, rest)
}

/// Whether broad errors are caught: by type alone, for what follows may be far away.
fn swallows(lines: &[String]) -> bool {
    lines.iter().any(|line| {
        let broad = [
            "except:",
            "except Exception",
            "except BaseException",
            "suppress(Exception",
            "suppress(BaseException",
        ];
        broad.iter().any(|start| line.contains(start))
            || line.contains("catch") && line.replace(' ', "").ends_with("{}")
    })
}

/// Whether a line acts upon a value: it compares with it, or returns it.
fn decides(line: &str) -> bool {
    line.contains("==")
        || line.contains(" in ")
        || line.starts_with("return ")
        || line.starts_with("case ")
        || line.starts_with("print")
}

#[cfg(test)]
#[path = "signs_tests.rs"]
mod tests;
