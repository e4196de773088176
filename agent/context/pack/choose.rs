//! Chooses passages for a budget: those with the most to say for their tokens.

use std::collections::HashMap;
use std::ops::Range;

use crate::context::index::TokenCounts;
use crate::context::rank::{Content, Passage, PassageKind, RankedFile};

/// What a signature says, beside its whole passage.
const SIGNATURE: f64 = 0.05;
/// What it is worth that a likely file is shown at all, beside its being changed.
const PRESENCE: f64 = 0.25;
/// A passage of a failing test that is named is read however unlikely it is that it has to be changed.
const NAMED_TEST: f64 = 0.25;
/// Tokens that a body is taken to have beside its own: short ones, of which there are many, would come before all others.
const BODY: f64 = 80.0;
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
#[derive(Debug)]
pub(super) struct ChosenFile<'r> {
    pub(super) file: &'r RankedFile,
    pub(super) content: &'r Content,
    /// How much of each passage.
    pub(super) shown: Vec<Shown>,
    /// The tokens before each segment, and those of all.
    sums: Vec<usize>,
    /// Its frame's tokens.
    frame: usize,
    /// Tokens of the lines that are shown.
    lines: usize,
    /// Tokens of what stands before its parts. A whole file has nothing there.
    marks: usize,
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
        opened: HashMap::new(),
        frames: HashMap::new(),
        shown: 0,
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
    let opened = chooser.opened.into_iter();
    let mut chosen: Vec<(usize, ChosenFile<'r>)> =
        opened.filter(|(_, file)| file.shows_something()).collect();
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
        let values: Vec<f64> = content
            .passages
            .iter()
            .map(|passage| value(file, passage))
            .collect();
        let likeliest = values.iter().copied().fold(0.0, f64::max);
        let mut is_first = true;
        for (place, (passage, value)) in content.passages.iter().zip(&values).enumerate() {
            let whole = content.lines.bytes(passage.start..passage.end);
            let signature = content.lines.bytes(passage.start..passage.body);
            let presence = if is_first && *value >= likeliest {
                is_first = false;
                file.likelihood * PRESENCE
            } else {
                0.0
            };
            let mut push = |shown, value: f64, presence: f64, bytes: usize| {
                let tokens = bytes as f64 / TOKEN_BYTES + MARK;
                items.push(Item {
                    file: rank,
                    passage: place,
                    shown,
                    ratio: presence / tokens + value / (tokens + BODY),
                });
            };
            let has_signature = signature > 0 && signature * 2 < whole;
            if limits.signatures && has_signature {
                push(Shown::Signature, 0.0, value * SIGNATURE + presence, signature);
                push(Shown::Whole, value * (1.0 - SIGNATURE), 0.0, whole - signature);
            } else {
                push(Shown::Whole, *value, presence, whole);
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

struct Chooser<'r, 'c, 'f> {
    files: &'r [RankedFile],
    frame: &'f dyn Frame,
    counts: &'f mut TokenCounts<'c>,
    /// Files that something of was to be shown, by their ranks. It may not have fitted.
    opened: HashMap<usize, ChosenFile<'r>>,
    /// The tokens of files' frames, by the files' ranks.
    frames: HashMap<usize, usize>,
    /// How many files show something.
    shown: usize,
    budget: usize,
    used: usize,
    most_files: usize,
}

impl<'r> Chooser<'r, '_, '_> {
    /// Adds an item if there is room for it.
    fn add(&mut self, item: &Item) -> bool {
        if !self.opened.contains_key(&item.file) {
            match self.open(item.file) {
                Some(file) => self.opened.insert(item.file, file),
                None => return false,
            };
        }
        let left = self.budget - self.used;
        let Some(file) = self.opened.get_mut(&item.file) else {
            return false;
        };
        let is_new = !file.shows_something();
        let Some(before) = file.shown.get(item.passage).copied() else {
            return false;
        };
        if before >= item.shown {
            return true;
        }
        let tokens = if is_new { 0 } else { file.tokens() };
        let (lines, marks) = (file.lines, file.marks);
        let lines_before = file.passage_tokens(item.passage, before);
        file.lines = file.lines - lines_before + file.passage_tokens(item.passage, item.shown);
        let is_hopeless = file.frame + file.lines > tokens + left;
        if !is_hopeless && (!is_new || self.shown < self.most_files) {
            let near = file.joined(item.passage);
            let mut marks_of = |file: &ChosenFile<'_>| -> usize {
                let runs = file.runs_of(near.clone()).into_iter();
                runs.map(|run| self.counts.text(&self.frame.part(run))).sum()
            };
            let marks_before = marks_of(file);
            file.show(item.passage, item.shown);
            file.marks = file.marks - marks_before + marks_of(file);
            if file.tokens() <= tokens + left {
                self.used = self.used + file.tokens() - tokens;
                self.shown += usize::from(is_new);
                return true;
            }
            file.show(item.passage, before);
        }
        (file.lines, file.marks) = (lines, marks);
        false
    }

    /// A file of which nothing is shown yet, if there is room for its frame.
    fn open(&mut self, rank: usize) -> Option<ChosenFile<'r>> {
        let file = self.files.get(rank)?;
        let content = file.content.as_ref()?;
        let counts = &mut *self.counts;
        let frame = self.frames.entry(rank).or_insert_with(|| {
            let [before, behind] = self.frame.file(file, content);
            counts.text(&before) + counts.text(&behind)
        });
        if self.shown >= self.most_files || self.used + *frame > self.budget {
            return None;
        }
        let counted = counts.file(content.hash, &content.text, &content.lines);
        let mut sum = 0;
        let mut sums: Vec<usize> = Vec::with_capacity(counted.len() + 1);
        for tokens in counted {
            sums.push(sum);
            sum += tokens as usize;
        }
        sums.push(sum);
        Some(ChosenFile {
            file,
            content,
            shown: vec![Shown::Not; content.passages.len()],
            sums,
            frame: *frame,
            lines: 0,
            marks: 0,
        })
    }

    /// Shows files as a whole of which most is shown.
    fn complete(&mut self) {
        let mut ranks: Vec<usize> = self.opened.keys().copied().collect();
        ranks.sort_unstable();
        for rank in ranks {
            let file = self.opened.get_mut(&rank);
            let Some(file) = file.filter(|file| file.shows_something() && !file.is_whole()) else {
                continue;
            };
            let (lines, tokens) = (file.before(usize::MAX), file.tokens());
            let all = lines + file.frame;
            let fits = self.used - tokens + all <= self.budget;
            if fits && tokens as f64 >= all as f64 * NEARLY_WHOLE {
                file.shown.fill(Shown::Whole);
                file.lines = lines;
                self.used = self.used - tokens + all;
            }
        }
    }
}

