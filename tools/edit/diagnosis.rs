//! What helps a model whose search text was not found: the place that it meant, seen by what differs there.
//! Each answer takes one pass over the file.

use super::apply::show;
use super::lines::{self, Found, Same};
use super::{Difference, Indent, Likeness, NearLine, NearMiss, NoMatch, PartialMatch, Split};

/// Nearest lines that are reported.
const MAX_NEAREST: usize = 3;

/// Lines less alike than this do not help.
const MIN_PERCENT: u8 = 50;

/// Line pairs whose lengths differ by more than this factor are not compared.
const MAX_LENGTH_RATIO: usize = 3;

pub(super) fn of(body: &[u8], split: Split<'_>, found: &Found) -> NoMatch {
    let search = lines::texts(split.search);
    let partial = (found.longest > 0).then(|| partial(body, &search, found));
    // The first line that was not found, or the first with text from there on.
    let missing = search
        .iter()
        .skip(found.longest)
        .find(|line| !line.trim_ascii().is_empty());
    NoMatch {
        near_miss: near_miss(body, &search),
        partial,
        replacement_at: replacement_at(body, split.replace),
        nearest: missing.map(|line| nearest(body, line)).unwrap_or_default(),
    }
}

fn partial(body: &[u8], search: &[&[u8]], found: &Found) -> PartialMatch {
    let differs_at = found.longest_at + found.longest;
    PartialMatch {
        first_line: found.longest_at + 1,
        matched_lines: found.longest,
        expected: search
            .get(found.longest)
            .map(|line| show(line))
            .unwrap_or_default(),
        found: lines::lines(body).nth(differs_at).map(|line| show(line.text)),
    }
}

fn replacement_at(body: &[u8], replace: &str) -> Option<usize> {
    if replace.trim().is_empty() {
        return None;
    }
    lines::find(body, &lines::texts(replace), |a, b| a == b)
        .first
        .first()
        .map(|line| line + 1)
}

/// The kinds of difference, narrowest first, each with what it makes the same.
const LOOSENED: [(Difference, Same); 4] = [
    (Difference::TrailingWhitespace, |a, b| {
        a.trim_ascii_end() == b.trim_ascii_end()
    }),
    (
        Difference::Indentation {
            line: 0,
            file: NO_INDENT,
            search: NO_INDENT,
        },
        |a, b| a.trim_ascii_start() == b.trim_ascii_start(),
    ),
    (Difference::LetterCase, <[u8]>::eq_ignore_ascii_case),
    (Difference::Whitespace, |a, b| inked(a).eq(inked(b))),
];

const NO_INDENT: Indent = Indent { tabs: 0, spaces: 0 };

fn inked(line: &[u8]) -> impl Iterator<Item = &u8> {
    line.iter().filter(|byte| !byte.is_ascii_whitespace())
}

fn near_miss(body: &[u8], search: &[&[u8]]) -> Option<NearMiss> {
    LOOSENED.iter().find_map(|(difference, same)| {
        let found = lines::find(body, search, *same);
        let at = *found.first.first()?;
        let difference = match difference {
            Difference::Indentation { .. } => indentation(body, search, at),
            other => other.clone(),
        };
        Some(NearMiss {
            line: at + 1,
            count: found.count,
            difference,
        })
    })
}

/// The first line with text whose indentation differs, where the search text stands at line `at` but for that.
fn indentation(body: &[u8], search: &[&[u8]], at: usize) -> Difference {
    let pairs = lines::lines(body).enumerate().skip(at).zip(search);
    let mut differing = pairs.filter(|((_, line), wanted)| line.text != **wanted);
    let first = differing.next();
    let with_text = first
        .into_iter()
        .chain(differing)
        .find(|((_, line), _)| !line.text.trim_ascii().is_empty());
    match with_text.or(first) {
        Some(((index, line), wanted)) => Difference::Indentation {
            line: index + 1,
            file: indent(line.text),
            search: indent(wanted),
        },
        None => Difference::Indentation {
            line: at + 1,
            file: NO_INDENT,
            search: NO_INDENT,
        },
    }
}

