//! Where the words and names that are asked for stand: in which files, how often, and what defines them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::context::definitions::Kind;
use crate::context::index::{FileRecord, Index, Message, Strings, identifiers, parts};
use crate::context::query::Query;
use crate::context::walk::threads;

/// How soon more uses of a word count for less, and how much a text's length matters: the usual constants of BM25 (Robertson and
/// Zaragoza, The Probabilistic Relevance Framework, 2009).
const SATURATION: f64 = 1.2;
const LENGTH: f64 = 0.75;

/// Which of the wanted names and words a name of code is, or holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Match {
    /// The wanted name that it is.
    pub(super) name: Option<u16>,
    /// The wanted words that its parts are.
    pub(super) words: Vec<u16>,
}

/// Tells of names of code what of the wanted they are.
pub(super) struct Matcher<'q> {
    names: HashMap<&'q str, u16>,
    words: HashMap<&'q str, u16>,
    /// Whether some wanted word begins with a byte and has a length: most do not, and need no look.
    likely: Vec<[bool; 128]>,
}

impl<'q> Matcher<'q> {
    pub(super) fn new(query: &'q Query) -> Matcher<'q> {
        let numbered = |wanted: &'q [crate::context::query::Wanted]| -> HashMap<&'q str, u16> {
            wanted.iter().map(|one| one.text.as_str()).zip(0..).collect()
        };
        let words = numbered(&query.words);
        let mut likely = vec![[false; 128]; 256];
        for word in words.keys() {
            let first = word.bytes().next().unwrap_or(0);
            if let Some(place) = likely
                .get_mut(usize::from(first))
                .and_then(|lengths| lengths.get_mut(word.len().min(127)))
            {
                *place = true;
            }
        }
        Matcher {
            names: numbered(&query.names),
            words,
            likely,
        }
    }

    /// What of the wanted a name is; nothing for most names.
    pub(super) fn of(&self, name: &str) -> Option<Match> {
        let mut words = Vec::new();
        parts(name, |part| {
            let first = part.bytes().next().unwrap_or(0);
            let is_likely = self
                .likely
                .get(usize::from(first))
                .and_then(|lengths| lengths.get(part.len().min(127)));
            if is_likely == Some(&true)
                && let Some(number) = self.words.get(part)
                && !words.contains(number)
            {
                words.push(*number);
            }
        });
        let name = self.names.get(name).copied();
        (name.is_some() || !words.is_empty()).then_some(Match { name, words })
    }
}

/// Numbers of what is wanted, and how often each was found.
type Counts = Vec<(u16, u32)>;

/// How often the wanted stand in a file, or in a part of one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Uses {
    /// By the words' numbers.
    pub(super) words: Counts,
    /// By the names' numbers.
    pub(super) names: Counts,
    /// Wanted names that it defines.
    pub(super) defines: Vec<u16>,
    /// Wanted words in the names that it defines.
    pub(super) defined_words: Vec<u16>,
    /// Words in all.
    pub(super) length: u32,
}

/// Adds up uses.
#[derive(Debug, Default)]
struct Sums {
    words: Vec<u32>,
    names: Vec<u32>,
}

impl Sums {
    fn add(&mut self, found: &Match, count: u32) {
        let add = |sums: &mut Vec<u32>, number: u16| {
            let number = usize::from(number);
            if sums.len() <= number {
                sums.resize(number + 1, 0);
            }
            if let Some(sum) = sums.get_mut(number) {
                *sum = sum.saturating_add(count);
            }
        };
        for word in &found.words {
            add(&mut self.words, *word);
        }
        if let Some(name) = found.name {
            add(&mut self.names, name);
        }
    }

    /// What was added up, and nothing left.
    fn take(&mut self) -> (Counts, Counts) {
        let taken = |sums: &mut Vec<u32>| {
            let used = sums.iter_mut().zip(0_u16..).filter(|(sum, _)| **sum > 0);
            used.map(|(sum, number)| (number, std::mem::take(sum))).collect()
        };
        (taken(&mut self.words), taken(&mut self.names))
    }
}

