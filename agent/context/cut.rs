//! Cuts ranked files down to a budget: small files whole, of others the definitions around what was named.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::definitions::{Definition, definitions};
use super::language::language;
use super::pack::{Excerpt, Packed};
use super::rank::{Order, Ranked};
use super::walk;

/// A token has at most about so many bytes: what is larger is not counted.
const TOKEN_BYTES: usize = 8;
/// Parts with fewer tokens than this tell nothing.
const FEWEST_TOKENS: usize = 12;
/// With less room, parts of one more file would be crumbs.
const FEWEST_SHARE: usize = 80;
/// A file takes at most so much of what is left, but for the first.
const SHARE: f64 = 0.5;
/// The failing tests together take at most so much of the budget.
const TEST_SHARE: f64 = 0.3;
/// Files whose score is less than this part of the best one's are not worth reading.
const FEWEST_SCORE: f64 = 0.04;
/// Lines shown around one that is named, when no definition holds it.
const MARGIN: usize = 12;
/// Parts that are so near are joined.
const NEAR: usize = 3;
/// Lines of a file's beginning that are shown with parts of it.
const HEAD_LINES: usize = 20;
/// Files that are shown at most.
const MOST_FILES: usize = 24;

/// Excerpts of the ranked files, within the budget.
pub(super) fn cut(tree: &Path, order: &Order, budget: usize, count: &dyn Fn(&str) -> usize) -> Packed {
    let mut cutter = Cutter {
        words: &order.words,
        budget,
        tests: (budget as f64 * TEST_SHARE) as usize,
        count,
        packed: Packed::default(),
    };
    let best = order.files.first().map_or(0.0, |file| file.score);
    let worth = |file: &&Ranked| file.score >= best * FEWEST_SCORE;
    let mut shown = 0;
    for file in order.files.iter().filter(worth) {
        if shown >= MOST_FILES || cutter.left() < FEWEST_TOKENS {
            break;
        }
        let before = cutter.packed.excerpts.len();
        if let Some(text) = walk::read(tree, &file.path) {
            cutter.file(file, &text, shown == 0);
        }
        shown += usize::from(cutter.packed.excerpts.len() > before);
    }
    cutter.packed
}

struct Cutter<'a> {
    words: &'a HashMap<String, f64>,
    budget: usize,
    /// What tests may take yet.
    tests: usize,
    count: &'a dyn Fn(&str) -> usize,
    packed: Packed,
}

/// Lines from one up to before another, from 0, and how telling they are.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: usize,
    end: usize,
    value: f64,
}

impl Cutter<'_> {
    fn left(&self) -> usize {
        self.budget.saturating_sub(self.packed.tokens)
    }

    fn file(&mut self, file: &Ranked, text: &str, is_first: bool) {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        if text.trim().is_empty() {
            return;
        }
        let left = self.left();
        let share = match (file.is_test, is_first) {
            (true, _) => self.tests.min(left),
            (false, true) => left,
            (false, false) => (left as f64 * SHARE) as usize,
        };
        // Of the first file all that is left of the budget, unless that would leave nothing for others where parts would do.
        let whole = if is_first { share * 4 / 5 } else { share };
        if text.len() <= whole.saturating_mul(TOKEN_BYTES) {
            let tokens = (self.count)(text);
            if tokens <= whole {
                self.add(file, &lines, 0, lines.len(), tokens);
                return;
            }
        }
        if share < FEWEST_SHARE && !is_first {
            return;
        }
        self.parts(file, text, &lines, if is_first { share * 7 / 10 } else { share });
    }

    /// The most telling parts that fit, in the file's order.
    fn parts(&mut self, file: &Ranked, text: &str, lines: &[&str], share: usize) {
        let mut parts = telling(file, text, lines, self.words);
        parts.sort_by(|one, other| {
            other
                .value
                .total_cmp(&one.value)
                .then(one.start.cmp(&other.start))
        });
        let mut chosen: Vec<Part> = Vec::new();
        let mut used = 0;
        for part in parts {
            let tokens = self.tokens(lines, part.start, part.end, share - used);
            if let Some(tokens) = tokens {
                chosen.push(part);
                used += tokens;
            } else if chosen.is_empty() {
                // Larger than all there is room for: the lines around what is named in it.
                let Some(smaller) = self.window(file, lines, part, share) else {
                    continue;
                };
                used += self
                    .tokens(lines, smaller.start, smaller.end, share)
                    .unwrap_or(share);
                chosen.push(smaller);
            }
            if used + FEWEST_TOKENS > share {
                break;
            }
        }
        let head = head(lines);
        if !chosen.is_empty() && head > 0 && self.tokens(lines, 0, head, share - used.min(share)).is_some() {
            chosen.push(Part {
                start: 0,
                end: head,
                value: 0.0,
            });
        }
        for (start, end) in joined(&chosen, lines) {
            let room = share.min(self.left());
            if let Some(tokens) = self.tokens(lines, start, end, room) {
                self.add(file, lines, start, end, tokens);
            }
        }
    }

    /// The tokens of lines, if they are no more than that.
    fn tokens(&self, lines: &[&str], start: usize, end: usize, most: usize) -> Option<usize> {
        let text = lines.get(start..end)?.concat();
        if text.len() > most.saturating_mul(TOKEN_BYTES) {
            return None;
        }
        Some((self.count)(&text)).filter(|tokens| *tokens <= most)
    }

    /// As many lines around the first named one of a part as fit.
    fn window(&self, file: &Ranked, lines: &[&str], part: Part, share: usize) -> Option<Part> {
        let inside = |line: &&usize| (part.start + 1..=part.end).contains(line);
        let middle = file.lines.iter().find(inside).map_or(part.start, |line| line - 1);
        let mut around = (part.end - part.start) / 2;
        while around > 0 {
            let start = middle.saturating_sub(around / 2).max(part.start);
            let end = (middle + around).min(part.end);
            if self.tokens(lines, start, end, share).is_some() {
                return Some(Part { start, end, ..part });
            }
            around = around * 2 / 3;
        }
        None
    }

    fn add(&mut self, file: &Ranked, lines: &[&str], start: usize, end: usize, tokens: usize) {
        self.packed.tokens += tokens;
        if file.is_test {
            self.tests = self.tests.saturating_sub(tokens);
        }
        self.packed.excerpts.push(Excerpt {
            path: file.path.clone(),
            text: lines.get(start..end).unwrap_or_default().concat(),
            first_line: start + 1,
            file_lines: lines.len(),
            reason: file.reason.to_owned(),
            is_test: file.is_test,
        });
    }
}

