//! Which files, and which parts of them, matter to an issue.

mod passages;
mod signals;
mod uses;
mod weights;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::index::{Index, hash};
use super::language::language;
use super::paths::Paths;
use super::query::Query;
use super::walk::{self, is_test};

use passages::{Judged, PASSAGE_SIGNALS, judge};
pub(super) use passages::{Passage, PassageKind};
use signals::{FILE_SIGNALS, FileSignals, at};
use uses::{Matcher, Telling, in_files};

/// Files whose text is looked at.
const CANDIDATES: usize = 200;
/// Log-odds of files are divided by this, to be a signal like the others.
const FILE_ODDS: f64 = 8.0;
/// The log-odds that tests and prose stay behind the likeliest code.
const BEHIND: f64 = 0.2;

/// A file in the order of how much it matters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RankedFile {
    pub(super) path: String,
    /// Its number in the index.
    pub(super) number: usize,
    pub(super) is_test: bool,
    /// Whether it is code in a language that is known.
    pub(super) is_source: bool,
    /// How likely it is that it has to be changed.
    pub(super) likelihood: f64,
    signals: FileSignals,
    /// Lines that are named, from 1.
    pub(super) lines: BTreeSet<usize>,
    /// For the likeliest files, their text and its passages.
    pub(super) content: Option<Content>,
}

/// A file's text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Content {
    pub(super) hash: u64,
    pub(super) text: String,
    pub(super) passages: Vec<Passage>,
}

/// The files in order of how much they matter, with the names looked for and how telling each is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Order {
    pub(super) files: Vec<RankedFile>,
    pub(super) names: HashMap<String, f64>,
    /// Names of the issue's first line, which says what it is about.
    pub(super) title: BTreeSet<String>,
}

/// Ranks the files of an index. `root` is where the tree is seen, as absolute paths of tracebacks have it.
pub(super) fn rank(index: &Index, tree: &Path, root: &str, issue: &str, failures: &[String]) -> Order {
    let paths = Paths::new(index.files.iter().map(|file| file.path.as_str()).collect(), root);
    let query = Query::new(issue, failures, &paths);
    let matcher = Matcher::new(&query);
    let uses = in_files(index, &matcher);
    let telling = Telling::new(&query, &uses);
    let mut signals = signals::from_texts(index, &query, &matcher, &uses, &telling);
    let odds = |signals: &[FileSignals]| -> Vec<f64> { signals.iter().map(weights::file).collect() };
    let likely: Vec<f64> = odds(&signals).into_iter().map(weights::likelihood).collect();
    signals::add_graph(index, &likely, &mut signals);
    let mut order: Vec<usize> = (0..signals.len()).collect();
    sort(&mut order, &odds(&signals), index);
    let candidates = order.get(..order.len().min(CANDIDATES)).unwrap_or_default();
    let mut lines = signals::named_lines(&query);
    let mut contents = read(index, tree, candidates);
    judge_all(
        &mut contents,
        index,
        &lines,
        &query,
        &matcher,
        &telling,
        &mut signals,
    );
    let odds = behind_code(odds(&signals), index);
    sort(&mut order, &odds, index);
    set_likelihoods(&mut contents, &odds);
    let files = order.into_iter().filter_map(|number| {
        let file = index.files.get(number)?;
        let odds = odds.get(number).copied()?;
        let content = contents.remove(&number);
        Some(RankedFile {
            path: file.path.clone(),
            number,
            is_test: is_test(&file.path),
            is_source: language(&file.path).is_some(),
            likelihood: weights::likelihood(odds),
            signals: signals.get(number).copied()?,
            lines: lines.remove(&number).unwrap_or_default(),
            content,
        })
    });
    let files = files.collect();
    let names = query.names.iter().zip(&telling.names);
    Order {
        files,
        names: names
            .map(|(wanted, telling)| (wanted.text.clone(), *telling))
            .collect(),
        title: query.title,
    }
}

/// No test, and no prose, comes before the likeliest of the code.
fn behind_code(mut odds: Vec<f64>, index: &Index) -> Vec<f64> {
    let is_code = |path: &str| language(path).is_some() && !is_test(path);
    let code = odds
        .iter()
        .zip(&index.files)
        .filter(|(_, file)| is_code(&file.path));
    let best = code.map(|(odds, _)| *odds).fold(f64::MIN, f64::max);
    for (odds, file) in odds.iter_mut().zip(&index.files) {
        if best > f64::MIN && !is_code(&file.path) {
            *odds = odds.min(best - BEHIND);
        }
    }
    odds
}