impl ChosenFile<'_> {
    pub(super) fn is_whole(&self) -> bool {
        self.shown.iter().all(|shown| *shown == Shown::Whole)
    }

    fn shows_something(&self) -> bool {
        self.shown.iter().any(|shown| *shown > Shown::Not)
    }

    /// Tokens of what is shown, with its frame.
    pub(super) fn tokens(&self) -> usize {
        let marks = if self.is_whole() { 0 } else { self.marks };
        self.frame + self.lines + marks
    }

    fn show(&mut self, passage: usize, shown: Shown) {
        if let Some(place) = self.shown.get_mut(passage) {
            *place = shown;
        }
    }

    /// The tokens of so much of a passage.
    fn passage_tokens(&self, passage: usize, shown: Shown) -> usize {
        let passage = self.content.passages.get(passage);
        let run = passage.and_then(|passage| shown_lines(passage, shown));
        run.map_or(0, |(first, end)| {
            self.before(end).saturating_sub(self.before(first))
        })
    }

    /// The tokens of the lines before one.
    fn before(&self, line: usize) -> usize {
        let place = self
            .content
            .lines
            .segments()
            .partition_point(|start| *start < line);
        self.sums.get(place).copied().unwrap_or(0)
    }

    /// The passages that one would make a single run with, if it were whole.
    fn joined(&self, passage: usize) -> Range<usize> {
        let shown = |place: usize| self.shown.get(place).copied().unwrap_or(Shown::Not);
        let mut start = passage;
        while start > 0 && shown(start - 1) == Shown::Whole {
            start -= 1;
        }
        let mut end = passage + 1;
        while shown(end) > Shown::Not && (end == passage + 1 || shown(end - 1) == Shown::Whole) {
            end += 1;
        }
        start..end
    }

    /// The lines that are shown, in their order.
    pub(super) fn runs(&self) -> Vec<Run> {
        self.runs_of(0..self.shown.len())
    }

    /// The lines that are shown of some passages.
    fn runs_of(&self, passages: Range<usize>) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let passages = self
            .content
            .passages
            .iter()
            .zip(&self.shown)
            .take(passages.end)
            .skip(passages.start);
        for (passage, shown) in passages {
            let Some(run) = shown_lines(passage, *shown) else {
                continue;
            };
            match runs.last_mut() {
                Some(last) if last.1 == run.0 => last.1 = run.1,
                _ => runs.push(run),
            }
        }
        runs
    }
}

fn shown_lines(passage: &Passage, shown: Shown) -> Option<Run> {
    match shown {
        Shown::Not => None,
        Shown::Signature => Some((passage.start, passage.body)),
        Shown::Whole => Some((passage.start, passage.end)),
    }
}
