//! Which files have to do with each other: what one names and the other defines, imports, tests and what they test, what changed
//! together.
//!
//! Weights are whole numbers, so that sums do not depend on the order in which names were numbered.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::past::Past;
use super::{IndexedFile, Strings};
use crate::context::definitions::Kind;
use crate::context::imports::imports;
use crate::context::paths::Paths;
use crate::context::walk::is_test;

/// Names that more files define tell nothing of any.
const MOST_DEFINERS: usize = 10;
/// The strongest edges that a file keeps for what it names.
const MOST_REFERENCES: usize = 48;
/// What the kinds of edges weigh, beside a name that is rare and used once.
const ONE: f64 = 1024.0;
const IMPORT: u32 = 4 << 10;
const TESTED: u32 = 8 << 10;
const TOGETHER: f64 = 6.0;
/// Shorter names are everywhere.
const SHORTEST: usize = 4;

/// Edges from each file, by the files' numbers, with their weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Edges {
    /// Where each file's edges end.
    ends: Vec<u32>,
    edges: Vec<(u32, u32)>,
    /// Where each file's imports end, and the files that it imports.
    import_ends: Vec<u32>,
    imports: Vec<u32>,
}

impl Edges {
    /// The files that a file has to do with, and how much.
    pub(crate) fn of(&self, file: usize) -> &[(u32, u32)] {
        part(&self.ends, &self.edges, file)
    }

    /// The files that a file imports.
    pub(crate) fn imports(&self, file: usize) -> &[u32] {
        part(&self.import_ends, &self.imports, file)
    }
}

fn part<'a, T>(ends: &[u32], all: &'a [T], number: usize) -> &'a [T] {
    let end = ends.get(number).copied().unwrap_or(0) as usize;
    let start = number.checked_sub(1).and_then(|before| ends.get(before)).copied();
    all.get(start.unwrap_or(0) as usize..end).unwrap_or_default()
}

/// All edges between files.
pub(super) fn edges(files: &[IndexedFile], names: &Strings, past: &Past) -> Edges {
    let mut found: Vec<BTreeMap<u32, u32>> = vec![BTreeMap::new(); files.len()];
    add_references(&mut found, files, names);
    let imported = resolve(files, names);
    let mut add = |from: usize, to: u32, weight: u32| {
        if let Some(own) = found.get_mut(from).filter(|_| from != to as usize) {
            let sum = own.entry(to).or_default();
            *sum = sum.saturating_add(weight);
        }
    };
    for (file, imported) in imported.iter().enumerate() {
        for to in imported {
            add(file, *to, IMPORT);
        }
    }
    for (test, tested) in tests(files) {
        add(test, tested, TESTED);
        add(tested as usize, u32::try_from(test).unwrap_or(u32::MAX), TESTED);
    }
    for (one, other, weight) in &past.together {
        let weight = (f64::from(*weight) / 65_536.0 * TOGETHER * ONE) as u32;
        add(*one as usize, *other, weight);
        add(*other as usize, *one, weight);
    }
    let mut edges = Edges::default();
    for own in found {
        edges.edges.extend(own);
        edges
            .ends
            .push(u32::try_from(edges.edges.len()).unwrap_or(u32::MAX));
    }
    for own in imported {
        edges.imports.extend(own);
        let end = u32::try_from(edges.imports.len()).unwrap_or(u32::MAX);
        edges.import_ends.push(end);
    }
    edges
}

