//! What an issue and failing tests ask for: files that they name, names in code, and words.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cwm_tools::truncate::beginning;

use super::index::{identifiers, parts};
use super::mentions::{Mention, mentions};
use super::paths::Paths;

/// Texts are read up to here.
const MOST_BYTES: usize = 512 << 10;
/// No more names, and no more words, than these are looked for.
const MOST_NAMES: usize = 256;
const MOST_WORDS: usize = 400;
/// A name that can hardly be prose counts for so much.
const CODE: f64 = 3.0;
/// What the issue's first line says counts for so much more.
const TITLE: f64 = 2.0;
/// What failing tests print is long, and mostly not about the fault.
const FAILURE: f64 = 0.4;

/// Words that are in every text.
const COMMON: &[&str] = &[
    "the",
    "and",
    "for",
    "that",
    "this",
    "with",
    "not",
    "but",
    "are",
    "was",
    "were",
    "has",
    "have",
    "had",
    "from",
    "when",
    "what",
    "which",
    "would",
    "should",
    "could",
    "can",
    "will",
    "does",
    "did",
    "doe",
    "you",
    "your",
    "they",
    "them",
    "there",
    "their",
    "then",
    "than",
    "here",
    "into",
    "also",
    "only",
    "just",
    "like",
    "some",
    "any",
    "all",
    "how",
    "why",
    "who",
    "out",
    "its",
    "it",
    "is",
    "in",
    "on",
    "of",
    "to",
    "be",
    "by",
    "as",
    "at",
    "or",
    "an",
    "if",
    "we",
    "my",
    "me",
    "so",
    "do",
    "no",
    "up",
    "us",
    "am",
    "http",
    "https",
    "www",
    "com",
    "org",
    "github",
    "issue",
    "bug",
    "problem",
    "follow",
    "expect",
    "actual",
    "behavior",
    "behaviour",
    "describ",
    "description",
    "reproduc",
    "step",
    "version",
    "see",
    "because",
    "since",
    "instead",
    "seem",
    "now",
    "one",
    "two",
    "more",
    "most",
    "other",
    "same",
    "get",
    "got",
    "use",
    "us",
    "work",
    "way",
    "want",
    "need",
    "think",
    "mak",
    "make",
    "thi",
    "ha",
    "wa",
    "doesn",
    "don",
    "isn",
    "didn",
    "self",
    "def",
    "import",
];

/// A word that is looked for, and how much it counts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) text: String,
    pub(super) weight: f64,
    /// Whether the issue's first line has it.
    pub(super) in_title: bool,
}

/// Everything that is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    /// Names as they stand in code.
    pub(super) names: Vec<Wanted>,
    /// Parts of words, in lower case.
    pub(super) words: Vec<Wanted>,
    /// Files that the issue names, then those that failures name.
    pub(super) issue_files: Vec<Mention>,
    pub(super) failure_files: Vec<Mention>,
    /// Names of the issue's first line.
    pub(super) title: BTreeSet<String>,
}

impl Query {
    /// Reads the texts.
    pub(super) fn new(issue: &str, failures: &[String], paths: &Paths<'_>) -> Query {
        let issue = beginning(issue, MOST_BYTES);
        let title = issue
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        let mut names = Names::default();
        let mut words: BTreeMap<String, f64> = BTreeMap::new();
        names.add(issue, 1.0);
        add_words(&mut words, issue, 1.0);
        add_words(&mut words, title, TITLE);
        let mut failure_files = Vec::new();
        for failure in failures {
            let failure = beginning(failure, MOST_BYTES);
            names.add(failure, FAILURE);
            add_words(&mut words, failure, FAILURE);
            failure_files.extend(mentions(paths, failure));
        }
        let mut in_title = Names::default();
        in_title.add(title, 1.0);
        let mut title_words = BTreeMap::new();
        add_words(&mut title_words, title, 1.0);
        Query {
            names: names.wanted(&in_title),
            words: words_wanted(words, &title_words),
            issue_files: mentions(paths, issue),
            failure_files,
            title: in_title.found.into_keys().map(str::to_owned).collect(),
        }
    }
}

/// Names that stand in texts: when each was first seen, how often and whether it looks like code.
#[derive(Default)]
struct Names<'a> {
    found: HashMap<&'a str, (usize, f64, bool)>,
}

impl<'a> Names<'a> {
    fn add(&mut self, text: &'a str, weight: f64) {
        for (number, part) in text.split('`').enumerate() {
            // Between backticks, unless one is missing somewhere before.
            let is_quoted = number % 2 == 1 && part.len() < 200;
            identifiers(part, |place, name| {
                let after = part.get(place.end..).unwrap_or_default();
                let before = part.get(..place.start).unwrap_or_default();
                let is_code = is_quoted
                    || after.starts_with('(')
                    || before.ends_with('.') && !before.ends_with(". ")
                    || looks_like_code(name);
                if name.len() < 3 || name.len() < 4 && !is_code {
                    return;
                }
                let order = self.found.len();
                let entry = self.found.entry(name).or_insert((order, 0.0, false));
                entry.1 += weight;
                entry.2 |= is_code;
            });
        }
    }

    /// The names with their weights, the most telling first.
    fn wanted(self, title: &Names<'_>) -> Vec<Wanted> {
        let mut all: Vec<(usize, Wanted)> = self
            .found
            .into_iter()
            .map(|(name, (order, often, is_code))| {
                let looks = if is_code { CODE } else { 1.0 };
                let in_title = title.found.contains_key(name);
                let place = if in_title { TITLE } else { 1.0 };
                let wanted = Wanted {
                    text: name.to_owned(),
                    weight: looks * place * (1.0 + often).ln(),
                    in_title,
                };
                (order, wanted)
            })
            .collect();
        all.sort_by(|(order, one), (other_order, other)| {
            other.weight.total_cmp(&one.weight).then(order.cmp(other_order))
        });
        all.truncate(MOST_NAMES);
        all.into_iter().map(|(_, wanted)| wanted).collect()
    }
}

/// Whether a word can hardly be prose: it has an underscore inside, or capitals behind its first letter.
fn looks_like_code(name: &str) -> bool {
    let inner = name.trim_matches('_');
    let has_capitals = inner.chars().skip(1).any(char::is_uppercase) && inner.chars().any(char::is_lowercase);
    inner.contains('_') || has_capitals
}

fn add_words(words: &mut BTreeMap<String, f64>, text: &str, weight: f64) {
    identifiers(text, |_, name| {
        parts(name, |part| match words.get_mut(part) {
            Some(sum) => *sum += weight,
            None => {
                words.insert(part.to_owned(), weight);
            }
        });
    });
}

fn words_wanted(words: BTreeMap<String, f64>, title: &BTreeMap<String, f64>) -> Vec<Wanted> {
    let mut all: Vec<Wanted> = words
        .into_iter()
        .filter(|(word, _)| !COMMON.contains(&word.as_str()))
        .map(|(text, often)| Wanted {
            in_title: title.contains_key(&text),
            weight: (1.0 + often).ln(),
            text,
        })
        .collect();
    all.sort_by(|one, other| {
        other
            .weight
            .total_cmp(&one.weight)
            .then(one.text.cmp(&other.text))
    });
    all.truncate(MOST_WORDS);
    all
}
