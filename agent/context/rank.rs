//! Which files matter: those that are named, what failing tests import, and those that hold the rare words of the issue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::imports::imports;
use super::mentions::{Index, words};
use super::walk::{self, TreeFile};

/// A file that a path names, in the issue and in failures.
const NAMED_IN_ISSUE: f64 = 60.0;
const NAMED_IN_FAILURE: f64 = 45.0;
/// One that a module's name leads to.
const NAMED_AS_MODULE: f64 = 30.0;
/// What a failing test imports, and what that imports.
const IMPORTED: f64 = 25.0;
const IMPORTED_FURTHER: f64 = 8.0;
/// The most that words give.
const WORDS: f64 = 40.0;
/// A definition of a word counts as so many uses of it.
const DEFINITION: f64 = 6.0;
/// How soon more uses of a word count for less.
const SATURATION: f64 = 1.5;
/// Tests count for less than what they test, and files that are no code for less still.
const TEST_SHARE: f64 = 0.3;
const OTHER_SHARE: f64 = 0.25;
/// Files that are ranked at most.
const MOST_RANKED: usize = 60;
/// Files of which imports are followed.
const MOST_FOLLOWED: usize = 12;

/// A file with its rank's reasons.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ranked {
    pub(super) path: String,
    pub(super) score: f64,
    pub(super) is_test: bool,
    /// Lines that were named, from 1.
    pub(super) lines: BTreeSet<usize>,
    pub(super) reason: &'static str,
}

/// The files in order of how much they matter, with the words looked for and how telling each is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Order {
    pub(super) files: Vec<Ranked>,
    pub(super) words: HashMap<String, f64>,
    /// Words of the issue's first line, which says what it is about.
    pub(super) title: BTreeSet<String>,
}

struct Scores<'a> {
    files: &'a [TreeFile],
    scores: Vec<f64>,
    reasons: BTreeMap<usize, (f64, &'static str)>,
    lines: BTreeMap<usize, BTreeSet<usize>>,
}

/// Ranks the files of a tree.
pub(super) fn rank(tree: &Path, root: &str, issue: &str, failures: &[String]) -> std::io::Result<Order> {
    let files = walk::walk(tree)?;
    let index = Index::new(&files, root);
    let mut scores = Scores {
        files: &files,
        scores: vec![0.0; files.len()],
        reasons: BTreeMap::new(),
        lines: BTreeMap::new(),
    };
    let mut roots = Vec::new();
    let texts = failures
        .iter()
        .map(|text| (text.as_str(), NAMED_IN_FAILURE, "named by failing tests"));
    for (text, value, reason) in std::iter::once((issue, NAMED_IN_ISSUE, "named in the issue")).chain(texts) {
        for mention in index.mentions(text) {
            let value = if mention.by_path {
                value
            } else {
                value.min(NAMED_AS_MODULE)
            };
            scores.raise(mention.file, value, reason);
            if let Some(line) = mention.line {
                scores.lines.entry(mention.file).or_default().insert(line);
            }
            if !roots.contains(&mention.file) {
                roots.push(mention.file);
            }
        }
    }
    follow(tree, &index, &mut scores, &roots);
    let mut texts: Vec<&str> = vec![issue];
    texts.extend(failures.iter().map(String::as_str));
    let looked_for = words(&texts);
    let words = scores.add_words(tree, &looked_for);
    Ok(Order {
        files: scores.ordered(),
        words,
        title: title(issue),
    })
}

/// The words of a text's first line that is not empty.
fn title(issue: &str) -> BTreeSet<String> {
    let line = issue.lines().find(|line| !line.trim().is_empty());
    let found = words(&[line.unwrap_or_default()]);
    found.into_iter().map(|(word, _)| word).collect()
}

/// Raises what the named files import, tests first.
fn follow(tree: &Path, index: &Index<'_>, scores: &mut Scores<'_>, roots: &[usize]) {
    let mut roots = roots.to_vec();
    roots.sort_by_key(|file| !scores.files.get(*file).is_some_and(|file| file.is_test));
    roots.truncate(MOST_FOLLOWED);
    let mut next = Vec::new();
    for (value, reason) in [
        (IMPORTED, "imported by a file that is named"),
        (IMPORTED_FURTHER, "imported by what a named file imports"),
    ] {
        for file in &roots {
            let path = index.path(*file);
            let Some(text) = walk::read(tree, path) else {
                continue;
            };
            let is_test = scores.files.get(*file).is_some_and(|file| file.is_test);
            for imported in imports(index, path, &text) {
                // What a test imports is what it tests; what code imports is but near it.
                let value = if is_test {
                    value
                } else {
                    value.min(IMPORTED_FURTHER)
                };
                scores.raise(imported, value, reason);
                next.push(imported);
            }
        }
        roots = std::mem::take(&mut next);
        roots.truncate(MOST_FOLLOWED);
    }
}

