//! Which files, and which parts of them, matter to an issue.

mod messages;
mod neighbours;
mod passages;
mod signals;
mod uses;
mod weights;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::index::{Index, IndexedFile, Strings, hash};
use super::lines::Lines;
use super::paths::Paths;
use super::query::Query;
use super::walk::{Tree, is_test, threads};

use passages::{Judged, PASSAGE_SIGNALS, judge};
pub(super) use passages::{Passage, PassageKind};
use signals::{FILE_SIGNALS, FileSignals, at, is_code};
use uses::{KnownWords, Matcher, Telling, in_files};

/// Files whose text is looked at.
const CANDIDATES: usize = 200;
/// Log-odds of files are divided by this, to be a signal like the others.
const FILE_ODDS: f64 = 8.0;
/// How often passages say of each other how likely they are.
const ROUNDS: usize = 2;
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
    pub(super) lines: Lines,
    pub(super) passages: Vec<Passage>,
}

impl Content {
    /// Lines of the text, from 0.
    pub(super) fn part(&self, lines: Range<usize>) -> &str {
        self.lines.part(&self.text, lines)
    }
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
    let mut files = read(index, tree, candidates, &lines, &matcher);
    judge(&mut files, &query, &matcher, &telling);
    let mut contents = take_judged(files, &mut signals);
    let odds = behind_code(odds(&signals), &signals);
    sort(&mut order, &odds, index);
    set_likelihoods(&mut contents, &order, &odds);
    let files = order.into_iter().filter_map(|number| {
        let file = index.files.get(number)?;
        let odds = odds.get(number).copied()?;
        let content = contents.remove(&number);
        let signals = signals.get(number).copied()?;
        Some(RankedFile {
            path: file.path.clone(),
            number,
            is_test: signals[at::TEST] > 0.0,
            is_source: signals[at::OTHER] == 0.0,
            likelihood: weights::likelihood(odds),
            signals,
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
fn behind_code(mut odds: Vec<f64>, signals: &[FileSignals]) -> Vec<f64> {
    let code = odds.iter().zip(signals).filter(|(_, signals)| is_code(signals));
    let best = code.map(|(odds, _)| *odds).fold(f64::MIN, f64::max);
    for (odds, signals) in odds.iter_mut().zip(signals) {
        if best > f64::MIN && !is_code(signals) {
            *odds = odds.min(best - BEHIND);
        }
    }
    odds
}

/// Says of each passage how likely it is, then again with what the likeliest say of others.
fn set_likelihoods(contents: &mut HashMap<usize, Content>, order: &[usize], odds: &[f64]) {
    let mut ranks = vec![0; odds.len()];
    for (rank, number) in order.iter().enumerate() {
        if let Some(place) = ranks.get_mut(*number) {
            *place = rank;
        }
    }
    let mut all: Vec<(usize, &mut Content)> = contents
        .iter_mut()
        .map(|(number, content)| (*number, content))
        .collect();
    all.sort_by_key(|(number, _)| *number);
    let likelihoods = |content: &mut Content| {
        for passage in &mut content.passages {
            passage.likelihood = weights::likelihood(weights::passage(&passage.signals));
        }
    };
    for (number, content) in &mut all {
        let file = odds.get(*number).copied().unwrap_or(0.0);
        let before = ranks.get(*number).copied().unwrap_or(0);
        neighbours::set_file(content, file / FILE_ODDS, before);
        likelihoods(content);
    }
    let mut contents: Vec<&mut Content> = all.into_iter().map(|(_, content)| content).collect();
    for _ in 0..ROUNDS {
        neighbours::set_neighbours(&mut contents);
        contents.iter_mut().for_each(|content| likelihoods(content));
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

/// Reads the texts of files, as far as they are still what the index knows, and looks at their words. In order of the files' numbers.
fn read(
    index: &Index,
    tree: &Path,
    numbers: &[usize],
    lines: &HashMap<usize, BTreeSet<usize>>,
    matcher: &Matcher<'_>,
) -> Vec<(usize, Judged)> {
    let Ok(tree) = Tree::open(tree) else {
        return Vec::new();
    };
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::new());
    let work = || {
        let mut known = KnownWords::new(matcher);
        while let Some(&number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(file) = index.files.get(number).filter(|file| file.left_out.is_none()) else {
                continue;
            };
            let Some(content) = content(file, &tree, &index.names) else {
                continue;
            };
            let lines = lines.get(&number).cloned().unwrap_or_default();
            let judged = Judged::new(content, is_test(&file.path), lines, &mut known);
            if let Ok(mut all) = all.lock() {
                all.push((number, judged));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(work);
        }
    });
    let mut all = all.into_inner().unwrap_or_default();
    all.sort_unstable_by_key(|(number, _)| *number);
    all
}

/// A file's text cut into passages; none when it is not what the index knows: its lines are others then.
fn content(file: &IndexedFile, tree: &Tree<'_>, names: &Strings) -> Option<Content> {
    let text = tree.read(&file.path).ok()?;
    let hash = hash(text.as_bytes());
    if hash != file.content {
        return None;
    }
    let lines = Lines::of(&text);
    let passages = passages::passages(file, &lines, names);
    Some(Content {
        hash,
        text,
        lines,
        passages,
    })
}

/// Says what the best passage of each says of its file, and gives the files' contents by their numbers.
fn take_judged(files: Vec<(usize, Judged)>, signals: &mut [FileSignals]) -> HashMap<usize, Content> {
    let best = |file: &Judged| passages::best(&file.content.passages);
    // Where no passage tells much, the best of them does not either.
    let most = files.iter().map(|(_, file)| best(file)).fold(1.0, f64::max);
    let mut contents = HashMap::with_capacity(files.len());
    for (number, file) in files {
        if let Some(signals) = signals.get_mut(number) {
            signals[at::PASSAGE] = best(&file) / most;
        }
        contents.insert(number, file.content);
    }
    contents
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
