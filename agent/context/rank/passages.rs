//! The parts that a file is shown by: each function, what stands around them in a class, and the rest; with what speaks for each.

use std::collections::BTreeSet;

use super::Content;
use super::signals::TELLING;
use super::uses::{KnownWords, Matcher, Telling, Uses, in_text};
use crate::context::definitions::Kind;
use crate::context::index::{IndexedFile, Strings};
use crate::context::lines::Lines;
use crate::context::query::Query;

/// One number for each of what may speak for a passage.
pub(super) type PassageSignals = [f64; PASSAGE_SIGNALS.len()];

/// What may speak for a passage, by the words in which people are told of it.
pub(super) const PASSAGE_SIGNALS: [&str; 22] = [
    "uses words of the issue",
    "uses names of the issue",
    "is named",
    "has words of the issue in its name",
    "its class is named",
    "a line of it is named",
    "is used by likely passages",
    "is its file's likeliest",
    "is in a likely file",
    "is a function",
    "is not in a function or a class",
    "is long",
    "is short",
    "is a test",
    "uses likely passages",
    "has a likely passage's name",
    "is in a class with a likely passage",
    "is in a long file",
    "is in a file behind many",
    "uses words of the issue's title",
    "has words of the title in its name",
    "its class has words of the title in its name",
];

pub(super) mod at {
    pub(crate) const WORDS: usize = 0;
    pub(crate) const NAMES: usize = 1;
    pub(crate) const NAMED: usize = 2;
    pub(crate) const NAME_WORDS: usize = 3;
    pub(crate) const CLASS: usize = 4;
    pub(crate) const LINE: usize = 5;
    pub(crate) const USED: usize = 6;
    pub(crate) const BEST: usize = 7;
    pub(crate) const FILE: usize = 8;
    pub(crate) const FUNCTION: usize = 9;
    pub(crate) const OUTSIDE: usize = 10;
    pub(crate) const LONG: usize = 11;
    pub(crate) const SHORT: usize = 12;
    pub(crate) const TEST: usize = 13;
    pub(crate) const USES: usize = 14;
    pub(crate) const SAME_NAME: usize = 15;
    pub(crate) const SAME_CLASS: usize = 16;
    pub(crate) const LONG_FILE: usize = 17;
    pub(crate) const BEHIND: usize = 18;
    pub(crate) const TITLE: usize = 19;
    pub(crate) const TITLE_NAME: usize = 20;
    pub(crate) const TITLE_CLASS: usize = 21;
}

/// A class of no more lines is one passage.
const SMALL_CLASS: usize = 24;
/// What stands outside of functions is cut into pieces of about so many lines.
const PIECE: usize = 48;
/// Passages are compared with texts of so many words.
const USUAL_LENGTH: f64 = 90.0;
/// What the title's words in a name are worth together that tell it from others: no more than one or two of them are in any.
const NAME_TELLING: f64 = 6.0;
/// Functions of fewer lines than the one are short, of more than the other long.
const SHORT: f64 = 4.0;
const LONG: f64 = 40.0;

/// What a passage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::context) enum PassageKind {
    Function,
    /// A small class as a whole, or what of a class is in no function.
    Class,
    Outside,
}

/// Lines of a file, from the first one up to before another, from 0. Passages make up their file.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::context) struct Passage {
    pub(in crate::context) start: usize,
    pub(in crate::context) end: usize,
    /// Where the body begins; lines from `start` to here are the signature. `start` for what has none.
    pub(in crate::context) body: usize,
    pub(in crate::context) kind: PassageKind,
    /// Its own name, and those that it stands in; empty for what has none.
    pub(in crate::context) name: String,
    pub(in crate::context) container: String,
    pub(super) signals: PassageSignals,
    /// The identifiers in it by their hashes, once each, in order of these.
    pub(super) identifiers: Vec<u64>,
    /// How likely the fault is here.
    pub(in crate::context) likelihood: f64,
}