/// Definitions and surroundings of named lines, with their values.
fn telling(file: &Ranked, text: &str, lines: &[&str], words: &HashMap<String, f64>) -> Vec<Part> {
    let all = language(&file.path)
        .map(|language| definitions(text, &language))
        .unwrap_or_default();
    // Classes only as far as no method of theirs takes the lines: they are what stands around.
    let leaves: Vec<&Definition> = all
        .iter()
        .filter(|one| !one.is_class() || is_small(one))
        .collect();
    let mut parts = Vec::new();
    let mut covered = BTreeMap::new();
    for one in &leaves {
        // Nested ones come with what they stand in.
        if leaves
            .iter()
            .any(|outer| outer.start <= one.start && one.end <= outer.end && outer.full_name != one.full_name)
        {
            continue;
        }
        let named = file
            .lines
            .iter()
            .filter(|line| (one.start + 1..=one.end).contains(*line));
        let mut value = 0.0;
        for line in named {
            value += 50.0;
            covered.insert(*line, ());
        }
        value += words.get(&one.name).copied().unwrap_or(0.0) * 8.0;
        value += worth(lines.get(one.start..one.end).unwrap_or_default(), words);
        if value > 0.0 {
            parts.push(Part {
                start: one.start,
                end: one.end,
                value,
            });
        }
    }
    for line in file
        .lines
        .iter()
        .filter(|line| !covered.contains_key(*line) && **line <= lines.len())
    {
        parts.push(Part {
            start: line.saturating_sub(MARGIN + 1),
            end: (line + MARGIN).min(lines.len()),
            value: 40.0,
        });
    }
    if parts.is_empty() {
        parts.push(Part {
            start: 0,
            end: lines.len(),
            value: 0.1,
        });
    }
    parts
}

fn is_small(class: &Definition) -> bool {
    class.end - class.start <= 25
}

/// How telling the words of some lines are, each counted once.
fn worth(lines: &[&str], words: &HashMap<String, f64>) -> f64 {
    let mut seen: BTreeMap<&str, f64> = BTreeMap::new();
    for line in lines {
        for word in line.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
            if let Some(value) = words.get(word) {
                seen.insert(word, *value);
            }
        }
    }
    seen.values().sum()
}

/// The lines that a file begins with before its first definition, if they are few.
fn head(lines: &[&str]) -> usize {
    let is_import = |line: &&str| {
        ["import ", "from ", "use ", "#include ", "package "]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let last = lines
        .iter()
        .take(HEAD_LINES * 2)
        .rposition(is_import)
        .map_or(0, |at| at + 1);
    if last <= HEAD_LINES { last } else { 0 }
}

/// Ranges in order, those that touch or are near joined.
fn joined(parts: &[Part], lines: &[&str]) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = parts
        .iter()
        .map(|part| (part.start, part.end.min(lines.len())))
        .collect();
    ranges.sort_unstable();
    let mut all: Vec<(usize, usize)> = Vec::new();
    for (start, end) in ranges.into_iter().filter(|(start, end)| start < end) {
        match all.last_mut() {
            Some(last) if start <= last.1 + NEAR => last.1 = last.1.max(end),
            _ => all.push((start, end)),
        }
    }
    all
}
