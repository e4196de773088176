//! What changed together before, and what was changed lately.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use cwm_tools::workspace::History;
use serde::{Deserialize, Serialize};

use super::IndexedFile;

/// Commits that are looked at.
const MOST_COMMITS: usize = 1500;
/// Commits of more files tell nothing of any two of them.
const MOST_FILES: usize = 24;
/// Git gets so long; a repository for which that is too short has no past here.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A change counts half as much as one that came so many commits later.
const HALF: f64 = 400.0;
/// Parts of one.
const ONE: f64 = 65_536.0;

/// The past of an index's files, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// The commit up to which it was read.
    pub(crate) head: Option<String>,
    /// How much each file was changed, the later the more, in parts of 65536.
    pub(crate) changes: Vec<u32>,
    /// Files that changed together, the smaller number first, and how much.
    pub(crate) together: Vec<(u32, u32, u32)>,
}

/// The newest commit of the repository that a path lies in.
pub(super) fn head(repository: &Path) -> Option<String> {
    History::open(repository).ok().map(|history| history.head())
}

/// Reads the past. Paths are taken to be relative to the repository's root, or to the folder that was indexed.
pub(super) fn read(repository: &Path, head: Option<&str>, files: &[IndexedFile]) -> Past {
    let mut past = Past {
        head: head.map(str::to_owned),
        changes: vec![0; files.len()],
        together: Vec::new(),
    };
    let commits = head
        .and_then(|_| History::open(repository).ok())
        .and_then(|history| history.newest(MOST_COMMITS, TIMEOUT));
    let numbers: HashMap<&str, u32> = files
        .iter()
        .zip(0_u32..)
        .map(|(file, number)| (file.path.as_str(), number))
        .collect();
    let mut together: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    for (age, commit) in commits.unwrap_or_default().iter().enumerate() {
        let weight = ONE * 0.5_f64.powf(age as f64 / HALF);
        let mut own: Vec<u32> = commit
            .paths
            .iter()
            .filter_map(|path| numbers.get(path.as_str()).copied())
            .collect();
        own.sort_unstable();
        own.dedup();
        if own.len() > MOST_FILES {
            continue;
        }
        for (place, one) in own.iter().enumerate() {
            if let Some(changes) = past.changes.get_mut(*one as usize) {
                *changes = changes.saturating_add(weight as u32);
            }
            for other in own.iter().skip(place + 1) {
                let share = weight / (own.len() - 1) as f64;
                let sum = together.entry((*one, *other)).or_default();
                *sum = sum.saturating_add(share as u32);
            }
        }
    }
    past.together = together
        .into_iter()
        .map(|((one, other), weight)| (one, other, weight))
        .collect();
    past
}
