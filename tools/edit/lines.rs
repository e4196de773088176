//! Lines of a file as bytes, and the search for a run of lines in time linear in the file's size.

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Newline,
    CarriageReturnNewline,
    /// The file's end.
    None,
}

impl Ending {
    pub(super) fn bytes(self) -> &'static [u8] {
        match self {
            Ending::Newline => b"\n",
            Ending::CarriageReturnNewline => b"\r\n",
            Ending::None => b"",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Without its end.
    pub(super) text: &'a [u8],
    pub(super) ending: Ending,
}

impl Line<'_> {
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.ending.bytes().len()
    }
}

/// The lines of `bytes`; none when empty.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(newline) = memchr::memchr(b'\n', rest) else {
            return Some(Line {
                text: std::mem::take(&mut rest),
                ending: Ending::None,
            });
        };
        let (line, after) = rest.split_at(newline);
        rest = after.get(1..).unwrap_or_default();
        Some(match line.strip_suffix(b"\r") {
            Some(text) => Line {
                text,
                ending: Ending::CarriageReturnNewline,
            },
            None => Line {
                text: line,
                ending: Ending::Newline,
            },
        })
    })
}

/// The texts of the lines of `text`.
pub(super) fn texts(text: &str) -> Vec<&[u8]> {
    lines(text.as_bytes()).map(|line| line.text).collect()
}

/// Whether two lines count as the same. Must be an equivalence, or the search below would miss matches.
pub(super) type Same = fn(&[u8], &[u8]) -> bool;

/// What a search found. Lines are counted from 0.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How often the pattern stands in the file; matches may overlap.
    pub(super) count: usize,
    /// The first lines of the first matches.
    pub(super) first: Vec<usize>,
    /// The most lines of the pattern's beginning that stand together anywhere, and where they first do.
    pub(super) longest: usize,
    pub(super) longest_at: usize,
}

/// Matches whose lines are reported.
const MAX_REPORTED: usize = 20;

/// Finds a run of lines (Knuth, Morris and Pratt's way, a line taking a letter's place).
pub(super) fn find(file: &[u8], pattern: &[&[u8]], same: Same) -> Found {
    let mut found = Found::default();
    if pattern.is_empty() {
        return found;
    }
    let borders = borders(pattern, same);
    let is_next = |matched: usize, line: &[u8]| pattern.get(matched).is_some_and(|wanted| same(wanted, line));
    let mut matched = 0;
    for (index, line) in lines(file).enumerate() {
        while matched > 0 && !is_next(matched, line.text) {
            matched = border(&borders, matched);
        }
        if is_next(matched, line.text) {
            matched += 1;
        }
        if matched > found.longest {
            found.longest = matched;
            found.longest_at = index + 1 - matched;
        }
        if matched == pattern.len() {
            found.count += 1;
            if found.first.len() < MAX_REPORTED {
                found.first.push(index + 1 - matched);
            }
        }
    }
    found
}

/// For each beginning of the pattern, the length of the longest shorter beginning that it also ends with.
fn borders(pattern: &[&[u8]], same: Same) -> Vec<usize> {
    let mut borders = vec![0];
    let mut length = 0;
    for line in pattern.iter().skip(1) {
        let is_next = |length: usize| pattern.get(length).is_some_and(|wanted| same(wanted, line));
        while length > 0 && !is_next(length) {
            length = border(&borders, length);
        }
        if is_next(length) {
            length += 1;
        }
        borders.push(length);
    }
    borders
}

fn border(borders: &[usize], matched: usize) -> usize {
    borders.get(matched - 1).copied().unwrap_or(0)
}
