//! Which files have to do with each other: what one names and the other defines, imports, tests and what they test, what changed
//! together.
//!
//! Weights are whole numbers, so that sums do not depend on the order in which names were numbered.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::past::Past;
use super::{IndexedFile, Strings, bulk};
use crate::context::definitions::Kind;
use crate::context::imports::imports;
use crate::context::paths::Paths;
use crate::context::walk::{is_test, threads};

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

/// Edges from each file, by the files' numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Edges {
    /// Where each file's edges end.
    #[serde(with = "bulk")]
    ends: Vec<[u32; 1]>,
    /// The other file, and the weight.
    #[serde(with = "bulk")]
    edges: Vec<[u32; 2]>,
    /// Where each file's imports end, and the files that it imports.
    #[serde(with = "bulk")]
    import_ends: Vec<[u32; 1]>,
    #[serde(with = "bulk")]
    imports: Vec<[u32; 1]>,
}

impl Edges {
    /// The files that a file has to do with, and how much.
    pub(crate) fn of(&self, file: usize) -> &[[u32; 2]] {
        part(&self.ends, &self.edges, file)
    }

    /// Whether these are edges between so many files.
    pub(super) fn is_sound(&self, files: usize) -> bool {
        let ends = [
            (&self.ends, self.edges.len()),
            (&self.import_ends, self.imports.len()),
        ];
        let has_all = |(ends, all): &(&Vec<[u32; 1]>, usize)| {
            let last = ends.last().map_or(0, |[end]| *end as usize);
            ends.len() == files && ends.is_sorted() && last == *all
        };
        let numbers = self
            .edges
            .iter()
            .map(|[to, _]| to)
            .chain(self.imports.as_flattened());
        ends.iter().all(has_all) && numbers.max().is_none_or(|most| (*most as usize) < files)
    }

    /// The files that a file imports.
    pub(crate) fn imports(&self, file: usize) -> impl Iterator<Item = usize> {
        let own = part(&self.import_ends, &self.imports, file);
        own.iter().map(|[file]| *file as usize)
    }
}

fn part<'a, T>(ends: &[[u32; 1]], all: &'a [T], number: usize) -> &'a [T] {
    let end = |number: usize| ends.get(number).map_or(0, |[end]| *end as usize);
    let start = number.checked_sub(1).map_or(0, end);
    all.get(start..end(number)).unwrap_or_default()
}

/// All edges between files. `old` are those of before, where the same files have the same numbers; what files import is taken from there,
/// but for those of which `is_changed` holds.
pub(super) fn edges(
    files: &[IndexedFile],
    names: &Strings,
    past: &Past,
    old: Option<(Edges, &[bool])>,
) -> Edges {
    let mut found = references(files, names);
    let imported = resolve(files, names, old);
    let mut add = |from: usize, to: u32, weight: u32| {
        if let Some(own) = found.get_mut(from).filter(|_| from != to as usize) {
            own.push([to, weight]);
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
    for [one, other, weight] in &past.together {
        let weight = (f64::from(*weight) / 65_536.0 * TOGETHER * ONE) as u32;
        add(*one as usize, *other, weight);
        add(*other as usize, *one, weight);
    }
    let mut edges = Edges::default();
    let end = |length: usize| [u32::try_from(length).unwrap_or(u32::MAX)];
    for mut own in found {
        own.sort_unstable();
        let start = edges.edges.len();
        for [to, weight] in own {
            match edges.edges.get_mut(start..).and_then(<[_]>::last_mut) {
                Some([last, sum]) if *last == to => *sum = sum.saturating_add(weight),
                _ => edges.edges.push([to, weight]),
            }
        }
        edges.ends.push(end(edges.edges.len()));
    }
    for own in imported {
        edges.imports.extend(own.into_iter().map(|file| [file]));
        edges.import_ends.push(end(edges.imports.len()));
    }
    edges
}

/// Does something for each share of the files on a thread of its own; the results are in the files' order. What is done gets the number
/// of its first file.
fn in_shares<T: Send>(files: &[IndexedFile], work: impl Fn(u32, &[IndexedFile]) -> T + Sync) -> Vec<T> {
    let share = files.len().div_ceil(threads()).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let mut begun = Vec::new();
        for (number, files) in files.chunks(share).enumerate() {
            let first = u32::try_from(number * share).unwrap_or(u32::MAX);
            begun.push(scope.spawn(move || work(first, files)));
        }
        begun
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    })
}

/// For each name the files that define it, once each, in their order.
struct Definers {
    starts: Vec<u32>,
    files: Vec<u32>,
}