/// Edges to the files that define what a file names.
fn add_references(found: &mut [BTreeMap<u32, u32>], files: &[IndexedFile], names: &Strings) {
    // For each name the files that define it, once each, in their order.
    let mut definers: Vec<(u32, u32)> = Vec::new();
    let mut users = vec![0_u32; names.len()];
    for (file, number) in files.iter().zip(0_u32..) {
        let own = file.record.definitions();
        let own = own.filter(|one| one.kind != Kind::Constant || !is_test(&file.path));
        definers.extend(own.map(|one| (one.name, number)));
        for count in file.record.words().filter(|count| count.code > 0) {
            if let Some(users) = users.get_mut(count.word as usize) {
                *users += 1;
            }
        }
    }
    definers.sort_unstable();
    definers.dedup();
    let mut starts = vec![0_u32; names.len() + 1];
    for (name, _) in &definers {
        if let Some(start) = starts.get_mut(*name as usize + 1) {
            *start += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    let of_name = |name: u32| {
        let start = starts.get(name as usize).copied().unwrap_or(0) as usize;
        let end = starts.get(name as usize + 1).copied().unwrap_or(0) as usize;
        definers.get(start..end).unwrap_or_default()
    };
    for ((file, own), number) in files.iter().zip(found).zip(0_u32..) {
        let mut sums: HashMap<u32, u32> = HashMap::new();
        for count in file.record.words().filter(|count| count.code > 0) {
            let definers = of_name(count.word);
            let is_rare = (1..=MOST_DEFINERS).contains(&definers.len());
            if !is_rare || names.get(count.word).len() < SHORTEST {
                continue;
            }
            if definers.iter().any(|(_, definer)| *definer == number) {
                continue;
            }
            let users = users.get(count.word as usize).copied().unwrap_or(1).max(1);
            let rarity = (files.len() as f64 / f64::from(users)).ln().max(0.1);
            let weight = ONE / 4.0 * f64::from(count.code.min(16)).sqrt() * rarity / definers.len() as f64;
            for (_, definer) in definers {
                let sum = sums.entry(*definer).or_default();
                *sum = sum.saturating_add(weight as u32);
            }
        }
        let mut strongest: Vec<(u32, u32)> = sums.into_iter().filter(|(_, weight)| *weight > 0).collect();
        strongest.sort_unstable_by_key(|(file, weight)| (std::cmp::Reverse(*weight), *file));
        strongest.truncate(MOST_REFERENCES);
        own.extend(strongest);
    }
}

/// The files that each file imports.
fn resolve(files: &[IndexedFile], names: &Strings) -> Vec<Vec<u32>> {
    let paths = Paths::new(files.iter().map(|file| file.path.as_str()).collect(), "");
    let of_file = |file: &IndexedFile| {
        let own: Vec<_> = file.record.imports().collect();
        let own = own.iter().map(|one| {
            let taken: Vec<&str> = one.names.iter().map(|name| names.get(*name)).collect();
            (names.get(one.module), taken)
        });
        let found = imports(&paths, &file.path, own);
        found
            .into_iter()
            .filter_map(|file| u32::try_from(file).ok())
            .collect()
    };
    files.iter().map(of_file).collect()
}

/// Tests and what their names say that they test.
fn tests(files: &[IndexedFile]) -> Vec<(usize, u32)> {
    let mut code: HashMap<&str, Vec<u32>> = HashMap::new();
    for (file, number) in files.iter().zip(0_u32..) {
        if !is_test(&file.path) {
            code.entry(stem(&file.path)).or_default().push(number);
        }
    }
    let mut found = Vec::new();
    for (number, file) in files.iter().enumerate().filter(|(_, file)| is_test(&file.path)) {
        let name = stem(&file.path);
        let name = name
            .strip_prefix("test_")
            .or_else(|| name.strip_suffix("_test"))
            .or_else(|| name.strip_suffix("_tests"))
            .or_else(|| name.strip_suffix("Test"))
            .or_else(|| name.strip_suffix("Tests"))
            .unwrap_or(name);
        let named = code.get(name).map(Vec::as_slice).unwrap_or_default();
        let nearest = named.iter().max_by_key(|code| {
            let path = files.get(**code as usize).map_or("", |file| file.path.as_str());
            (common(path, &file.path), std::cmp::Reverse(**code))
        });
        found.extend(nearest.map(|code| (number, *code)));
    }
    found
}

/// A file's name up to its first dot.
fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('.').next().unwrap_or(name)
}

/// How many folders two paths share.
fn common(one: &str, other: &str) -> usize {
    let pairs = one.split('/').zip(other.split('/'));
    pairs.take_while(|(one, other)| one == other).count()
}
