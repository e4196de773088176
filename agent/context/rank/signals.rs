//! What speaks for a file, each as a number from about 0 to 1.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::messages;
use super::uses::{Matcher, Telling, Uses};
use crate::context::index::{Index, IndexedFile};
use crate::context::language::language;
use crate::context::mentions::Mention;
use crate::context::query::Query;
use crate::context::walk::{is_test, threads};

/// One number for each of what may speak for a file.
pub(super) type FileSignals = [f64; FILE_SIGNALS.len()];

/// What may speak for a file, by the words in which people are told of it.
pub(super) const FILE_SIGNALS: [&str; 19] = [
    "uses words of the issue",
    "uses names of the issue",
    "defines names of the issue",
    "has words of the issue in its definitions",
    "has words of the issue in its path",
    "is named in the issue",
    "is in a traceback of the issue",
    "is named as a module in the issue",
    "is named by failing tests",
    "is imported by what is named",
    "is linked to likely files",
    "changed together with likely files",
    "holds the likeliest passages",
    "is much used",
    "changed often lately",
    "is a test",
    "is no code",
    "uses words of the issue's title",
    "was changed with messages like the issue",
];

/// Their places.
pub(super) mod at {
    pub(crate) const WORDS: usize = 0;
    pub(crate) const NAMES: usize = 1;
    pub(crate) const DEFINES: usize = 2;
    pub(crate) const DEFINED_WORDS: usize = 3;
    pub(crate) const PATH: usize = 4;
    pub(crate) const NAMED: usize = 5;
    pub(crate) const FRAME: usize = 6;
    pub(crate) const MODULE: usize = 7;
    pub(crate) const FAILURE: usize = 8;
    pub(crate) const IMPORTED: usize = 9;
    pub(crate) const LINKED: usize = 10;
    pub(crate) const TOGETHER: usize = 11;
    pub(crate) const PASSAGE: usize = 12;
    pub(crate) const USED: usize = 13;
    pub(crate) const CHANGED: usize = 14;
    pub(crate) const TEST: usize = 15;
    pub(crate) const OTHER: usize = 16;
    pub(crate) const TITLE: usize = 17;
    pub(crate) const MESSAGES: usize = 18;
}

/// Files from which likelihood spreads.
const SEEDS: usize = 24;
/// Rounds of spreading, and how much goes on in each (Page and Brin's damping).
const ROUNDS: usize = 12;
const DAMPING: f64 = 0.7;
/// What words are worth together, in log-odds of chance, that tell a file from others.
pub(super) const TELLING: f64 = 24.0;
/// Named files whose imports are followed.
const MOST_FOLLOWED: usize = 12;

/// Whether a file is code, and no test.
pub(super) fn is_code(signals: &FileSignals) -> bool {
    signals[at::TEST] == 0.0 && signals[at::OTHER] == 0.0
}

/// What texts and the tree itself say of each file.
pub(super) fn from_texts(
    index: &Index,
    query: &Query,
    matcher: &Matcher<'_>,
    uses: &[Uses],
    telling: &Telling,
) -> Vec<FileSignals> {
    let mut all = vec![[0.0; FILE_SIGNALS.len()]; index.files.len()];
    let definers = definers(query, uses);
    let share = all.len().div_ceil(threads()).max(1);
    std::thread::scope(|scope| {
        let shares = index.files.chunks(share).zip(uses.chunks(share));
        for ((files, uses), signals) in shares.zip(all.chunks_mut(share)) {
            let definers = &definers;
            scope.spawn(move || {
                let mut path_words = PathWords::default();
                for ((file, uses), signals) in files.iter().zip(uses).zip(signals) {
                    *signals = from_text(file, uses, telling, definers);
                    signals[at::PATH] = path_words.worth(&file.path, matcher, telling);
                }
            });
        }
    });
    add_mentions(index, query, &mut all);
    add_past(index, &mut all);
    messages::add(index, query, matcher, &mut all);
    for signal in [
        at::WORDS,
        at::NAMES,
        at::DEFINES,
        at::DEFINED_WORDS,
        at::PATH,
        at::TITLE,
        at::MESSAGES,
    ] {
        normalise(&mut all, signal, TELLING);
    }
    all
}

