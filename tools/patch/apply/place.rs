//! Finds where a file's hunks go, and puts them there.

use std::collections::{BTreeMap, HashMap};

use super::super::lines;
use super::super::types::{Hunk, Line, LineKind};
use super::{HunkProblem, Near, Repair};

/// How many places an error names.
const MOST_PLACES: usize = 5;

/// How often a line may stand in a file to be of use in finding the nearest place.
const MOST_REPEATS: usize = 64;

/// The new content, and what had to be repaired; or which hunk (from 1) has no place. `vouched` says that the old
/// content is known to be the one the patch was made for.
pub(super) fn apply(
    old: &[u8],
    hunks: &[Hunk],
    vouched: bool,
) -> Result<(Vec<u8>, Vec<Repair>), (usize, HunkProblem)> {
    let mut file = File::new(old);
    let mut out = Output::default();
    let mut repairs = Vec::new();
    let mut done = 0;
    let mut drift = 0;
    for (number, hunk) in (1..).zip(hunks) {
        if hunk.recounted {
            repairs.push(Repair::Recounted { hunk: number });
        }
        let expected = stated(hunk).map(|stated| stated + drift);
        let place = file
            .find(hunk, expected, done, vouched)
            .map_err(|problem| (number, problem))?;
        if expected != i64::try_from(place.at).ok() {
            let found = place.at + usize::from(hunk.old_lines() > 0);
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            repairs.push(Repair::Moved {
                hunk: number,
                stated: hunk.old_start,
                found,
            });
        }
        drift = stated(hunk).map_or(drift, |stated| place.at as i64 - stated);
        if place.loose {
            repairs.push(Repair::Whitespace { hunk: number });
        }
        let ends = place.loose && file.has_carriage_returns(place.at, hunk) && adds_plain_lines(hunk);
        if ends {
            repairs.push(Repair::LineEndings { hunk: number });
        }
        file.lines
            .get(done..place.at)
            .unwrap_or_default()
            .iter()
            .for_each(|line| out.push(line));
        done = file.write(&mut out, hunk, place.at, ends);
    }
    file.lines
        .get(done..)
        .unwrap_or_default()
        .iter()
        .for_each(|line| out.push(line));
    Ok((out.bytes, repairs))
}

/// The index of the line where a hunk says to begin.
fn stated(hunk: &Hunk) -> Option<i64> {
    let behind = i64::from(hunk.old_lines() > 0);
    hunk.old_start.map(|start| (i64::from(start) - behind).max(0))
}

/// Whether a hunk adds lines, none of which ends with a carriage return.
fn adds_plain_lines(hunk: &Hunk) -> bool {
    let mut added = hunk
        .lines
        .iter()
        .filter(|line| line.kind == LineKind::Added)
        .peekable();
    added.peek().is_some() && added.all(|line| !line.text.ends_with(b"\r\n"))
}

/// Lines put together.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
}

impl Output {
    /// Adds a line; one before it that was last in its file until now gets its newline.
    fn push(&mut self, line: &[u8]) {
        if !self.bytes.is_empty() && self.bytes.last() != Some(&b'\n') && !line.is_empty() {
            self.bytes.push(b'\n');
        }
        self.bytes.extend_from_slice(line);
    }
}

/// A place found.
struct Place {
    at: usize,
    /// Whether white space at line ends was passed over.
    loose: bool,
}

/// A file's lines, with numbers that are equal where lines are.
struct File<'a> {
    lines: Vec<&'a [u8]>,
    exact: Numbers<'a>,
    /// Made when first needed: lines without the white space at their ends.
    loose: Option<Numbers<'a>>,
}

/// Lines as numbers.
struct Numbers<'a> {
    known: HashMap<&'a [u8], u32>,
    file: Vec<u32>,
}

