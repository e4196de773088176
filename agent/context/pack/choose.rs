//! Chooses passages for a budget: those with the most to say for their tokens.

use std::collections::HashMap;
use std::rc::Rc;

use crate::context::index::{TokenCounts, segments};
use crate::context::rank::{Content, Passage, PassageKind, RankedFile};

/// What a signature says, beside its whole passage.
const SIGNATURE: f64 = 0.15;
/// What it is worth that a likely file is shown at all, beside its being changed.
const PRESENCE: f64 = 0.25;
/// A passage of a failing test that is named is read however unlikely it is that it has to be changed.
const NAMED_TEST: f64 = 0.25;
/// Bytes of a token, before it is counted.
const TOKEN_BYTES: f64 = 3.4;
/// What begins a part of a file, in tokens, before it is counted.
const MARK: f64 = 6.0;
/// A file of which so much is chosen is shown as a whole, if there is room.
const NEARLY_WHOLE: f64 = 0.7;
/// Times that what is left of the budget is tried on what was left out.
const PASSES: usize = 6;
/// When less than this share of the budget is left, it is used.
const SPENT: f64 = 0.004;

/// How much of a passage is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shown {
    Not,
    Signature,
    Whole,
}

/// What may be chosen from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) budget: usize,
    /// Whether signatures may stand for passages.
    pub(super) signatures: bool,
    /// Files of a lower likelihood than this part of the best one's are left out.
    pub(super) least: f64,
    pub(super) most_files: usize,
}

/// A file of which something is shown.
#[derive(Debug, Clone)]
pub(super) struct ChosenFile<'r> {
    pub(super) file: &'r RankedFile,
    pub(super) content: &'r Content,
    /// How much of each passage.
    pub(super) shown: Vec<Shown>,
    /// For each line that a segment begins with, the tokens before it; and those of all.
    sums: Rc<[(usize, usize)]>,
    /// Its frame's tokens.
    frame: usize,
    /// Tokens of what is shown, with its frame.
    pub(super) tokens: usize,
}

/// Lines that are shown together, from the first up to before the last, from 0.
pub(super) type Run = (usize, usize);

/// What is added at a time.
struct Item {
    /// The file, by its rank.
    file: usize,
    passage: usize,
    shown: Shown,
    /// Its value for its tokens.
    ratio: f64,
}

/// How what is chosen will be written, as far as it costs tokens.
pub(super) trait Frame {
    /// What stands before and behind a file's parts.
    fn file(&self, file: &RankedFile, content: &Content) -> [String; 2];
    /// What stands before a part, unless the file is whole.
    fn part(&self, run: Run) -> String;
}

/// Chooses, and tells the tokens of all that was chosen.
pub(super) fn choose<'r>(
    files: &'r [RankedFile],
    limits: Limits,
    frame: &dyn Frame,
    counts: &mut TokenCounts<'_>,
) -> (Vec<ChosenFile<'r>>, usize) {
    let mut chooser = Chooser {
        files,
        frame,
        counts,
        chosen: HashMap::new(),
        budget: limits.budget,
        used: 0,
        most_files: limits.most_files,
    };
    let mut items = items(files, limits);
    for pass in 0..PASSES {
        let before = chooser.used;
        items.retain(|item| !chooser.add(item));
        if pass == 0 {
            chooser.complete();
        }
        let left = chooser.budget - chooser.used;
        if chooser.used == before || (left as f64) < chooser.budget as f64 * SPENT {
            break;
        }
    }
    let used = chooser.used;
    let mut chosen: Vec<(usize, ChosenFile<'r>)> = chooser.chosen.into_iter().collect();
    chosen.sort_by_key(|(rank, _)| *rank);
    (chosen.into_iter().map(|(_, file)| file).collect(), used)
}

/// Everything that may be chosen, the most worth its tokens first.
fn items(files: &[RankedFile], limits: Limits) -> Vec<Item> {
    let best = files
        .iter()
        .find(|file| !file.is_test)
        .map_or(0.0, |file| file.likelihood);
    let mut items = Vec::new();
    for (rank, file) in files.iter().enumerate() {
        let Some(content) = &file.content else {
            continue;
        };
        let is_named = file.is_test && !file.lines.is_empty();
        if file.likelihood < best * limits.least && !is_named && rank > 0 {
            continue;
        }
        let bytes = passage_bytes(content);
        let values: Vec<f64> = content
            .passages
            .iter()
            .map(|passage| value(file, passage))
            .collect();
        let likeliest = values.iter().copied().fold(0.0, f64::max);
        let mut is_first = true;
        for (place, value) in values.iter().enumerate() {
            let (whole, signature) = bytes.get(place).copied().unwrap_or_default();
            let presence = if is_first && *value >= likeliest {
                is_first = false;
                file.likelihood * PRESENCE
            } else {
                0.0
            };
            let mut push = |shown, value: f64, bytes: usize| {
                let tokens = bytes as f64 / TOKEN_BYTES + MARK;
                items.push(Item {
                    file: rank,
                    passage: place,
                    shown,
                    ratio: value / tokens,
                });
            };
            let has_signature = signature > 0 && signature * 2 < whole;
            if limits.signatures && has_signature {
                push(Shown::Signature, value * SIGNATURE + presence, signature);
                push(Shown::Whole, value * (1.0 - SIGNATURE), whole - signature);
            } else {
                push(Shown::Whole, value + presence, whole);
            }
        }
    }
    items.sort_by(|one, other| {
        other
            .ratio
            .total_cmp(&one.ratio)
            .then((one.file, one.passage, one.shown).cmp(&(other.file, other.passage, other.shown)))
    });
    items
}

fn value(file: &RankedFile, passage: &Passage) -> f64 {
    let named = file.lines.range(passage.start + 1..=passage.end).next().is_some();
    if file.is_test && named && passage.kind == PassageKind::Function {
        passage.likelihood.max(NAMED_TEST)
    } else {
        passage.likelihood
    }
}

/// The bytes of each passage, and of its signature.
fn passage_bytes(content: &Content) -> Vec<(usize, usize)> {
    let mut lines = content.text.split_inclusive('\n');
    let mut take = |count: usize| lines.by_ref().take(count).map(str::len).sum::<usize>();
    content
        .passages
        .iter()
        .map(|passage| {
            let signature = take(passage.body - passage.start);
            (signature + take(passage.end - passage.body), signature)
        })
        .collect()
}

struct Chooser<'r, 'c, 'f> {
    files: &'r [RankedFile],
    frame: &'f dyn Frame,
    counts: &'f mut TokenCounts<'c>,
    chosen: HashMap<usize, ChosenFile<'r>>,
    budget: usize,
    used: usize,
    most_files: usize,
}

