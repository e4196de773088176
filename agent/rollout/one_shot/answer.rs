//! Reads a model's answer: edits as SEARCH/REPLACE blocks, or code blocks, however sloppily they are written.

use crate::context::{language, scanned};

/// A part of an answer that may change a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Lines to find and lines to put in their place.
    Block {
        /// The file, as the model named it.
        path: Option<String>,
        /// What to find; empty for a new file.
        search: Vec<String>,
        /// What to put there.
        replace: Vec<String>,
        /// Whether the block's end was reached.
        closed: bool,
    },
    /// Code as it shall be.
    Code {
        /// The file, as the model named it.
        path: Option<String>,
        /// The code.
        lines: Vec<String>,
        /// Whether the block's end was reached.
        closed: bool,
    },
}

/// Longer answers are read up to here.
const MOST_BYTES: usize = 1 << 20;

/// Markers with fewer signs are no markers.
const FEWEST_SIGNS: usize = 5;

/// How many lines before a block may hold its path.
const PATH_DISTANCE: usize = 4;

/// The parts of an answer, in order.
pub(super) fn parts(answer: &str) -> Vec<Part> {
    let end = (0..=MOST_BYTES.min(answer.len()))
        .rev()
        .find(|&end| answer.is_char_boundary(end))
        .unwrap_or(0);
    let lines: Vec<&str> = answer.get(..end).unwrap_or_default().lines().collect();
    let mut reader = Reader {
        lines: &lines,
        at: 0,
        since: 0,
        parts: Vec::new(),
    };
    while let Some(line) = reader.current() {
        if is_search(line) {
            reader.block();
        } else if is_fence(line) && !reader.fence_holds_block() {
            reader.code();
        } else {
            reader.at += 1;
        }
    }
    reader.parts
}

/// Whether code of an answer defines that function, of a file of that path; true where it defines nothing at all.
pub(super) fn defines(parts: &[Part], function: &str, path: &str) -> bool {
    let Some(layout) = language(path).and_then(|language| language.layout) else {
        return true;
    };
    let of_part = |part: &Part| match part {
        Part::Code { lines, .. } => {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            scanned(&lines, layout)
        }
        Part::Block { .. } => Vec::new(),
    };
    let found: Vec<_> = parts.iter().flat_map(of_part).collect();
    found.is_empty() || found.iter().any(|one| one.name == function)
}

struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
    /// The line behind the last part.
    since: usize,
    parts: Vec<Part>,
}

impl<'a> Reader<'a> {
    fn current(&self) -> Option<&'a str> {
        self.lines.get(self.at).copied()
    }

    /// A block, from its SEARCH line on.
    fn block(&mut self) {
        let path = self
            .current()
            .and_then(path_behind_marker)
            .or_else(|| self.path_before());
        self.at += 1;
        let start = self.at;
        let rest = self.lines.get(start..).unwrap_or_default();
        let next_search = rest.iter().position(|line| is_search(line)).unwrap_or(rest.len());
        let own = rest.get(..next_search).unwrap_or_default();
        let end = own.iter().position(|line| is_replace(line));
        let (body, taken) = match end {
            Some(end) => (own.get(..end).unwrap_or_default(), end + 1),
            None => without_end(own),
        };
        let ends = end.is_some() || body.len() < own.len();
        // Another block behind it shows that it was not cut off either.
        let closed = ends || next_search < rest.len();
        self.at = start + taken;
        self.since = self.at;
        let Some(divider) = divider(body) else {
            return;
        };
        let section = |lines: &[&str]| unfenced(lines).iter().map(|&line| line.to_owned()).collect();
        self.parts.push(Part::Block {
            path,
            search: section(body.get(..divider).unwrap_or_default()),
            replace: section(body.get(divider + 1..).unwrap_or_default()),
            closed,
        });
    }

    /// Whether SEARCH comes before the fence's end.
    fn fence_holds_block(&self) -> bool {
        let mut inside = self.lines.iter().skip(self.at + 1);
        inside
            .find(|line| is_fence(line) || is_search(line))
            .is_some_and(|line| is_search(line))
    }

    /// A fenced block of code.
    fn code(&mut self) {
        let info = self
            .current()
            .unwrap_or_default()
            .trim()
            .trim_start_matches('`')
            .trim();
        let named = info.split([' ', ':']).find_map(path_word);
        let before = self.path_before();
        let first = self.at + 1;
        let rest = self.lines.get(first..).unwrap_or_default();
        let end = rest.iter().position(|line| is_fence(line));
        let mut inside = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.at = first + inside.len() + usize::from(end.is_some());
        self.since = self.at;
        let mut path = named.or(before);
        if let Some((comment, after)) = inside.split_first()
            && let Some(own) = path_comment(comment)
        {
            path = Some(own);
            inside = after;
        }
        if inside.iter().any(|line| !line.trim().is_empty()) {
            self.parts.push(Part::Code {
                path,
                lines: inside.iter().map(|&line| line.to_owned()).collect(),
                closed: end.is_some(),
            });
        }
    }

    /// The path in the lines before the current one, the nearest first.
    fn path_before(&self) -> Option<String> {
        let before = self.lines.get(self.since..self.at)?;
        before
            .iter()
            .rev()
            .filter(|line| !line.trim().is_empty())
            .take(PATH_DISTANCE)
            .find_map(|line| path_in(line))
    }
}