impl Definers {
    fn of(files: &[IndexedFile], names: usize) -> Definers {
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for (file, number) in files.iter().zip(0_u32..) {
            let own = file.record.definitions();
            let own = own.filter(|one| one.kind != Kind::Constant || !is_test(&file.path));
            pairs.extend(own.map(|one| (one.name, number)));
        }
        pairs.sort_unstable();
        pairs.dedup();
        let mut starts = vec![0_u32; names + 1];
        for (name, _) in &pairs {
            if let Some(start) = starts.get_mut(*name as usize + 1) {
                *start += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let files = pairs.into_iter().map(|(_, file)| file).collect();
        Definers { starts, files }
    }

    fn of_name(&self, name: u32) -> &[u32] {
        let start = |name: usize| self.starts.get(name).copied().unwrap_or(0) as usize;
        let name = name as usize;
        self.files.get(start(name)..start(name + 1)).unwrap_or_default()
    }
}

/// In how many files each name is used as code.
fn users(files: &[IndexedFile], names: usize) -> Vec<u32> {
    let counted = in_shares(files, |_, files| {
        let mut users = vec![0_u32; names];
        let words = files.iter().flat_map(|file| file.record.words());
        for count in words.filter(|count| count.code > 0) {
            if let Some(users) = users.get_mut(count.word as usize) {
                *users += 1;
            }
        }
        users
    });
    let mut counted = counted.into_iter();
    let mut users = counted.next().unwrap_or_default();
    for more in counted {
        for (sum, more) in users.iter_mut().zip(more) {
            *sum += more;
        }
    }
    users
}

/// Edges to the files that define what a file names.
fn references(files: &[IndexedFile], names: &Strings) -> Vec<Vec<[u32; 2]>> {
    let users = users(files, names.len());
    let definers = Definers::of(files, names.len());
    let found = in_shares(files, |first, share| {
        let mut sums = Sums::new(files.len());
        let mut found = Vec::with_capacity(share.len());
        for (file, number) in share.iter().zip(first..) {
            for count in file.record.words().filter(|count| count.code > 0) {
                let definers = definers.of_name(count.word);
                let is_rare = (1..=MOST_DEFINERS).contains(&definers.len());
                if !is_rare || names.get(count.word).len() < SHORTEST || definers.contains(&number) {
                    continue;
                }
                let users = users.get(count.word as usize).copied().unwrap_or(1).max(1);
                let rarity = (files.len() as f64 / f64::from(users)).ln().max(0.1);
                let weight =
                    ONE / 4.0 * f64::from(count.code.min(16)).sqrt() * rarity / definers.len() as f64;
                for definer in definers {
                    sums.add(*definer, weight as u32);
                }
            }
            found.push(sums.take_strongest());
        }
        found
    });
    found.into_iter().flatten().collect()
}

/// Adds up what one file's names weigh for each other file.
struct Sums {
    by_file: Vec<u32>,
    touched: Vec<u32>,
}

impl Sums {
    fn new(files: usize) -> Sums {
        Sums {
            by_file: vec![0; files],
            touched: Vec::new(),
        }
    }

    fn add(&mut self, file: u32, weight: u32) {
        if let Some(sum) = self.by_file.get_mut(file as usize).filter(|_| weight > 0) {
            if *sum == 0 {
                self.touched.push(file);
            }
            *sum = sum.saturating_add(weight);
        }
    }

    /// The strongest, and nothing left.
    fn take_strongest(&mut self) -> Vec<[u32; 2]> {
        let mut strongest: Vec<[u32; 2]> = Vec::with_capacity(self.touched.len());
        for file in self.touched.drain(..) {
            if let Some(sum) = self.by_file.get_mut(file as usize) {
                strongest.push([file, std::mem::take(sum)]);
            }
        }
        let key = |[file, weight]: &[u32; 2]| (std::cmp::Reverse(*weight), *file);
        if strongest.len() > MOST_REFERENCES {
            strongest.select_nth_unstable_by_key(MOST_REFERENCES, key);
            strongest.truncate(MOST_REFERENCES);
        }
        strongest
    }
}

/// The files that each file imports.
fn resolve(files: &[IndexedFile], names: &Strings, old: Option<(Edges, &[bool])>) -> Vec<Vec<u32>> {
    let paths = Paths::new(files.iter().map(|file| file.path.as_str()).collect(), "");
    let of_file = |(number, file): (usize, &IndexedFile)| {
        if let Some((old, is_changed)) = &old
            && is_changed.get(number) == Some(&false)
        {
            return part(&old.import_ends, &old.imports, number)
                .iter()
                .map(|[file]| *file)
                .collect();
        }
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
    files.iter().enumerate().map(of_file).collect()
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