impl<'a> Numbers<'a> {
    fn new(lines: impl Iterator<Item = &'a [u8]>) -> Numbers<'a> {
        let mut known = HashMap::new();
        let file = lines
            .map(|line| {
                let next = known.len() as u32;
                *known.entry(line).or_insert(next)
            })
            .collect();
        Numbers { known, file }
    }

    /// A line of a patch as a number; one that the file lacks equals none.
    fn of(&self, line: &[u8]) -> u32 {
        self.known.get(line).copied().unwrap_or(u32::MAX)
    }

    /// All places from `from` on that have these lines, in linear time (Knuth, Morris and Pratt).
    fn places(&self, needle: &[u32], from: usize) -> Vec<usize> {
        let mut fallback = vec![0usize; needle.len()];
        let mut matched = 0;
        for at in 1..needle.len() {
            while matched > 0 && needle.get(at) != needle.get(matched) {
                matched = fallback.get(matched - 1).copied().unwrap_or(0);
            }
            matched += usize::from(needle.get(at) == needle.get(matched));
            if let Some(entry) = fallback.get_mut(at) {
                *entry = matched;
            }
        }
        let mut found = Vec::new();
        matched = 0;
        for (at, number) in self.file.iter().enumerate().skip(from) {
            while matched > 0 && needle.get(matched) != Some(number) {
                matched = fallback.get(matched - 1).copied().unwrap_or(0);
            }
            matched += usize::from(needle.get(matched) == Some(number));
            if matched == needle.len() {
                found.push(at + 1 - matched);
                matched = fallback.get(matched - 1).copied().unwrap_or(0);
            }
        }
        found
    }
}

impl<'a> File<'a> {
    fn new(content: &'a [u8]) -> File<'a> {
        let lines = lines::split(content);
        let exact = Numbers::new(lines.iter().copied());
        File {
            lines,
            exact,
            loose: None,
        }
    }

    /// The place of a hunk at or behind line index `from`.
    fn find(
        &mut self,
        hunk: &Hunk,
        expected: Option<i64>,
        from: usize,
        vouched: bool,
    ) -> Result<Place, HunkProblem> {
        let expected = expected
            .and_then(|at| usize::try_from(at).ok())
            .filter(|at| *at >= from);
        if hunk.old_lines() == 0 {
            let at = if self.lines.is_empty() {
                Some(0)
            } else {
                expected.filter(|_| vouched)
            };
            let at = at.filter(|at| *at <= self.lines.len());
            return at
                .map(|at| Place { at, loose: false })
                .ok_or(HunkProblem::NoContext);
        }
        let needle = side(hunk, LineKind::Added, |line| self.exact.of(line));
        if let Some(at) = expected
            && self.exact.file.get(at..at.saturating_add(needle.len())) == Some(needle.as_slice())
        {
            return Ok(Place { at, loose: false });
        }
        if let Some(at) = only(&self.exact.places(&needle, from))? {
            return Ok(Place { at, loose: false });
        }
        let lines = &self.lines;
        let loose = self
            .loose
            .get_or_insert_with(|| Numbers::new(lines.iter().map(|line| line.trim_ascii_end())));
        let needle = side(hunk, LineKind::Added, |line| loose.of(line.trim_ascii_end()));
        if let Some(at) = only(&loose.places(&needle, from))? {
            return Ok(Place { at, loose: true });
        }
        let made = side(hunk, LineKind::Removed, |line| loose.of(line.trim_ascii_end()));
        let already_there = !made.is_empty() && !loose.places(&made, 0).is_empty();
        Err(HunkProblem::NotFound {
            nearest: self.nearest(hunk, from),
            already_there,
        })
    }

    /// The places where most of a hunk's lines are.
    fn nearest(&self, hunk: &Hunk, from: usize) -> Vec<Near> {
        let needle = side(hunk, LineKind::Added, |line| self.exact.of(line));
        let mut places: HashMap<u32, Vec<usize>> = HashMap::new();
        for (at, number) in self.exact.file.iter().enumerate().skip(from) {
            let places = places.entry(*number).or_default();
            if places.len() <= MOST_REPEATS {
                places.push(at);
            }
        }
        let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
        for (at, number) in needle.iter().enumerate() {
            let places = places.get(number).map(Vec::as_slice).unwrap_or_default();
            if places.len() <= MOST_REPEATS {
                for start in places.iter().filter_map(|place| place.checked_sub(at)) {
                    *votes.entry(start).or_default() += 1;
                }
            }
        }
        let mut best: Vec<(usize, usize)> = votes.into_iter().collect();
        best.sort_by_key(|(start, votes)| (std::cmp::Reverse(*votes), *start));
        // A place with half as much in common, or less, would only distract.
        let most = best.first().map_or(0, |(_, votes)| *votes);
        let close = best.iter().take_while(|(_, votes)| votes * 2 > most).take(2);
        close
            .filter_map(|(start, matching)| self.near(hunk, *start, *matching))
            .collect()
    }

    fn near(&self, hunk: &Hunk, start: usize, matching: usize) -> Option<Near> {
        let mut old = hunk
            .lines
            .iter()
            .filter(|line| line.kind != LineKind::Added)
            .zip(start..);
        let (line, at) = old.find(|(line, at)| self.lines.get(*at) != Some(&line.text.as_slice()))?;
        let shown = |text: &[u8]| {
            text.get(..120)
                .unwrap_or(text)
                .trim_ascii_end()
                .escape_ascii()
                .to_string()
        };
        Some(Near {
            line: u32::try_from(start + 1).ok()?,
            matching,
            of: hunk.old_lines(),
            expected: shown(&line.text),
            found: self.lines.get(at).map(|found| shown(found)),
        })
    }

    /// Whether all of the file's lines that a hunk covers end with a carriage return.
    fn has_carriage_returns(&self, at: usize, hunk: &Hunk) -> bool {
        let covered = self.lines.get(at..at + hunk.old_lines()).unwrap_or_default();
        !covered.is_empty() && covered.iter().all(|line| line.ends_with(b"\r\n"))
    }

    /// Writes a hunk at its place, and says where the file goes on. Context is the file's own.
    fn write(&self, out: &mut Output, hunk: &Hunk, at: usize, carriage_returns: bool) -> usize {
        let mut at = at;
        for Line { kind, text } in &hunk.lines {
            match kind {
                LineKind::Context => out.push(self.lines.get(at).copied().unwrap_or_default()),
                LineKind::Added if carriage_returns && text.ends_with(b"\n") => {
                    let end = text.len() - 1;
                    out.push(&[text.get(..end).unwrap_or_default(), b"\r\n"].concat());
                }
                LineKind::Added => out.push(text),
                LineKind::Removed => {}
            }
            at += usize::from(*kind != LineKind::Added);
        }
        at
    }
}

/// One side of a hunk as numbers: all lines but those of `without`.
fn side(hunk: &Hunk, without: LineKind, number: impl Fn(&[u8]) -> u32) -> Vec<u32> {
    hunk.lines
        .iter()
        .filter(|line| line.kind != without)
        .map(|line| number(&line.text))
        .collect()
}

/// The one place, none, or an error for several.
fn only(places: &[usize]) -> Result<Option<usize>, HunkProblem> {
    match places {
        [] => Ok(None),
        [at] => Ok(Some(*at)),
        _ => {
            let line = |at: &usize| u32::try_from(at + 1).unwrap_or(u32::MAX);
            Err(HunkProblem::Ambiguous {
                lines: places.iter().take(MOST_PLACES).map(line).collect(),
            })
        }
    }
}