impl<'r> Chooser<'r, '_, '_> {
    /// Adds an item if there is room for it.
    fn add(&mut self, item: &Item) -> bool {
        let mut file = match self.chosen.get(&item.file) {
            Some(file) => file.clone(),
            None if self.chosen.len() >= self.most_files => return false,
            None => match self.open(item.file) {
                Some(file) => file,
                None => return false,
            },
        };
        let Some(place) = file.shown.get_mut(item.passage) else {
            return false;
        };
        if *place >= item.shown {
            return true;
        }
        *place = item.shown;
        self.put(item.file, file)
    }

    /// Takes a file as it is now, if there is room for it.
    fn put(&mut self, rank: usize, mut file: ChosenFile<'r>) -> bool {
        let before = self.chosen.get(&rank).map_or(0, |file| file.tokens);
        file.tokens = self.tokens(&file);
        let used = self.used - before + file.tokens;
        if used > self.budget {
            return false;
        }
        self.used = used;
        self.chosen.insert(rank, file);
        true
    }

    /// A file of which nothing is shown yet.
    fn open(&mut self, rank: usize) -> Option<ChosenFile<'r>> {
        let file = self.files.get(rank)?;
        let content = file.content.as_ref()?;
        let [before, behind] = self.frame.file(file, content);
        let frame = self.counts.text(&before) + self.counts.text(&behind);
        if self.used + frame > self.budget {
            return None;
        }
        let counted = self.counts.file(content.hash, &content.text);
        let mut sum = 0;
        let mut sums: Vec<(usize, usize)> = segments(&content.text)
            .into_iter()
            .zip(counted)
            .map(|((line, _), tokens)| {
                let before = sum;
                sum += tokens as usize;
                (line, before)
            })
            .collect();
        sums.push((usize::MAX, sum));
        Some(ChosenFile {
            file,
            content,
            shown: vec![Shown::Not; content.passages.len()],
            sums: sums.into(),
            frame,
            tokens: 0,
        })
    }

    fn tokens(&mut self, file: &ChosenFile<'_>) -> usize {
        let mut tokens = file.frame;
        for run in file.runs() {
            if !file.is_whole() {
                tokens += self.counts.text(&self.frame.part(run));
            }
            tokens += file.before(run.1).saturating_sub(file.before(run.0));
        }
        tokens
    }

    /// Shows files as a whole of which most is shown.
    fn complete(&mut self) {
        let mut ranks: Vec<usize> = self.chosen.keys().copied().collect();
        ranks.sort_unstable();
        for rank in ranks {
            let Some(file) = self.chosen.get(&rank).filter(|file| !file.is_whole()) else {
                continue;
            };
            let all = file.before(usize::MAX) + file.frame;
            if file.tokens as f64 >= all as f64 * NEARLY_WHOLE {
                let mut file = file.clone();
                file.shown.fill(Shown::Whole);
                self.put(rank, file);
            }
        }
    }
}

impl ChosenFile<'_> {
    pub(super) fn is_whole(&self) -> bool {
        self.shown.iter().all(|shown| *shown == Shown::Whole)
    }

    /// The tokens of the lines before one.
    fn before(&self, line: usize) -> usize {
        let place = self.sums.partition_point(|(start, _)| *start < line);
        self.sums.get(place).map_or(0, |(_, tokens)| *tokens)
    }

    /// The lines that are shown, in their order.
    pub(super) fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (passage, shown) in self.content.passages.iter().zip(&self.shown) {
            let end = match shown {
                Shown::Not => continue,
                Shown::Signature => passage.body,
                Shown::Whole => passage.end,
            };
            match runs.last_mut() {
                Some(last) if last.1 == passage.start => last.1 = end,
                _ => runs.push((passage.start, end)),
            }
        }
        runs
    }
}