/// The uses in every file of the index.
pub(super) fn in_files(index: &Index, matcher: &Matcher<'_>) -> Vec<Uses> {
    let found = matches(&index.names, matcher);
    let mut all = vec![Uses::default(); index.files.len()];
    let share = index.files.len().div_ceil(threads()).max(1);
    std::thread::scope(|scope| {
        for (files, uses) in index.files.chunks(share).zip(all.chunks_mut(share)) {
            let found = &found;
            scope.spawn(move || {
                let mut sums = Sums::default();
                for (file, uses) in files.iter().zip(uses) {
                    *uses = in_file(&file.record, found, &mut sums);
                }
            });
        }
    });
    all
}

/// The uses in the message of every commit of which files are left.
pub(super) fn in_messages(index: &Index, matcher: &Matcher<'_>) -> Vec<Uses> {
    let found = matches(index.said(), matcher);
    let mut sums = Sums::default();
    let in_message = |message: Message<'_>| {
        let mut length = 0_u32;
        for [word, count] in message.words {
            length = length.saturating_add(*count);
            if let Some(found) = found.of(*word) {
                sums.add(found, *count);
            }
        }
        let (words, names) = sums.take();
        Uses {
            words,
            names,
            length,
            ..Uses::default()
        }
    };
    index.messages().map(in_message).collect()
}

struct Matches {
    /// For each name where its match stands; past the end for most.
    numbers: Vec<u32>,
    matches: Vec<Match>,
}

impl Matches {
    /// What of the wanted a name is, by its number.
    fn of(&self, name: u32) -> Option<&Match> {
        let at = self.numbers.get(name as usize)?;
        self.matches.get(*at as usize)
    }
}

/// Which of some names are what is wanted.
fn matches(all: &Strings, matcher: &Matcher<'_>) -> Matches {
    let names = all.len();
    let share = names.div_ceil(threads()).max(1);
    let found: Vec<(usize, Match)> = std::thread::scope(|scope| {
        let mut begun = Vec::new();
        for start in (0..names).step_by(share) {
            begun.push(scope.spawn(move || -> Vec<(usize, Match)> {
                let own = all.iter().enumerate().skip(start).take(share);
                own.filter_map(|(number, name)| Some((number, matcher.of(name)?)))
                    .collect()
            }));
        }
        let ended = begun.into_iter().filter_map(|thread| thread.join().ok());
        ended.flatten().collect()
    });
    let mut matches = Matches {
        numbers: vec![u32::MAX; names],
        matches: Vec::with_capacity(found.len()),
    };
    for (name, found) in found {
        if let Some(number) = matches.numbers.get_mut(name) {
            *number = u32::try_from(matches.matches.len()).unwrap_or(u32::MAX);
            matches.matches.push(found);
        }
    }
    matches
}

fn in_file(record: &FileRecord, found: &Matches, sums: &mut Sums) -> Uses {
    for count in record.words() {
        if let Some(found) = found.of(count.word) {
            sums.add(found, count.code.saturating_add(count.prose));
        }
    }
    let (words, names) = sums.take();
    let mut uses = Uses {
        words,
        names,
        length: record.length,
        ..Uses::default()
    };
    if uses.words.is_empty() && uses.names.is_empty() {
        return uses;
    }
    for one in record.definitions() {
        let Some(found) = found.of(one.name) else {
            continue;
        };
        if let Some(name) = found.name.filter(|_| one.kind != Kind::Constant) {
            uses.defines.push(name);
        }
        uses.defined_words.extend(&found.words);
    }
    for numbers in [&mut uses.defines, &mut uses.defined_words] {
        numbers.sort_unstable();
        numbers.dedup();
    }
    uses
}

/// What of the wanted words are, for all texts that a thread reads.
pub(super) struct KnownWords<'m> {
    matcher: &'m Matcher<'m>,
    known: ByHash<Option<Match>>,
}

impl<'m> KnownWords<'m> {
    pub(super) fn new(matcher: &'m Matcher<'m>) -> KnownWords<'m> {
        KnownWords {
            matcher,
            known: ByHash::default(),
        }
    }
}

/// What is known of names, by their hashes.
pub(super) type ByHash<T> = HashMap<u64, T, BuildHasherDefault<HashItself>>;

/// Takes numbers that are hashes already for their own.
#[derive(Default)]
pub(super) struct HashItself(u64);