/// Cuts a file into passages.
pub(super) fn passages(file: &IndexedFile, lines: &Lines, names: &Strings) -> Vec<Passage> {
    let starts = lines.segments();
    let lines = lines.count();
    // Where a line's segment, or the next one, begins: no passage begins with blank lines.
    let begin = |line: usize| match starts.binary_search(&line) {
        Ok(_) => line,
        Err(place) => starts.get(place).copied().unwrap_or(lines),
    };
    let mut cutter = Cutter {
        starts,
        passages: Vec::new(),
        at: 0,
        open: Vec::new(),
    };
    for one in file.record.definitions() {
        let (start, end) = (begin(one.start as usize), begin(one.end as usize).min(lines));
        let is_small = one.kind == Kind::Class && end.saturating_sub(start) <= SMALL_CLASS;
        let is_class = one.kind == Kind::Class && !is_small;
        if start < cutter.at || end <= start || !(is_small || is_class || one.kind == Kind::Function) {
            continue;
        }
        cutter.close(start);
        cutter.rest(start);
        let name = names.get(one.name).to_owned();
        let container = names.get(one.container).to_owned();
        let body = begin(one.body as usize).clamp(start, end);
        if is_class {
            cutter.open.push((end, name, container, body));
            continue;
        }
        let kind = if is_small {
            PassageKind::Class
        } else {
            PassageKind::Function
        };
        cutter.passages.push(Passage {
            start,
            end,
            body,
            kind,
            name,
            container,
            signals: [0.0; PASSAGE_SIGNALS.len()],
            identifiers: Vec::new(),
            likelihood: 0.0,
        });
        cutter.at = end;
    }
    cutter.close(lines);
    cutter.rest(lines);
    cutter.passages
}

struct Cutter<'a> {
    /// Lines that passages may begin with.
    starts: &'a [usize],
    passages: Vec<Passage>,
    /// The line up to which the file is cut.
    at: usize,
    /// Classes that are open: their ends, names, containers and where their bodies begin.
    open: Vec<(usize, String, String, usize)>,
}

impl Cutter<'_> {
    /// Ends the classes that end before a line.
    fn close(&mut self, line: usize) {
        while let Some((end, ..)) = self.open.last().filter(|(end, ..)| *end <= line) {
            let end = *end;
            // What stands behind a class's last function is still the class's.
            self.rest(end);
            self.open.pop();
        }
    }

    /// Makes passages of what stands before a line and is in no function.
    fn rest(&mut self, line: usize) {
        while self.at < line {
            let mut end = line;
            if line - self.at > PIECE * 3 / 2 {
                // A piece ends before a line that is not blank.
                let near = self.at + PIECE;
                let place = self.starts.partition_point(|start| *start < near);
                let start = self.starts.get(place).copied();
                end = start.filter(|start| *start < line).unwrap_or(line);
            }
            let class = self.open.last();
            let (name, container, body) = class.map_or((String::new(), String::new(), self.at), |one| {
                (one.1.clone(), one.2.clone(), one.3.clamp(self.at, end))
            });
            self.passages.push(Passage {
                start: self.at,
                end,
                body,
                kind: if class.is_some() {
                    PassageKind::Class
                } else {
                    PassageKind::Outside
                },
                name,
                container,
                signals: [0.0; PASSAGE_SIGNALS.len()],
                identifiers: Vec::new(),
                likelihood: 0.0,
            });
            self.at = end;
        }
    }
}

/// A file whose passages are to be judged.
pub(super) struct Judged {
    pub(super) content: Content,
    pub(super) is_test: bool,
    /// Lines that are named, from 1.
    pub(super) lines: BTreeSet<usize>,
    /// The uses in each passage.
    uses: Vec<Uses>,
}

impl Judged {
    /// Looks at the words of each passage.
    pub(super) fn new(
        mut content: Content,
        is_test: bool,
        lines: BTreeSet<usize>,
        known: &mut KnownWords<'_>,
    ) -> Judged {
        let mut passages = std::mem::take(&mut content.passages);
        let uses = passages
            .iter_mut()
            .map(|passage| {
                let text = content.part(passage.start..passage.end);
                let (uses, identifiers) = in_text(text, known);
                passage.identifiers = identifiers;
                uses
            })
            .collect();
        content.passages = passages;
        Judged {
            content,
            is_test,
            lines,
            uses,
        }
    }
}

