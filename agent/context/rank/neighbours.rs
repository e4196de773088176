//! What likely passages say of others: of those that they use or that use them, of namesakes, of what stands in the same class.

use super::Content;
use super::passages::{Passage, PassageKind, at};
use super::uses::{ByHash, name_hash};

/// The likeliest passages, whose names in turn make others likely.
const SEEDS: usize = 24;
/// Shorter names are everywhere.
const SHORTEST: usize = 4;
/// The length of a file, in bytes, that is neither long nor short, and what is divided by to come near to 1.
const USUAL_FILE: f64 = 10_000.0;
const LONG_FILES: f64 = 3.0;
const MANY_FILES: f64 = 5.0;

/// Sets what a file says of its passages: its likelihood, its length and how many files come before it.
pub(super) fn set_file(content: &mut Content, likelihood: f64, before: usize) {
    let bytes = content.text.len().max(100) as f64;
    for passage in &mut content.passages {
        passage.signals[at::FILE] = likelihood;
        passage.signals[at::LONG_FILE] = (bytes / USUAL_FILE).ln() / LONG_FILES;
        passage.signals[at::BEHIND] = (before as f64).ln_1p() / MANY_FILES;
    }
}

/// A function's name among the passages.
#[derive(Default)]
struct Name {
    /// How many functions have it, and how likely these are together.
    definers: f64,
    likelihood: f64,
    /// The likeliest of them, and the likeliest but for that one.
    best: f64,
    second: f64,
    /// How many passages use it.
    users: f64,
    /// How likely the passages are that use it, of the likeliest ones.
    used: f64,
}

/// Sets what passages say of each other.
pub(super) fn set_neighbours(files: &mut [&mut Content]) {
    let names = names(files);
    let most = |value: fn(&Name) -> f64| names.values().map(value).fold(1e-9, f64::max);
    let (most_used, most_namesake) = (most(|name| name.used), most(|name| name.second));
    let likeliest = passages(files)
        .map(|passage| passage.likelihood)
        .fold(1e-9, f64::max);
    let mut most_using = 1e-9_f64;
    for content in files.iter_mut() {
        let classes = classes(&content.passages);
        for passage in &mut content.passages {
            let own = name_hash(&passage.name);
            let using = passage.identifiers.iter().filter(|name| **name != own);
            let using = using.filter_map(|name| names.get(name)).map(Name::worth).sum();
            most_using = most_using.max(using);
            let name = names.get(&own).filter(|_| !passage.name.is_empty());
            let is_function = passage.kind == PassageKind::Function;
            let namesake = name.filter(|_| is_function && !passage.name.starts_with("__"));
            let namesake = namesake.map_or(0.0, |name| without(passage, name.best, name.second));
            let class = class(passage).and_then(|class| classes.get(&class));
            let class = class.map_or(0.0, |(best, second)| without(passage, *best, *second));
            passage.signals[at::USED] = (name.map_or(0.0, |name| name.used) / most_used).sqrt();
            passage.signals[at::USES] = using;
            passage.signals[at::SAME_NAME] = (namesake / most_namesake).min(1.0).sqrt();
            passage.signals[at::SAME_CLASS] = (class / likeliest).sqrt();
        }
    }
    for passage in files.iter_mut().flat_map(|content| &mut content.passages) {
        passage.signals[at::USES] = (passage.signals[at::USES] / most_using).sqrt();
    }
}

impl Name {
    fn add(&mut self, likelihood: f64) {
        self.definers += 1.0;
        self.likelihood += likelihood;
        add(&mut self.best, &mut self.second, likelihood);
    }

    /// What it says of a passage that uses it.
    fn worth(&self) -> f64 {
        self.likelihood / self.definers / self.users.max(1.0).sqrt()
    }
}

fn add(best: &mut f64, second: &mut f64, likelihood: f64) {
    *second = second.max(likelihood.min(*best));
    *best = best.max(likelihood);
}

/// The likeliest of some passages but for one of them.
fn without(passage: &Passage, best: f64, second: f64) -> f64 {
    if passage.likelihood < best { best } else { second }
}

fn passages<'c>(files: &'c [&mut Content]) -> impl Iterator<Item = &'c Passage> {
    files.iter().flat_map(|content| &content.passages)
}

/// The names of functions, by their hashes.
fn names(files: &[&mut Content]) -> ByHash<Name> {
    let mut names: ByHash<Name> = ByHash::default();
    let functions = |passage: &&Passage| passage.kind == PassageKind::Function;
    for passage in passages(files).filter(functions) {
        if passage.name.len() >= SHORTEST {
            names
                .entry(name_hash(&passage.name))
                .or_default()
                .add(passage.likelihood);
        }
    }
    for name in passages(files).flat_map(|passage| &passage.identifiers) {
        if let Some(name) = names.get_mut(name) {
            name.users += 1.0;
        }
    }
    let mut order: Vec<&Passage> = passages(files).collect();
    // Of equally likely ones the first come first.
    order.sort_by(|one, other| other.likelihood.total_cmp(&one.likelihood));
    for passage in order.into_iter().take(SEEDS) {
        let own = name_hash(&passage.name);
        for name in passage.identifiers.iter().filter(|name| **name != own) {
            if let Some(name) = names.get_mut(name) {
                name.used += passage.likelihood / name.definers;
            }
        }
    }
    names
}

/// The class that a passage is of, by its full name's hash; none for what is in no class.
fn class(passage: &Passage) -> Option<u64> {
    let (outer, name) = (&passage.container, &passage.name);
    match passage.kind {
        PassageKind::Function => (!outer.is_empty()).then(|| name_hash(outer)),
        PassageKind::Class if outer.is_empty() => Some(name_hash(name)),
        PassageKind::Class => Some(name_hash(&format!("{outer}.{name}"))),
        PassageKind::Outside => None,
    }
}

/// Of each class of a file the likeliest passage, and the likeliest but for that one.
fn classes(passages: &[Passage]) -> ByHash<(f64, f64)> {
    let mut classes = ByHash::default();
    for passage in passages {
        if let Some(class) = class(passage) {
            let (best, second) = classes.entry(class).or_insert((0.0, 0.0));
            add(best, second, passage.likelihood);
        }
    }
    classes
}
