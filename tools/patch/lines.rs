//! The line diff of two texts, as hunks with three lines of context. The same texts always give the same hunks:
//! no clock bounds the work, only the number of lines.

use std::collections::HashMap;

use similar::{Algorithm, DiffOp};

use super::types::{Hunk, Line, LineKind};

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// Where both sides have more lines than this in dispute, the whole stretch is replaced instead of compared.
const MOST_LINES_COMPARED: usize = 400_000;

/// The longest function line shown behind `@@`.
const MOST_SECTION_BYTES: usize = 80;

/// The lines of a text, each with its newline.
pub(super) fn split(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// Whether git would call this content binary. Stricter than git, which looks at the first 8,000 bytes only: a
/// NUL anywhere makes it binary, so that no tool that reads the diff meets one.
pub(super) fn is_binary(content: &[u8]) -> bool {
    content.contains(&0)
}

/// The hunks that turn `old` into `new`.
pub(super) fn hunks(old: &[u8], new: &[u8]) -> Vec<Hunk> {
    let (old, new) = (split(old), split(new));
    let operations = compare(&old, &new);
    similar::group_diff_ops(operations, CONTEXT)
        .into_iter()
        .filter_map(|group| hunk(&old, &new, &group))
        .collect()
}

/// The edit script of two lists of lines.
fn compare(old: &[&[u8]], new: &[&[u8]]) -> Vec<DiffOp> {
    let prefix = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let most = old.len().min(new.len()) - prefix;
    let suffix = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(most)
        .take_while(|(old, new)| old == new)
        .count();
    let old_middle = old.get(prefix..old.len() - suffix).unwrap_or_default();
    let new_middle = new.get(prefix..new.len() - suffix).unwrap_or_default();
    let disputed = old_middle.len() + new_middle.len();
    let one_sided = old_middle.is_empty() || new_middle.is_empty();
    if one_sided || disputed > MOST_LINES_COMPARED {
        return replace(prefix, old_middle.len(), new_middle.len(), suffix);
    }
    // Comparing numbers is much cheaper than comparing lines over and over.
    let mut numbers = HashMap::new();
    let (old, new) = (number(old, &mut numbers), number(new, &mut numbers));
    similar::capture_diff_slices(Algorithm::Myers, &old, &new)
}

/// A number for each line, the same for the same text.
fn number<'a>(lines: &[&'a [u8]], numbers: &mut HashMap<&'a [u8], u32>) -> Vec<u32> {
    let mut numbered = Vec::with_capacity(lines.len());
    for line in lines {
        let next = numbers.len() as u32;
        numbered.push(*numbers.entry(line).or_insert(next));
    }
    numbered
}

/// The script that takes one stretch out and puts another in, between equal lines.
fn replace(prefix: usize, old_len: usize, new_len: usize, suffix: usize) -> Vec<DiffOp> {
    let change = match (old_len, new_len) {
        (0, 0) => None,
        (0, _) => Some(DiffOp::Insert {
            old_index: prefix,
            new_index: prefix,
            new_len,
        }),
        (_, 0) => Some(DiffOp::Delete {
            old_index: prefix,
            old_len,
            new_index: prefix,
        }),
        _ => Some(DiffOp::Replace {
            old_index: prefix,
            old_len,
            new_index: prefix,
            new_len,
        }),
    };
    let equal = |old_index, new_index, len| {
        (len > 0).then_some(DiffOp::Equal {
            old_index,
            new_index,
            len,
        })
    };
    [
        equal(0, 0, prefix),
        change,
        equal(prefix + old_len, prefix + new_len, suffix),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// One group of operations as a hunk.
fn hunk(old: &[&[u8]], new: &[&[u8]], group: &[DiffOp]) -> Option<Hunk> {
    let old_at = group.first()?.old_range().start;
    let new_at = group.first()?.new_range().start;
    let mut lines = Vec::new();
    let mut take = |kind: LineKind, from: &[&[u8]], range: std::ops::Range<usize>| {
        let taken = from.get(range).unwrap_or_default();
        lines.extend(taken.iter().map(|text| Line {
            kind,
            text: text.to_vec(),
        }));
    };
    for operation in group {
        if let DiffOp::Equal { .. } = operation {
            take(LineKind::Context, old, operation.old_range());
        } else {
            take(LineKind::Removed, old, operation.old_range());
            take(LineKind::Added, new, operation.new_range());
        }
    }
    let mut hunk = Hunk {
        old_start: None,
        new_start: None,
        section: section(old, old_at),
        lines,
        recounted: false,
    };
    // A side without lines is numbered by the line it stands behind.
    let start = |at: usize, lines: usize| u32::try_from(at + usize::from(lines > 0)).ok();
    hunk.old_start = start(old_at, hunk.old_lines());
    hunk.new_start = start(new_at, hunk.new_lines());
    Some(hunk)
}

/// The nearest line above that looks like the head of a function, as git shows it.
fn section(old: &[&[u8]], before: usize) -> Vec<u8> {
    // A bounded look back keeps files with very many hunks linear.
    let head = old
        .get(before.saturating_sub(2_000)..before)
        .unwrap_or_default()
        .iter()
        .rev()
        .find(|line| {
            line.first()
                .is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$'))
        });
    let head = head.copied().unwrap_or_default();
    head.get(..MOST_SECTION_BYTES)
        .unwrap_or(head)
        .trim_ascii_end()
        .to_vec()
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
