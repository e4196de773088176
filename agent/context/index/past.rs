//! What changed together before, what was changed lately, and what was said of it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use cwm_tools::truncate::beginning;
use cwm_tools::workspace::History;
use serde::{Deserialize, Serialize};

use super::strings::{Interner, Strings};
use super::{Index, IndexedFile, bulk, identifiers};

/// Commits that are looked at.
const MOST_COMMITS: usize = 1500;
/// Commits of more files tell nothing of any two of them.
const MOST_FILES: usize = 24;
/// Of commits that changed more, no paths are kept, whatever of them is left today.
const MOST_PATHS: usize = 1000;
/// Of a message so many bytes are read: what stands behind is seldom about the change.
const MOST_MESSAGE: usize = 4 << 10;
/// Git gets so long; a repository for which that is too short has no past here.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A change counts half as much as one that came so many commits later.
const HALF: f64 = 400.0;
/// Parts of one.
const ONE: f64 = 65_536.0;

/// The newest commits of a repository, whatever of their files is left.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Commits {
    /// The newest one.
    pub(super) head: Option<String>,
    paths: Strings,
    /// The paths that the commits changed, by their numbers, the newest commit first.
    changed: Rows<1>,
    words: Strings,
    /// The words of the commits' messages, by their numbers, with how often they stand there.
    said: Rows<2>,
}

/// What belongs to each of many commits, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Rows<const N: usize> {
    #[serde(with = "bulk")]
    all: Vec<[u32; N]>,
    /// Where each commit's rows end.
    #[serde(with = "bulk")]
    ends: Vec<[u32; 1]>,
}

/// The past of an index's files, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// How much each file was changed, the later the more, in parts of 65536.
    #[serde(with = "bulk")]
    changes: Vec<[u32; 1]>,
    /// Files that changed together, the smaller number first, and how much.
    #[serde(with = "bulk")]
    pub(crate) together: Vec<[u32; 3]>,
    /// The files that the commits changed; none of a commit of too many.
    changed: Rows<1>,
}

/// A commit of which files are left.
pub(crate) struct Message<'i> {
    /// The numbers of the files that it changed.
    pub(crate) files: &'i [[u32; 1]],
    /// The words of its message, by their numbers among [`Index::said`], with how often they stand there.
    pub(crate) words: &'i [[u32; 2]],
}

/// The newest commit of the repository that a path lies in.
pub(super) fn head(repository: &Path) -> Option<String> {
    History::open(repository).ok().map(|history| history.head())
}

impl Commits {
    /// Reads the commits up to `head`.
    pub(super) fn read(repository: &Path, head: Option<&str>) -> Commits {
        let mut read = Commits {
            head: head.map(str::to_owned),
            ..Commits::default()
        };
        let commits = head
            .and_then(|_| History::open(repository).ok())
            .and_then(|history| history.newest(MOST_COMMITS, TIMEOUT));
        let (mut paths, mut words) = (Interner::default(), Interner::default());
        for commit in commits.unwrap_or_default() {
            let is_told = commit.paths.len() <= MOST_PATHS;
            let changed = commit.paths.iter().filter(|_| is_told);
            read.changed
                .push(changed.filter_map(|path| paths.id(path)).map(|number| [number]));
            read.said.push(counted(&commit.message, &mut words));
        }
        read.paths = paths.strings;
        read.words = words.strings;
        read
    }
}

impl<const N: usize> Rows<N> {
    /// Adds what belongs to the next commit.
    fn push(&mut self, rows: impl IntoIterator<Item = [u32; N]>) {
        self.all.extend(rows);
        self.ends
            .push([u32::try_from(self.all.len()).unwrap_or(u32::MAX)]);
    }

    /// What belongs to each commit.
    fn iter(&self) -> impl Iterator<Item = &[[u32; N]]> {
        let mut start = 0;
        self.ends.iter().map(move |[end]| {
            let own = self.all.get(start..*end as usize).unwrap_or_default();
            start = *end as usize;
            own
        })
    }
}

/// The words of a message, by their numbers, with how often they stand there.
fn counted(message: &str, words: &mut Interner) -> Vec<[u32; 2]> {
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    identifiers(beginning(message, MOST_MESSAGE), |_, word| {
        if let Some(number) = words.id(word) {
            *counts.entry(number).or_default() += 1;
        }
    });
    counts.into_iter().map(|(word, count)| [word, count]).collect()
}