/// Says of each passage how likely it is, then again with what the likeliest say of others.
fn set_likelihoods(contents: &mut HashMap<usize, Content>, odds: &[f64]) {
    let mut all: Vec<(usize, &mut Content)> = contents
        .iter_mut()
        .map(|(number, content)| (*number, content))
        .collect();
    all.sort_by_key(|(number, _)| *number);
    let likelihoods = |passages: &mut [Passage]| {
        for passage in passages {
            passage.likelihood = weights::likelihood(weights::passage(&passage.signals));
        }
    };
    for (number, content) in &mut all {
        let file = odds.get(*number).copied().unwrap_or(0.0);
        passages::set_file(&mut content.passages, file / FILE_ODDS);
        likelihoods(&mut content.passages);
    }
    let mut parts: Vec<(&str, &mut Vec<Passage>)> = all
        .into_iter()
        .map(|(_, content)| (content.text.as_str(), &mut content.passages))
        .collect();
    passages::add_users(&mut parts);
    for (_, passages) in parts {
        likelihoods(passages);
    }
}

/// The likeliest first; those without any record last, and else by their paths.
fn sort(order: &mut [usize], odds: &[f64], index: &Index) {
    let key = |number: usize| odds.get(number).copied().unwrap_or(f64::MIN);
    let is_empty = |number: usize| index.files.get(number).is_none_or(|file| file.left_out.is_some());
    order.sort_by(|one, other| {
        is_empty(*one)
            .cmp(&is_empty(*other))
            .then(key(*other).total_cmp(&key(*one)))
            .then(one.cmp(other))
    });
}

/// Reads the texts of files, as far as they are still what the index knows.
fn read(index: &Index, tree: &Path, numbers: &[usize]) -> HashMap<usize, Content> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(HashMap::new());
    let work = || {
        while let Some(&number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(file) = index.files.get(number).filter(|file| file.left_out.is_none()) else {
                continue;
            };
            let Some(text) = walk::read(tree, &file.path).ok() else {
                continue;
            };
            // One that was changed meanwhile has other lines than those that are known.
            let hash = hash(text.as_bytes());
            if hash == file.content
                && let Ok(mut all) = all.lock()
            {
                let passages = passages::passages(file, &text, &index.names);
                all.insert(number, Content { hash, text, passages });
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..walk::threads() {
            scope.spawn(work);
        }
    });
    all.into_inner().unwrap_or_default()
}

/// Judges the passages of all candidates, and says what the best of each says of its file.
fn judge_all(
    contents: &mut HashMap<usize, Content>,
    index: &Index,
    lines: &HashMap<usize, BTreeSet<usize>>,
    query: &Query,
    matcher: &Matcher<'_>,
    telling: &Telling,
    signals: &mut [FileSignals],
) {
    let mut numbers: Vec<usize> = contents.keys().copied().collect();
    numbers.sort_unstable();
    let mut files: Vec<Judged> = Vec::new();
    for number in &numbers {
        if let (Some(content), Some(file)) = (contents.get_mut(number), index.files.get(*number)) {
            let passages = std::mem::take(&mut content.passages);
            let lines = lines.get(number).cloned().unwrap_or_default();
            files.push(Judged::new(
                &content.text,
                passages,
                is_test(&file.path),
                lines,
                matcher,
            ));
        }
    }
    judge(&mut files, query, matcher, telling);
    let best: Vec<f64> = files.iter().map(|file| passages::best(&file.passages)).collect();
    // Where no passage tells much, the best of them does not either.
    let most = best.iter().copied().fold(1.0, f64::max);
    for ((number, file), best) in numbers.into_iter().zip(files).zip(best) {
        if let Some(content) = contents.get_mut(&number) {
            content.passages = file.passages;
        }
        if let Some(signals) = signals.get_mut(number) {
            signals[at::PASSAGE] = best / most;
        }
    }
}

impl RankedFile {
    /// What speaks for it: signals with their values and what they add to its log-odds, the strongest first.
    pub(super) fn reasons(&self) -> Vec<(&'static str, f64, f64)> {
        reasons(&FILE_SIGNALS, &self.signals, &weights::file_shares(&self.signals))
    }
}

impl Passage {
    /// What speaks for it: signals with their values and what they add to its log-odds, the strongest first.
    pub(super) fn reasons(&self) -> Vec<(&'static str, f64, f64)> {
        reasons(
            &PASSAGE_SIGNALS,
            &self.signals,
            &weights::passage_shares(&self.signals),
        )
    }
}

fn reasons<const N: usize>(
    names: &[&'static str; N],
    signals: &[f64; N],
    weights: &[f64; N],
) -> Vec<(&'static str, f64, f64)> {
    let all = names.iter().zip(signals).zip(weights);
    let mut found: Vec<(&'static str, f64, f64)> = all
        .filter(|((_, signal), _)| **signal != 0.0)
        .map(|((name, signal), weight)| (*name, *signal, *weight))
        .collect();
    found.sort_by(|one, other| other.2.total_cmp(&one.2));
    found
}
