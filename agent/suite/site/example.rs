//! A test of the repository's that shows how one looks there.

use std::path::Path;

use super::Dialect;
use super::place::joined;
use crate::suite::files::files;
use crate::suite::find::text;

/// Bytes of an example that are shown.
const MOST_BYTES: usize = 2400;
/// Shorter files show little.
const FEWEST_BYTES: usize = 40;
/// Files of tests that are looked at.
const MOST_FILES: usize = 400;

/// An existing test file, or its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Where it stands, relative to the root.
    pub path: String,
    /// What stands in it.
    pub text: String,
    /// Whether that is all of it.
    pub whole: bool,
}

/// The test that shows best how one of this dialect looks below `folder`: near the file that the issue is about, and short. Its path is relative to
/// the root.
pub(super) fn example(tree: &Path, folder: &str, dialect: Dialect, about: &str) -> Option<Example> {
    let root = tree.join(folder);
    let found = files(&root, MOST_FILES, |name| dialect.takes(name));
    let below = |path: &String| joined(folder, path);
    let tests = found.iter().map(below).filter(|path| may_be_test(dialect, path));
    let read = |path: String| {
        // Through a link it would be a file of somebody else's.
        let plain = tree
            .join(&path)
            .symlink_metadata()
            .is_ok_and(|file| file.is_file());
        let text = if plain {
            text(&tree.join(&path))
        } else {
            String::new()
        };
        let shows = text.len() >= FEWEST_BYTES && has_test(dialect, &text);
        shows.then_some((path, text))
    };
    let key = |(path, text): &(String, String)| {
        (
            std::cmp::Reverse(shared_folders(path, about)),
            text.len() > MOST_BYTES,
            text.len(),
        )
    };
    let (path, text) = tests.filter_map(read).min_by_key(key)?;
    let shown = beginning(&text);
    Some(Example {
        whole: shown.len() == text.len(),
        text: shown.trim_end().to_owned(),
        path,
    })
}

/// Whether a file can be a test, by its path.
fn may_be_test(dialect: Dialect, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    match dialect {
        Dialect::Cargo => path.split('/').rev().nth(1) == Some("tests"),
        Dialect::Go => name.ends_with("_test.go"),
        Dialect::Pytest => name.starts_with("test_") || name.ends_with("_test.py"),
        Dialect::Unittest => name.starts_with("test"),
        _ => cwm_tools::patch::is_test_path(path.as_bytes()),
    }
}

/// Whether a text holds a test.
fn has_test(dialect: Dialect, text: &str) -> bool {
    let marks: &[&str] = match dialect {
        Dialect::Pytest => &["def test"],
        Dialect::Unittest => &["TestCase"],
        Dialect::Cargo => &["#[test]", "::test]"],
        Dialect::Go => &["func Test"],
        Dialect::Jest | Dialect::Vitest | Dialect::Mocha | Dialect::Node => &["test(", "it("],
    };
    marks.iter().any(|mark| text.contains(mark))
}

/// How many folders two paths have in common.
fn shared_folders(one: &str, other: &str) -> usize {
    let folders = |path: &str| -> Vec<String> {
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        parts.pop();
        parts
    };
    folders(one)
        .iter()
        .zip(folders(other))
        .take_while(|(one, other)| *one == other)
        .count()
}

/// So many bytes at most, in whole lines, up to a blank one where there is one.
fn beginning(text: &str) -> &str {
    if text.len() <= MOST_BYTES {
        return text;
    }
    let part = text
        .get(..text.floor_char_boundary(MOST_BYTES))
        .unwrap_or_default();
    let end = part
        .rfind("\n\n")
        .or_else(|| part.rfind('\n'))
        .unwrap_or(part.len());
    part.get(..end).unwrap_or(part)
}
