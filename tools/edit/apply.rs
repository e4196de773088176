//! Applying an edit to a file's bytes.

use super::diagnosis;
use super::lines::{self, Ending, Found, Line};
use super::{EXCERPT_MARGIN, EditFailure, EditRequest, Edited, Split};
use crate::truncate::display_text;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A longer line is cut where it is shown.
const MAX_SHOWN_BYTES: usize = 1000;

/// The file's bytes after the edit.
pub fn apply(original: &[u8], request: &EditRequest) -> Result<Edited, EditFailure> {
    let (mark, body) = match original.strip_prefix(BYTE_ORDER_MARK) {
        Some(body) => (BYTE_ORDER_MARK, body),
        None => (&[] as &[u8], original),
    };
    let (split, at) = choose(body, request)?;
    let edited = replace(mark, body, split, at);
    if edited.bytes == original {
        Err(EditFailure::NoChange { line: at + 1 })
    } else {
        Ok(edited)
    }
}

/// The one division whose search text stands in the file exactly once, and at which line (from 0).
fn choose<'a>(body: &[u8], request: &'a EditRequest) -> Result<(Split<'a>, usize), EditFailure> {
    let mut unique = Vec::new();
    let mut first: Option<(Split<'_>, Found)> = None;
    for split in request.splits() {
        let found = lines::find(body, &lines::texts(split.search), |a, b| a == b);
        match (found.count, found.first.first()) {
            // Each further division's search text begins with this one, so it cannot be there either.
            (0, _) if first.is_some() => break,
            (1, Some(&at)) => unique.push((split, at)),
            _ => {}
        }
        first.get_or_insert((split, found));
    }
    match (unique.as_slice(), first) {
        ([one], _) => Ok(*one),
        ([], Some((split, found))) if found.count == 0 => {
            Err(EditFailure::NoMatch(Box::new(diagnosis::of(body, split, &found))))
        }
        ([], Some((_, found))) => {
            let lines = found.first.iter().map(|line| line + 1).collect();
            Err(EditFailure::SeveralMatches {
                lines,
                count: found.count,
            })
        }
        ([], None) => Err(EditFailure::NoMatch(Box::default())),
        (several, _) => Err(EditFailure::AmbiguousDivider {
            lines: several.iter().map(|(split, _)| split.divider_line).collect(),
        }),
    }
}

fn replace(mark: &[u8], body: &[u8], split: Split<'_>, at: usize) -> Edited {
    let search = lines::texts(split.search);
    let new = lines::texts(split.replace);
    let mut start = 0;
    let mut ending_before = Ending::Newline;
    let mut old = Vec::with_capacity(search.len());
    for (index, line) in lines::lines(body).take(at + search.len()).enumerate() {
        if index < at {
            start += line.len();
            ending_before = line.ending;
        } else {
            old.push(line);
        }
    }
    let end = start + old.iter().map(Line::len).sum::<usize>();
    let written = new_lines(&old, &new, ending_before);
    let added_bytes: usize = written.iter().map(Line::len).sum();
    let (before, after) = (
        body.get(..start).unwrap_or_default(),
        body.get(end..).unwrap_or_default(),
    );
    let mut bytes = Vec::with_capacity(mark.len() + before.len() + added_bytes + after.len());
    bytes.extend_from_slice(mark);
    bytes.extend_from_slice(before);
    for line in &written {
        bytes.extend_from_slice(line.text);
        bytes.extend_from_slice(line.ending.bytes());
    }
    bytes.extend_from_slice(after);
    let (excerpt, total_lines) = excerpt(bytes.get(mark.len()..).unwrap_or_default(), at, new.len());
    let (removed_lines, added_lines) = (old.len(), new.len());
    Edited {
        first_line: at + 1,
        removed_lines,
        added_lines,
        total_lines,
        excerpt,
        bytes,
    }
}

/// The replacement's lines with their ends.
fn new_lines<'a>(old: &[Line<'a>], new: &[&'a [u8]], ending_before: Ending) -> Vec<Line<'a>> {
    let ending = match old.first().map(|line| line.ending) {
        Some(Ending::None) | None => ending_before,
        Some(ending) => ending,
    };
    let shorter = old.len().min(new.len());
    let same = |(line, text): &(&Line<'_>, &&[u8])| line.text == **text;
    let top = old.iter().zip(new).take_while(same).count();
    let bottom = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(shorter - top)
        .take_while(same)
        .count();
    let mut written: Vec<Line<'_>> = old.iter().take(top).copied().collect();
    let middle = new.iter().take(new.len() - bottom).skip(top);
    written.extend(middle.map(|&text| Line { text, ending }));
    written.extend(old.iter().skip(old.len() - bottom));
    // Only the file's last line can lack an end, and it goes on lacking it, whichever line that is now.
    if old.last().is_some_and(|line| line.ending == Ending::None) {
        for line in written.iter_mut().filter(|line| line.ending == Ending::None) {
            line.ending = ending;
        }
        if let Some(last) = written.last_mut() {
            last.ending = Ending::None;
        }
    }
    written
}

/// The lines around a change of `added` lines at line `at` (from 0), and the number of all lines.
fn excerpt(body: &[u8], at: usize, added: usize) -> (Vec<(usize, String)>, usize) {
    let shown = at.saturating_sub(EXCERPT_MARGIN)..at + added + EXCERPT_MARGIN;
    let mut excerpt = Vec::new();
    let mut total = 0;
    for (index, line) in lines::lines(body).enumerate() {
        if shown.contains(&index) {
            excerpt.push((index + 1, show(line.text)));
        }
        total = index + 1;
    }
    (excerpt, total)
}

/// A line's text for a model, cut when very long.
pub(super) fn show(text: &[u8]) -> String {
    match text.get(..MAX_SHOWN_BYTES) {
        Some(head) if text.len() > MAX_SHOWN_BYTES => {
            format!("{}… ({} more bytes)", display_text(head), text.len() - head.len())
        }
        _ => display_text(text),
    }
}