fn indent(line: &[u8]) -> Indent {
    let mut indent = Indent::default();
    for byte in line {
        match byte {
            b'\t' => indent.tabs += 1,
            b' ' => indent.spaces += 1,
            _ => break,
        }
    }
    indent
}

/// The lines of the file most like `wanted`, best first.
fn nearest(body: &[u8], wanted: &[u8]) -> Vec<NearLine> {
    let mut pairs = PairCounter::new(wanted.trim_ascii());
    let mut best: Vec<(u8, usize, &[u8])> = Vec::with_capacity(MAX_NEAREST + 1);
    for (index, line) in lines::lines(body).enumerate() {
        let percent = pairs.likeness(line.text.trim_ascii());
        let worst = best.last().map_or(0, |entry| entry.0);
        if percent < MIN_PERCENT || best.len() == MAX_NEAREST && percent <= worst {
            continue;
        }
        let place = best
            .iter()
            .position(|entry| entry.0 < percent)
            .unwrap_or(best.len());
        best.insert(place, (percent, index, line.text));
        best.truncate(MAX_NEAREST);
    }
    best.into_iter()
        .map(|(percent, index, text)| NearLine {
            line: index + 1,
            text: show(text),
            likeness: likeness(text, wanted, index + 1, percent),
        })
        .collect()
}

fn likeness(text: &[u8], wanted: &[u8], line: usize, percent: u8) -> Likeness {
    if text == wanted {
        return Likeness::Same;
    }
    match LOOSENED.iter().find(|(_, same)| same(text, wanted)) {
        Some((Difference::Indentation { .. }, _)) => Likeness::But(Difference::Indentation {
            line,
            file: indent(text),
            search: indent(wanted),
        }),
        Some((difference, _)) => Likeness::But(difference.clone()),
        None => Likeness::Similar { percent },
    }
}

/// Counts the pairs of adjacent bytes that lines share with one line (Dice's coefficient, as a
/// percentage), in time linear in the line: how often each pair may still be counted is kept in a table
/// that is reset by a stamp and not by clearing it.
struct PairCounter {
    length: usize,
    wanted: Vec<u32>,
    used: Vec<(u32, u32)>,
    stamp: u32,
}

impl PairCounter {
    fn new(line: &[u8]) -> PairCounter {
        let folded = line.to_ascii_lowercase();
        let mut wanted = vec![0; 1 << 16];
        for pair in folded.windows(2) {
            if let Some(count) = wanted.get_mut(pair_index(pair)) {
                *count += 1;
            }
        }
        PairCounter {
            length: line.len(),
            wanted,
            used: vec![(0, 0); 1 << 16],
            stamp: 0,
        }
    }

    fn likeness(&mut self, line: &[u8]) -> u8 {
        let (short, long) = (self.length.min(line.len()), self.length.max(line.len()));
        // A single character has no pair, and pointing at every other one would not help.
        if short < 2 || long / short > MAX_LENGTH_RATIO {
            return 0;
        }
        self.stamp = self.stamp.wrapping_add(1);
        let mut shared = 0_usize;
        let mut previous: Option<u8> = None;
        for byte in line.iter().map(u8::to_ascii_lowercase) {
            let pair = previous.map(|previous| pair_index(&[previous, byte]));
            previous = Some(byte);
            let Some(index) = pair else { continue };
            let wanted = self.wanted.get(index).copied().unwrap_or(0);
            if wanted == 0 {
                continue;
            }
            let Some((stamp, used)) = self.used.get_mut(index) else {
                continue;
            };
            if *stamp != self.stamp {
                (*stamp, *used) = (self.stamp, 0);
            }
            if *used < wanted {
                *used += 1;
                shared += 1;
            }
        }
        let all = (self.length - 1) + (line.len() - 1);
        u8::try_from(200 * shared / all.max(1)).unwrap_or(100)
    }
}

fn pair_index(pair: &[u8]) -> usize {
    pair.iter().fold(0, |index, &byte| index << 8 | usize::from(byte))
}