/// The body of a block without a REPLACE line, and how many lines it takes: up to a second divider or a fence.
fn without_end<'a, 'b>(own: &'b [&'a str]) -> (&'b [&'a str], usize) {
    let Some(divider) = divider(own) else {
        return (&[], own.len());
    };
    let behind = own.get(divider + 1..).unwrap_or_default();
    let end = behind
        .iter()
        .position(|line| is_fence(line) || is_divider(line))
        .map_or(own.len(), |end| divider + 1 + end);
    let taken = own.len().min(end + 1);
    (own.get(..end).unwrap_or_default(), taken)
}

/// The line that divides a block: the first of the right length, else the first that is like it.
fn divider(body: &[&str]) -> Option<usize> {
    let exact = body.iter().position(|line| line.trim() == "=======");
    exact.or_else(|| body.iter().position(|line| is_divider(line)))
}

/// A section without the fence around it.
fn unfenced<'a, 'b>(lines: &'b [&'a str]) -> &'b [&'a str] {
    let is_text = |line: &&str| !line.trim().is_empty();
    let (first, last) = (lines.iter().position(is_text), lines.iter().rposition(is_text));
    if let (Some(first), Some(last)) = (first, last)
        && first < last
        && [first, last]
            .iter()
            .all(|&at| lines.get(at).is_some_and(|line| is_fence(line)))
    {
        return lines.get(first + 1..last).unwrap_or_default();
    }
    lines
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

/// What stands behind at least so many of a sign.
fn behind_signs(line: &str, sign: char) -> Option<&str> {
    let text = line.trim();
    let rest = text.trim_start_matches(sign);
    (text.len() - rest.len() >= FEWEST_SIGNS).then_some(rest.trim())
}

fn is_search(line: &str) -> bool {
    behind_signs(line, '<').is_some_and(|rest| {
        let word = rest
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .trim_matches([':', '<', '>']);
        word.is_empty() || ["search", "original", "head", "old"].contains(&word.to_lowercase().as_str())
    })
}

fn is_divider(line: &str) -> bool {
    behind_signs(line, '=').is_some_and(str::is_empty)
}

fn is_replace(line: &str) -> bool {
    behind_signs(line, '>').is_some_and(|rest| {
        let word = rest.trim_matches([':', '<', '>', ' ']).to_lowercase();
        word.is_empty() || ["replace", "updated", "new"].contains(&word.as_str())
    })
}

/// `<<<<<<< SEARCH path.py`
fn path_behind_marker(line: &str) -> Option<String> {
    let rest = behind_signs(line, '<')?;
    rest.split_whitespace().skip(1).find_map(path_word)
}

/// A comment that names a file: `# path.py`, `// path.js`.
fn path_comment(line: &str) -> Option<String> {
    let text = line.trim();
    let comment = ["#", "//", "--"]
        .iter()
        .find_map(|sign| text.strip_prefix(sign))?;
    let comment = comment.trim();
    let comment = comment
        .strip_prefix("File:")
        .or_else(|| comment.strip_prefix("file:"))
        .unwrap_or(comment);
    path_word(comment.trim()).filter(|path| path.rsplit('/').next().is_some_and(|name| name.contains('.')))
}

/// The path that a line names: alone, or in a sentence between backticks or as a word.
fn path_in(line: &str) -> Option<String> {
    if is_fence(line) {
        let info = line.trim().trim_start_matches('`').trim();
        return info.split([' ', ':']).find_map(path_word);
    }
    if is_replace(line) || is_divider(line) || is_search(line) {
        return None;
    }
    let quoted = line.split('`').skip(1).step_by(2).find_map(path_word);
    quoted.or_else(|| line.split_whitespace().find_map(path_word))
}

/// A word that is a path, without what is around it.
fn path_word(word: &str) -> Option<String> {
    let word = word.trim().trim_matches([
        '`', '*', '#', '"', '\'', '(', ')', '[', ']', ',', ';', ':', '<', '>',
    ]);
    let word = word.trim_end_matches('.');
    let looks = word.contains(['.', '/', '\\']) && word.chars().any(char::is_alphanumeric);
    let plain = !word.contains(char::is_whitespace) && !word.contains("://") && word.len() <= 512;
    (looks && plain).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_another_function_than_the_one_asked_for_is_noticed() {
        let answer = |code: &str| parts(&format!("Here it is:\n```python\n{code}\n```\n"));
        for (code, defines_it) in [
            ("def compile(form):\n    return Parser(form)", true),
            (
                "class Result:\n    def compile(self):\n        return compile(self)",
                true,
            ),
            ("    return Parser(form)", true),
            (
                "class Result:\n    '''What compile() gives.'''\n    def parse(self):\n        pass",
                false,
            ),
            ("def parse(text):\n    return compile(text)", false),
        ] {
            assert_eq!(
                defines(&answer(code), "compile", "parse.py"),
                defines_it,
                "{code}"
            );
        }
        assert!(defines(&answer("anything"), "compile", "notes.txt"));
    }
}