impl Hasher for HashItself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A name's hash (FNV-1a): the same in every run, so that what depends on it is.
pub(super) fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The uses in a part of a text, and its identifiers by their hashes, once each, in order of these.
pub(super) fn in_text(text: &str, known: &mut KnownWords<'_>) -> (Uses, Vec<u64>) {
    let mut sums = Sums::default();
    let mut found = Vec::new();
    identifiers(text, |_, word| {
        let hash = name_hash(word);
        found.push(hash);
        let matched = known.known.entry(hash).or_insert_with(|| known.matcher.of(word));
        if let Some(matched) = matched {
            sums.add(matched, 1);
        }
    });
    let (words, names) = sums.take();
    let uses = Uses {
        words,
        names,
        length: u32::try_from(found.len()).unwrap_or(u32::MAX),
        ..Uses::default()
    };
    found.sort_unstable();
    found.dedup();
    (uses, found)
}

/// How telling each of the wanted is among some texts.
#[derive(Debug, Clone, Default)]
pub(super) struct Telling {
    pub(super) words: Vec<f64>,
    pub(super) names: Vec<f64>,
    /// Of the wanted words how telling they are as the title's; 0 for others.
    title: Vec<f64>,
    average_length: f64,
}

impl Telling {
    /// Of what is wanted, by how few of the texts hold it.
    pub(super) fn new<'u>(query: &Query, texts: impl IntoIterator<Item = &'u Uses>) -> Telling {
        let mut total = 0.0_f64;
        let mut words = vec![0_usize; query.words.len()];
        let mut names = vec![0_usize; query.names.len()];
        let mut length = 0.0;
        for uses in texts {
            length += f64::from(uses.length);
            total += f64::from(u8::from(uses.length > 0));
            for (holders, used) in [(&mut words, &uses.words), (&mut names, &uses.names)] {
                for (number, _) in used {
                    if let Some(holders) = holders.get_mut(usize::from(*number)) {
                        *holders += 1;
                    }
                }
            }
        }
        let total = total.max(1.0);
        let rare = |holders: usize| {
            let holders = holders as f64;
            (1.0 + (total - holders + 0.5).max(0.0) / (holders + 0.5)).ln()
        };
        let weigh = |holders: &[usize], wanted: &[crate::context::query::Wanted]| {
            let both = holders.iter().zip(wanted);
            both.map(|(holders, wanted)| match holders {
                0 => 0.0,
                holders => wanted.weight * rare(*holders),
            })
            .collect()
        };
        let of_title = |(holders, wanted): (&usize, &crate::context::query::Wanted)| match holders {
            1.. if wanted.in_title => rare(*holders),
            _ => 0.0,
        };
        Telling {
            title: words.iter().zip(&query.words).map(of_title).collect(),
            words: weigh(&words, &query.words),
            names: weigh(&names, &query.names),
            average_length: (length / total).max(1.0),
        }
    }

    /// What wanted words, by their numbers, tell together.
    pub(super) fn worth(&self, words: &[u16]) -> f64 {
        sum_of(&self.words, words)
    }

    /// What the title's among wanted words, by their numbers, tell together.
    pub(super) fn title_worth(&self, words: &[u16]) -> f64 {
        sum_of(&self.title, words)
    }

    /// What a text tells by its uses of the title's words. Its length does not matter: few and telling words do not come together by chance.
    pub(super) fn title_score(&self, uses: &Uses) -> f64 {
        saturated(&uses.words, &self.title, SATURATION)
    }

    /// BM25 of a text for the wanted words, and for the wanted names.
    pub(super) fn score(&self, uses: &Uses, average_length: Option<f64>) -> (f64, f64) {
        let average = average_length.unwrap_or(self.average_length);
        let norm = SATURATION * (1.0 - LENGTH + LENGTH * f64::from(uses.length) / average);
        (
            saturated(&uses.words, &self.words, norm),
            saturated(&uses.names, &self.names, norm),
        )
    }
}

fn sum_of(telling: &[f64], numbers: &[u16]) -> f64 {
    let each = numbers.iter().map(|number| telling.get(usize::from(*number)));
    each.flatten().sum()
}

/// What uses tell together, where a further one of the same counts for ever less.
fn saturated(used: &[(u16, u32)], telling: &[f64], norm: f64) -> f64 {
    let each = used.iter().map(|(number, count)| {
        let telling = telling.get(usize::from(*number)).copied().unwrap_or(0.0);
        let count = f64::from(*count);
        telling * count * (SATURATION + 1.0) / (count + norm)
    });
    each.sum()
}