fn from_text(file: &IndexedFile, uses: &Uses, telling: &Telling, definers: &[f64]) -> FileSignals {
    let mut signals = [0.0; FILE_SIGNALS.len()];
    (signals[at::WORDS], signals[at::NAMES]) = telling.score(uses, None);
    signals[at::TITLE] = telling.title_score(uses);
    let defines = uses.defines.iter().map(|name| {
        let telling = telling.names.get(usize::from(*name)).copied().unwrap_or(0.0);
        telling / definers.get(usize::from(*name)).copied().unwrap_or(1.0).max(1.0)
    });
    signals[at::DEFINES] = defines.sum();
    signals[at::DEFINED_WORDS] = telling.worth(&uses.defined_words);
    signals[at::TEST] = f64::from(u8::from(is_test(&file.path)));
    signals[at::OTHER] = f64::from(u8::from(language(&file.path).is_none()));
    signals
}

/// How many files define each wanted name.
fn definers(query: &Query, uses: &[Uses]) -> Vec<f64> {
    let mut definers = vec![0.0; query.names.len()];
    for name in uses.iter().flat_map(|uses| &uses.defines) {
        if let Some(count) = definers.get_mut(usize::from(*name)) {
            *count += 1.0;
        }
    }
    definers
}

/// The wanted words in the folder that was seen last: most files lie where the one before them does.
#[derive(Default)]
struct PathWords<'f> {
    folders: &'f str,
    words: BTreeSet<u16>,
}

impl<'f> PathWords<'f> {
    /// What the words of a path are worth: those of the file's own name more than its folders'.
    fn worth(&mut self, path: &'f str, matcher: &Matcher<'_>, telling: &Telling) -> f64 {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        if folders != self.folders {
            (self.folders, self.words) = (folders, words_of(folders, matcher));
        }
        let by_name = words_of(name.split('.').next().unwrap_or(name), matcher);
        let by_folders: Vec<u16> = self.words.difference(&by_name).copied().collect();
        let by_name: Vec<u16> = by_name.into_iter().collect();
        telling.worth(&by_name) + telling.worth(&by_folders) * 0.3
    }
}

fn words_of(text: &str, matcher: &Matcher<'_>) -> BTreeSet<u16> {
    let mut words = BTreeSet::new();
    crate::context::index::identifiers(text, |_, word| {
        words.extend(matcher.of(word).into_iter().flat_map(|found| found.words));
    });
    words
}

fn add_mentions(index: &Index, query: &Query, all: &mut [FileSignals]) {
    let mut raise = |file: usize, signal: usize, value: f64| {
        if let Some(place) = all.get_mut(file).and_then(|signals| signals.get_mut(signal)) {
            *place = place.max(value);
        }
    };
    // The last frame of a traceback is nearest to the fault.
    let last = query
        .issue_files
        .iter()
        .rposition(|mention| mention.line.is_some());
    for (number, mention) in query.issue_files.iter().enumerate() {
        // Whoever names a package seldom means the file that only gathers it.
        let is_package = index
            .files
            .get(mention.file)
            .is_some_and(|file| file.path.ends_with("__init__.py"));
        let signal = match (mention.by_path, mention.line) {
            (true, None) => at::NAMED,
            (true, Some(_)) => at::FRAME,
            (false, _) => at::MODULE,
        };
        let value = match (signal, is_package) {
            (at::FRAME, _) if last == Some(number) => 1.0,
            (at::FRAME, _) => 0.6,
            (_, true) => 0.1,
            (_, false) => 1.0,
        };
        raise(mention.file, signal, value);
    }
    for mention in &query.failure_files {
        raise(mention.file, at::FAILURE, if mention.by_path { 1.0 } else { 0.5 });
    }
    let mut named: Vec<usize> = Vec::new();
    let is_test = |file: usize| index.files.get(file).is_some_and(|file| is_test(&file.path));
    for mention in query.failure_files.iter().chain(&query.issue_files) {
        if !named.contains(&mention.file) {
            named.push(mention.file);
        }
    }
    named.sort_by_key(|file| !is_test(*file));
    for file in named.into_iter().take(MOST_FOLLOWED) {
        // What a test imports is what it tests; what code imports is but near it.
        let (first, second) = if is_test(file) { (1.0, 0.4) } else { (0.4, 0.1) };
        for imported in index.edges.imports(file) {
            raise(imported, at::IMPORTED, first);
            for further in index.edges.imports(imported) {
                raise(further, at::IMPORTED, second);
            }
        }
    }
}

