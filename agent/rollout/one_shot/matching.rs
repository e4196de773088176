//! Finds the lines that a model meant: verbatim where they are, else with blanks or a few letters wrong, but never at a place that
//! another one rivals.

use crate::context::indent_of;

/// Where lines were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The first line, from 0.
    pub(super) start: usize,
    /// The line behind the last one.
    pub(super) end: usize,
    /// What is put there, with the file's own indentation.
    pub(super) lines: Vec<String>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    /// Nothing is like it.
    Nowhere,
    /// So many places are.
    Several(usize),
    /// The text leaves something out.
    Elided,
}

/// Text of fewer lines is not matched by likeness.
const FEWEST_FUZZY_LINES: usize = 3;

/// The share of letters that must agree.
const FUZZY_LIKENESS: f64 = 0.85;

/// So much better than the next place the best one must be.
const FUZZY_LEAD: f64 = 0.05;

/// More pairs of lines are not compared.
const MOST_FUZZY_PAIRS: usize = 200_000;

/// Whether a line stands for lines that were left out.
pub(super) fn is_elision(line: &str) -> bool {
    let text = line
        .trim()
        .trim_start_matches(['#', '/', '*', '-', ' '])
        .trim_end_matches(['*', '/', ' ']);
    if text == "..." || text == "…" {
        return true;
    }
    let is_comment = line.trim_start().starts_with(['#', '/', '*']);
    let text = text.to_lowercase();
    is_comment
        && (text.starts_with("...") || text.ends_with("...") || text.starts_with('…'))
        && ["rest", "existing", "other", "same", "unchanged", "remain", "code"]
            .iter()
            .any(|word| text.contains(word))
}

/// Finds `search` in `file`, and what `replace` is there.
pub(super) fn find(file: &[String], search: &[String], replace: &[String]) -> Result<Place, Missed> {
    let (search, replace) = without_numbers(search, replace);
    let leaves_out = |lines: &[String]| {
        lines
            .iter()
            .any(|line| is_elision(line) && !file.iter().any(|own| own.trim() == line.trim()))
    };
    if leaves_out(&search) || leaves_out(&replace) {
        return Err(Missed::Elided);
    }
    if let Ok(place) = verbatim(file, &search, &replace) {
        return Ok(place);
    }
    let (search, replace) = (trimmed(&search), trimmed(&replace));
    if search.is_empty() {
        return Err(Missed::Nowhere);
    }
    let same: [fn(&str, &str) -> bool; 4] = [
        |own, other| own == other,
        |own, other| own.trim_end() == other.trim_end(),
        |own, other| own.trim() == other.trim(),
        |own, other| letters(own).eq(letters(other)),
    ];
    for (level, same) in same.into_iter().enumerate() {
        match places(file, search, same).as_slice() {
            [] => {}
            [start] => {
                let found = file.get(*start..start + search.len()).unwrap_or_default();
                let lines = if level < 2 {
                    replace.to_vec()
                } else {
                    reindented(found, search, replace)
                };
                return Ok(Place {
                    start: *start,
                    end: start + search.len(),
                    lines,
                });
            }
            several => return Err(Missed::Several(several.len())),
        }
    }
    likeliest(file, search, replace)
}

/// The very lines, blank ones at the ends included.
fn verbatim(file: &[String], search: &[String], replace: &[String]) -> Result<Place, Missed> {
    if search.iter().all(|line| line.trim().is_empty()) {
        return Err(Missed::Nowhere);
    }
    match places(file, search, |own, other| own == other).as_slice() {
        [] => Err(Missed::Nowhere),
        [start] => Ok(Place {
            start: *start,
            end: start + search.len(),
            lines: replace.to_vec(),
        }),
        several => Err(Missed::Several(several.len())),
    }
}

fn places(file: &[String], search: &[String], same: fn(&str, &str) -> bool) -> Vec<usize> {
    let windows = file.windows(search.len().max(1)).enumerate();
    windows
        .filter(|(_, window)| window.iter().zip(search).all(|(own, other)| same(own, other)))
        .map(|(start, _)| start)
        .collect()
}

fn letters(line: &str) -> impl Iterator<Item = char> + '_ {
    line.chars().filter(|c| !c.is_whitespace())
}

/// Without blank lines at the ends.
fn trimmed(lines: &[String]) -> &[String] {
    let is_text = |line: &String| !line.trim().is_empty();
    match (lines.iter().position(is_text), lines.iter().rposition(is_text)) {
        (Some(first), Some(last)) => lines.get(first..=last).unwrap_or_default(),
        _ => &[],
    }
}

/// Without the line numbers that were copied from the prompt.
fn without_numbers(search: &[String], replace: &[String]) -> (Vec<String>, Vec<String>) {
    let is_numbered = |lines: &[String]| {
        let mut texts = lines.iter().filter(|line| !line.trim().is_empty()).peekable();
        texts.peek().is_some() && texts.all(|line| behind_number(line).is_some())
    };
    let strip = |lines: &[String]| {
        let own = lines
            .iter()
            .map(|line| behind_number(line).unwrap_or(line).to_owned());
        own.collect::<Vec<String>>()
    };
    if !is_numbered(search) {
        return (search.to_vec(), replace.to_vec());
    }
    let replace = if is_numbered(replace) {
        strip(replace)
    } else {
        replace.to_vec()
    };
    (strip(search), replace)
}