impl Index {
    /// The words of commits' messages.
    pub(crate) fn said(&self) -> &Strings {
        &self.commits.words
    }

    /// The commits of which files are left, the newest first.
    pub(crate) fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        let both = self.past.changed.iter().zip(self.commits.said.iter());
        let messages = both.map(|(files, words)| Message { files, words });
        messages.filter(|message| !message.files.is_empty())
    }
}

impl Past {
    /// What commits say of files. Paths are taken to be relative to the repository's root, or to the folder that was indexed.
    pub(super) fn of(commits: &Commits, files: &[IndexedFile]) -> Past {
        let by_path: HashMap<&str, u32> = files
            .iter()
            .zip(0_u32..)
            .map(|(file, number)| (file.path.as_str(), number))
            .collect();
        let numbers: Vec<Option<u32>> = commits
            .paths
            .iter()
            .map(|path| by_path.get(path).copied())
            .collect();
        let mut changes = vec![[0]; files.len()];
        let mut together: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        let mut files_changed = Rows::default();
        for (age, changed) in commits.changed.iter().enumerate() {
            let weight = ONE * 0.5_f64.powf(age as f64 / HALF);
            let own = changed.iter().map(|[path]| numbers.get(*path as usize));
            let mut own: Vec<u32> = own.filter_map(|number| number.copied().flatten()).collect();
            own.sort_unstable();
            own.dedup();
            if own.len() > MOST_FILES {
                own.clear();
            }
            files_changed.push(own.iter().map(|file| [*file]));
            for (place, one) in own.iter().enumerate() {
                if let Some([changes]) = changes.get_mut(*one as usize) {
                    *changes = u32::saturating_add(*changes, weight as u32);
                }
                for other in own.iter().skip(place + 1) {
                    let share = weight / (own.len() - 1) as f64;
                    let sum = together.entry((*one, *other)).or_default();
                    *sum = sum.saturating_add(share as u32);
                }
            }
        }
        let together = together.into_iter();
        Past {
            changes,
            together: together
                .map(|((one, other), weight)| [one, other, weight])
                .collect(),
            changed: files_changed,
        }
    }

    /// Whether this is the past of so many files.
    pub(super) fn is_sound(&self, files: usize) -> bool {
        let together = self.together.iter().flat_map(|[one, other, _]| [*one, *other]);
        let mut numbers = together.chain(self.changed.all.iter().map(|[file]| *file));
        self.changes.len() == files && numbers.all(|number| (number as usize) < files)
    }

    /// How much a file was changed.
    pub(crate) fn changes(&self, file: usize) -> u32 {
        self.changes.get(file).map_or(0, |[changes]| *changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_together_is_known_of_files_that_come_later() {
        let mut paths = Interner::default();
        let mut id = |path: &str| [paths.id(path).unwrap()];
        let mut changed = Rows::default();
        changed.push([id("b"), id("a"), id("gone")]);
        changed.push([]);
        changed.push([id("a"), id("c")]);
        let commits = Commits {
            head: None,
            changed,
            paths: paths.strings,
            ..Commits::default()
        };
        let past = |paths: &[&str]| {
            let file = |path: &&str| IndexedFile {
                path: (*path).to_owned(),
                ..IndexedFile::default()
            };
            let files: Vec<IndexedFile> = paths.iter().map(file).collect();
            Past::of(&commits, &files)
        };
        let few = past(&["a", "b"]);
        assert_eq!(few.together, [[0, 1, 65_536]]);
        assert!(few.changes(0) > few.changes(1) && few.changes(1) == 65_536);
        let more = past(&["a", "aa", "b", "c"]);
        assert_eq!((more.together[0], more.changes(1)), ([0, 2, 65_536], 0));
        assert_eq!(more.together[1][..2], [0, 3]);
        assert!(more.is_sound(4) && !more.is_sound(3));
        // Each commit keeps its place, also one of which no file is left.
        let files: Vec<&[[u32; 1]]> = more.changed.iter().collect();
        assert_eq!(files, [&[[0], [2]][..], &[], &[[0], [3]]]);
    }
}