impl Scores<'_> {
    /// Gives a file at least so much for being named or imported; what it has already for another reason counts a little too.
    fn raise(&mut self, file: usize, value: f64, reason: &'static str) {
        let best = self.reasons.entry(file).or_insert((0.0, reason));
        let gain = if value > best.0 {
            value - best.0
        } else {
            value * 0.05
        };
        if value > best.0 {
            *best = (value, reason);
        }
        if let Some(score) = self.scores.get_mut(file) {
            *score += gain;
        }
    }

    /// Adds what the words give, and tells how telling each is in this tree.
    fn add_words(&mut self, tree: &Path, looked_for: &[(String, f64)]) -> HashMap<String, f64> {
        let numbers: HashMap<&str, usize> = looked_for
            .iter()
            .enumerate()
            .map(|(number, (word, _))| (word.as_str(), number))
            .collect();
        let uses = count_words(tree, self.files, &numbers);
        let mut holders = vec![0_usize; looked_for.len()];
        for (number, _) in uses.iter().flatten() {
            if let Some(holders) = holders.get_mut(*number) {
                *holders += 1;
            }
        }
        let total = self.files.iter().filter(|file| file.is_source).count() as f64;
        let telling = |number: usize| {
            let weight = looked_for.get(number).map_or(0.0, |(_, weight)| *weight);
            let holders = holders.get(number).copied().unwrap_or(0) as f64;
            weight * (1.0 + (total - holders + 0.5).max(0.0) / (holders + 0.5)).ln()
        };
        let each: Vec<f64> = uses
            .iter()
            .map(|uses| {
                let value = |(number, count): &(usize, f64)| telling(*number) * count / (count + SATURATION);
                uses.iter().map(value).sum()
            })
            .collect();
        let most = each.iter().copied().fold(0.0, f64::max);
        for (file, value) in each.iter().enumerate().filter(|(_, value)| **value > 0.0) {
            let share = value / most;
            self.reasons
                .entry(file)
                .or_insert((0.0, "holds words of the issue"));
            if let Some(score) = self.scores.get_mut(file) {
                *score += WORDS * share;
            }
        }
        let words = looked_for
            .iter()
            .enumerate()
            .map(|(number, (word, _))| (word.clone(), telling(number)));
        words.filter(|(_, value)| *value > 0.0).collect()
    }

    fn ordered(&self) -> Vec<Ranked> {
        let mut ranked: Vec<Ranked> = Vec::new();
        // No test comes before the likeliest of what is tested.
        let code = self
            .files
            .iter()
            .zip(&self.scores)
            .filter(|(file, _)| file.is_source && !file.is_test);
        let likeliest = code.map(|(_, score)| *score).fold(0.0, f64::max);
        let tested = if likeliest >= IMPORTED_FURTHER {
            likeliest * 0.9
        } else {
            f64::MAX
        };
        for (index, (file, score)) in self.files.iter().zip(&self.scores).enumerate() {
            let named = self
                .reasons
                .get(&index)
                .is_some_and(|(value, _)| *value >= NAMED_IN_FAILURE);
            if !file.is_source && !named {
                continue;
            }
            let mut score = score + 0.01;
            if file.is_test {
                score = (score * TEST_SHARE).min(tested);
            } else if !file.is_source {
                score *= OTHER_SHARE;
            }
            ranked.push(Ranked {
                path: file.path.clone(),
                score,
                is_test: file.is_test,
                lines: self.lines.get(&index).cloned().unwrap_or_default(),
                reason: self
                    .reasons
                    .get(&index)
                    .map_or("one of few files", |(_, reason)| reason),
            });
        }
        ranked.sort_by(|one, other| {
            other
                .score
                .total_cmp(&one.score)
                .then_with(|| one.path.cmp(&other.path))
        });
        ranked.truncate(MOST_RANKED);
        ranked
    }
}

/// For each file, the words that it holds and how often.
fn count_words(tree: &Path, files: &[TreeFile], numbers: &HashMap<&str, usize>) -> Vec<Vec<(usize, f64)>> {
    let mut counted: Vec<Vec<(usize, f64)>> = vec![Vec::new(); files.len()];
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(8));
    let share = files.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        for (files, counted) in files.chunks(share).zip(counted.chunks_mut(share)) {
            scope.spawn(move || {
                for (file, counted) in files.iter().zip(counted) {
                    if file.is_source
                        && let Some(text) = walk::read(tree, &file.path)
                    {
                        *counted = count(&text, numbers);
                    }
                }
            });
        }
    });
    counted
}

fn count(text: &str, numbers: &HashMap<&str, usize>) -> Vec<(usize, f64)> {
    const DEFINING: &[&str] = &[
        "def",
        "class",
        "fn",
        "func",
        "function",
        "struct",
        "enum",
        "trait",
        "type",
        "interface",
        "const",
        "mod",
    ];
    // Most words are told from those looked for by their first letter and their length.
    let mut likely = [[false; 128]; 256];
    for word in numbers.keys() {
        if let Some(lengths) = word
            .bytes()
            .next()
            .and_then(|first| likely.get_mut(usize::from(first)))
            && let Some(length) = lengths.get_mut(word.len().min(127))
        {
            *length = true;
        }
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let mut counts: BTreeMap<usize, f64> = BTreeMap::new();
    let (mut start, mut before) = (0, 0..0);
    let bytes = text.as_bytes();
    for end in 0..=bytes.len() {
        if bytes.get(end).is_some_and(|byte| is_part(*byte)) {
            continue;
        }
        if let Some(first) = bytes.get(start).filter(|_| start < end) {
            let is_likely = likely
                .get(usize::from(*first))
                .and_then(|lengths| lengths.get((end - start).min(127)));
            if is_likely == Some(&true)
                && let Some(number) = text.get(start..end).and_then(|word| numbers.get(word))
            {
                let defines = text
                    .get(before.clone())
                    .is_some_and(|word| DEFINING.contains(&word));
                *counts.entry(*number).or_default() += if defines { DEFINITION } else { 1.0 };
            }
            before = start..end;
        }
        start = end + 1;
    }
    counts.into_iter().collect()
}