fn add_past(index: &Index, all: &mut [FileSignals]) {
    let mut users = vec![0_u32; all.len()];
    for file in 0..index.files.len() {
        for [to, _] in index.edges.of(file) {
            if let Some(users) = users.get_mut(*to as usize) {
                *users += 1;
            }
        }
    }
    let most_users = users.iter().copied().max().unwrap_or(0).max(1);
    let changes = (0..all.len()).map(|file| index.past.changes(file));
    let most_changes = changes.max().unwrap_or(0).max(1);
    for (number, signals) in all.iter_mut().enumerate() {
        let users = users.get(number).copied().unwrap_or(0);
        signals[at::USED] = f64::from(users).ln_1p() / f64::from(most_users).ln_1p();
        let changes = index.past.changes(number);
        signals[at::CHANGED] = (f64::from(changes) / f64::from(most_changes)).sqrt();
    }
}

/// Divides a signal by the greatest value that it has, if that is at least `least`: in a small tree no word is rare, and none tells much.
fn normalise(all: &mut [FileSignals], signal: usize, least: f64) {
    let value = |signals: &FileSignals| signals.get(signal).copied().unwrap_or(0.0);
    let most = all.iter().map(value).fold(least, f64::max);
    if most > 0.0 {
        for place in all.iter_mut().filter_map(|signals| signals.get_mut(signal)) {
            *place /= most;
        }
    }
}

/// What the graph says, from how likely the files are without it.
pub(super) fn add_graph(index: &Index, likely: &[f64], all: &mut [FileSignals]) {
    let mut order: Vec<usize> = (0..likely.len()).collect();
    let of = |file: usize| likely.get(file).copied().unwrap_or(0.0);
    order.sort_by(|one, other| of(*other).total_cmp(&of(*one)).then(one.cmp(other)));
    order.truncate(SEEDS);
    let total: f64 = order.iter().map(|file| of(*file)).sum();
    if total <= 0.0 {
        return;
    }
    let seeds: BTreeMap<usize, f64> = order.iter().map(|file| (*file, of(*file) / total)).collect();
    let ranks = spread(index, &seeds, likely.len());
    for (number, (signals, rank)) in all.iter_mut().zip(&ranks).enumerate() {
        // What a seed has of itself is no news.
        let own = seeds.get(&number).copied().unwrap_or(0.0) * (1.0 - DAMPING);
        signals[at::LINKED] = (rank - own).max(0.0);
    }
    let mut together: HashMap<usize, f64> = HashMap::new();
    for [one, other, weight] in &index.past.together {
        let (one, other, weight) = (*one as usize, *other as usize, f64::from(*weight));
        for (seed, near) in [(one, other), (other, one)] {
            if let Some(likely) = seeds.get(&seed) {
                *together.entry(near).or_default() += likely * weight;
            }
        }
    }
    for (file, weight) in together {
        if let Some(signals) = all.get_mut(file) {
            signals[at::TOGETHER] = weight;
        }
    }
    for signal in [at::LINKED, at::TOGETHER] {
        normalise(all, signal, 0.0);
        for signals in all.iter_mut() {
            if let Some(value) = signals.get_mut(signal) {
                *value = value.sqrt();
            }
        }
    }
}

/// Personalised PageRank: where one comes who follows edges, and begins at the seeds again and again.
fn spread(index: &Index, seeds: &BTreeMap<usize, f64>, files: usize) -> Vec<f64> {
    let mut ranks = vec![0.0; files];
    for (seed, share) in seeds {
        if let Some(rank) = ranks.get_mut(*seed) {
            *rank = *share;
        }
    }
    for _ in 0..ROUNDS {
        let mut next = vec![0.0; files];
        for (file, rank) in ranks.iter().enumerate().filter(|(_, rank)| **rank > 1e-7) {
            let edges = index.edges.of(file);
            let total: f64 = edges.iter().map(|[_, weight]| f64::from(*weight)).sum();
            for [to, weight] in edges {
                if let Some(place) = next.get_mut(*to as usize) {
                    *place += DAMPING * rank * f64::from(*weight) / total;
                }
            }
        }
        for (seed, share) in seeds {
            if let Some(place) = next.get_mut(*seed) {
                *place += (1.0 - DAMPING) * share;
            }
        }
        ranks = next;
    }
    ranks
}

/// The lines of a file that texts name.
pub(super) fn named_lines(query: &Query) -> HashMap<usize, BTreeSet<usize>> {
    let mut lines: HashMap<usize, BTreeSet<usize>> = HashMap::new();
    let all = query.issue_files.iter().chain(&query.failure_files);
    for Mention { file, line, .. } in all {
        if let Some(line) = line {
            lines.entry(*file).or_default().insert(*line);
        }
    }
    lines
}