/// Gathers what speaks for each passage; of its file only what the others say.
pub(super) fn judge(files: &mut [(usize, Judged)], query: &Query, matcher: &Matcher<'_>, telling: &Telling) {
    let most_telling = telling.names.iter().copied().fold(1e-9, f64::max);
    // A word that is in most files may be in few of their passages.
    let all: Vec<&Uses> = files.iter().flat_map(|(_, file)| &file.uses).collect();
    let among_passages = Telling::new(query, all);
    for (_, file) in files.iter_mut() {
        for (passage, uses) in file.content.passages.iter_mut().zip(&file.uses) {
            let signals = &mut passage.signals;
            (signals[at::WORDS], signals[at::NAMES]) = among_passages.score(uses, Some(USUAL_LENGTH));
            let found = matcher.of(&passage.name).unwrap_or_default();
            let worth = found.name.and_then(|name| telling.names.get(usize::from(name)));
            let worth = worth.copied().unwrap_or(0.0) / most_telling;
            let class = passage.container.rsplit('.').next().unwrap_or_default();
            let class = matcher.of(class).unwrap_or_default();
            let class_worth = class.name.and_then(|name| telling.names.get(usize::from(name)));
            if passage.kind == PassageKind::Class {
                signals[at::CLASS] = worth;
            } else {
                signals[at::NAMED] = worth;
                signals[at::CLASS] = class_worth.copied().unwrap_or(0.0) / most_telling;
            }
            signals[at::NAME_WORDS] = telling.worth(&found.words);
            signals[at::TITLE] = among_passages.title_score(uses);
            signals[at::TITLE_NAME] = among_passages.title_worth(&found.words);
            signals[at::TITLE_CLASS] = among_passages.title_worth(&class.words);
            let named = file.lines.range(passage.start + 1..=passage.end).count();
            signals[at::LINE] = f64::from(u8::from(named > 0));
            let lines = (passage.end - passage.start) as f64;
            signals[at::FUNCTION] = f64::from(u8::from(passage.kind == PassageKind::Function));
            signals[at::OUTSIDE] = f64::from(u8::from(passage.kind == PassageKind::Outside));
            signals[at::LONG] = (lines / LONG).ln().clamp(0.0, 2.0) / 2.0;
            signals[at::SHORT] = f64::from(u8::from(lines <= SHORT));
            signals[at::TEST] = f64::from(u8::from(file.is_test));
        }
    }
    for signal in [at::WORDS, at::NAMES, at::NAME_WORDS, at::TITLE] {
        normalise(files, signal, TELLING);
    }
    for signal in [at::TITLE_NAME, at::TITLE_CLASS] {
        normalise(files, signal, NAME_TELLING);
    }
    for (_, file) in files.iter_mut() {
        let best = best(&file.content.passages).max(1e-9);
        for passage in &mut file.content.passages {
            passage.signals[at::BEST] = plain(&passage.signals) / best;
        }
    }
}

fn normalise(files: &mut [(usize, Judged)], signal: usize, least: f64) {
    let all = |files: &[(usize, Judged)]| -> f64 {
        let each = files.iter().flat_map(|(_, file)| &file.content.passages);
        each.filter_map(|passage| passage.signals.get(signal))
            .copied()
            .fold(0.0, f64::max)
    };
    let most = all(files).max(least);
    for passage in files.iter_mut().flat_map(|(_, file)| &mut file.content.passages) {
        if let Some(place) = passage.signals.get_mut(signal) {
            *place /= most;
        }
    }
}

/// What the words alone say of a passage.
fn plain(signals: &PassageSignals) -> f64 {
    signals[at::WORDS] + signals[at::NAMES] + signals[at::NAMED] + signals[at::LINE]
}

/// What of a file is the likeliest by its words alone.
pub(super) fn best(passages: &[Passage]) -> f64 {
    let each = passages.iter().map(|passage| plain(&passage.signals));
    each.fold(0.0, f64::max)
}