/// `12 | text`, `12: text`.
fn behind_number(line: &str) -> Option<&str> {
    let text = line.trim_start();
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == text.len() {
        return None;
    }
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let rest = rest.strip_prefix(['|', ':', '\t'])?;
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

/// The replacement with the indentation that the found lines have where the searched ones had another.
pub(super) fn reindented(found: &[String], search: &[String], replace: &[String]) -> Vec<String> {
    let pairs: Vec<(usize, &str, &str)> = search
        .iter()
        .zip(found)
        .enumerate()
        .filter(|(_, (other, _))| !other.trim().is_empty())
        .map(|(at, (other, own))| (at, blanks(other), blanks(own)))
        .collect();
    let mut from = 0;
    let put = |(at, line): (usize, &String)| {
        // A line that stays is the file's own, not the model's copy of it.
        let same = search.iter().skip(from).position(|other| other == line);
        if let Some(own) = same.and_then(|same| found.get(from + same)) {
            from += same.unwrap_or_default() + 1;
            return own.clone();
        }
        with_indent(at, line, &pairs)
    };
    replace.iter().enumerate().map(put).collect()
}

fn blanks(line: &str) -> &str {
    line.get(..indent_of(line)).unwrap_or_default()
}

/// A line with the file's indentation in place of what the model took for it: as the searched line has it that begins most alike, the
/// nearest one of several.
fn with_indent(at: usize, line: &str, pairs: &[(usize, &str, &str)]) -> String {
    let text = line.trim_start_matches([' ', '\t']);
    if text.is_empty() {
        return String::new();
    }
    let own = blanks(line);
    let nearest = pairs
        .iter()
        .filter(|(_, other, _)| own.starts_with(other))
        .min_by_key(|(place, other, _)| (std::cmp::Reverse(other.len()), place.abs_diff(at)));
    if let Some((_, other, file)) = nearest {
        let deeper = own.get(other.len()..).unwrap_or_default();
        return format!("{file}{deeper}{text}");
    }
    // Shallower than every line that was searched for: as much shallower than the shallowest.
    match pairs.iter().min_by_key(|(_, other, _)| other.len()) {
        Some((_, other, file)) => {
            let kept = (file.len() + own.len()).saturating_sub(other.len());
            format!("{}{text}", file.get(..kept.min(file.len())).unwrap_or_default())
        }
        None => line.to_owned(),
    }
}

/// The one place that is like the text, if it is much more so than any other.
fn likeliest(file: &[String], search: &[String], replace: &[String]) -> Result<Place, Missed> {
    if search.len() < FEWEST_FUZZY_LINES || file.len().saturating_mul(search.len()) > MOST_FUZZY_PAIRS {
        return Err(Missed::Nowhere);
    }
    let (mut best, mut next): ((f64, usize), f64) = ((0.0, 0), 0.0);
    for (start, window) in file.windows(search.len()).enumerate() {
        let same: f64 = window
            .iter()
            .zip(search)
            .map(|(own, other)| likeness(own.trim(), other.trim()))
            .sum();
        let value = same / search.len() as f64;
        if value > best.0 {
            // A window that overlaps is the same place, moved.
            if start.abs_diff(best.1) >= search.len() {
                next = next.max(best.0);
            }
            best = (value, start);
        } else if start.abs_diff(best.1) >= search.len() {
            next = next.max(value);
        }
    }
    if best.0 < FUZZY_LIKENESS {
        return Err(Missed::Nowhere);
    }
    if best.0 - next < FUZZY_LEAD {
        return Err(Missed::Several(2));
    }
    let (start, end) = (best.1, best.1 + search.len());
    let found = file.get(start..end).unwrap_or_default();
    Ok(Place {
        start,
        end,
        lines: reindented(found, search, replace),
    })
}

/// The share of pairs of adjacent letters that two lines have in common: 1 when they are the same.
fn likeness(one: &str, other: &str) -> f64 {
    if one == other {
        return 1.0;
    }
    let pairs = |text: &str| {
        let mut pairs: Vec<[u8; 2]> = text
            .as_bytes()
            .windows(2)
            .take(400)
            .filter_map(|pair| pair.try_into().ok())
            .collect();
        pairs.sort_unstable();
        pairs
    };
    let (one, other) = (pairs(one), pairs(other));
    if one.is_empty() || other.is_empty() {
        return 0.0;
    }
    let (mut left, mut right, mut common) = (0, 0, 0);
    while let (Some(a), Some(b)) = (one.get(left), other.get(right)) {
        match a.cmp(b) {
            std::cmp::Ordering::Less => left += 1,
            std::cmp::Ordering::Greater => right += 1,
            std::cmp::Ordering::Equal => (left, right, common) = (left + 1, right + 1, common + 1),
        }
    }
    2.0 * f64::from(common) / (one.len() + other.len()) as f64
}
