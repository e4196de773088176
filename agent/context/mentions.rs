//! Files that a text names: paths, frames of tracebacks, names of modules.

use std::collections::HashSet;

use super::paths::Paths;

/// No more different paths than this are looked up in a text.
const MOST_PATHS: usize = 4000;

/// A file that a text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    /// The file's index.
    pub(super) file: usize,
    /// The line, from 1, where one is named.
    pub(super) line: Option<usize>,
    /// Whether its path is named, not a module's name.
    pub(super) by_path: bool,
}

/// The files that a text names, in its order.
pub(super) fn mentions(paths: &Paths<'_>, text: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (word, behind) in words_with_rest(text) {
        if seen.len() > MOST_PATHS {
            break;
        }
        if !seen.insert((word, line_behind(behind))) {
            continue;
        }
        let word = word.trim_end_matches(['.', ':']);
        // `tests/test_a.py::test_b` names a file and what is in it.
        let before = word.split("::").next().unwrap_or(word);
        let (path, line) = split_line(before);
        let line = line.or_else(|| line_behind(behind));
        if path.contains('.') {
            let files = paths.by_path(path);
            if !files.is_empty() {
                found.extend(files.into_iter().map(|file| Mention {
                    file,
                    line,
                    by_path: true,
                }));
                continue;
            }
        }
        let parts: Vec<&str> = match word.contains("::") {
            true => word.split("::").filter(|part| *part != "crate").collect(),
            false => word.split('.').collect(),
        };
        let is_module = parts.len() > 1
            && parts
                .iter()
                .all(|part| !part.is_empty() && !part.contains(['/', '\\', ':']));
        if is_module && let Some(file) = paths.by_module(&parts) {
            found.push(Mention {
                file,
                line: None,
                by_path: false,
            });
        }
    }
    found
}

/// The words of a text that may be paths, each with what follows it.
fn words_with_rest(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || "_./\\-+@:".contains(c);
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let start = rest.find(is_part)?;
            let word = rest.get(start..)?;
            let length = word.find(|c| !is_part(c)).unwrap_or(word.len());
            at += start + length;
            let word = word.get(..length)?;
            if word.contains(['.', ':']) && word.len() <= 1024 {
                return Some((word, text.get(at..)?));
            }
        }
    })
}

/// `path:12:5` as path and line.
fn split_line(word: &str) -> (&str, Option<usize>) {
    let mut path = word;
    let mut line = None;
    while let Some((before, number)) = path.rsplit_once(':') {
        let Ok(number) = number.parse::<usize>() else {
            break;
        };
        (path, line) = (before, Some(number));
    }
    // `C:\a\b.py` and `file:...` keep the path only.
    let path = match path.split_once(':') {
        Some((drive, rest)) if drive.len() == 1 => rest,
        Some((before, _)) => before,
        None => path,
    };
    (path, line)
}

/// `", line 12` behind a path.
fn line_behind(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('"').unwrap_or(text).strip_prefix(", line ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}
