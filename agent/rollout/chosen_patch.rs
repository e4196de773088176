//! An attempt's patch: what the model handed in where that is one that applies, else what its copy changed.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use cwm_tools::bytes_path::{RepoPath, to_bytes};
use cwm_tools::patch::apply::{ApplyOptions, to_repository};
use cwm_tools::patch::{Change, Patch, parse};

/// What the model handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Submission {
    /// The patch file, as the model named it.
    pub(super) path: String,
    /// What it holds.
    pub(super) patch: String,
}

/// The submitted patch if it can be applied to the tree of the base, else why not.
pub(super) fn usable(submission: &Submission, tree: &Path) -> Result<Vec<u8>, String> {
    let bytes = submission.patch.as_bytes();
    let patch = parse(bytes).map_err(|error| error.to_string())?;
    let options = ApplyOptions {
        check_only: true,
        ..ApplyOptions::default()
    };
    let applied = to_repository(tree, &patch, options).map_err(|error| error.to_string())?;
    let repaired = applied.files.iter().any(|file| !file.repairs.is_empty());
    Ok(if repaired {
        patch.to_bytes()
    } else {
        bytes.to_vec()
    })
}

/// Where a file that the model named lies in the repository, if it does.
pub(super) fn in_repository(path: &str, root: &Path, working_directory: &Path) -> Option<RepoPath> {
    let absolute = plain(&working_directory.join(path.trim()));
    let relative = absolute.strip_prefix(root).ok()?;
    Some(to_bytes(relative).to_vec())
}

/// A path without `.` and `..`, as they are written: where symlinks lead is not looked at.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// The patch with so many of its new files left out, the largest first, that it has at most `most` bytes; their names are added to
/// `left_out`. `None` when it is too large even then.
pub(super) fn without_large_additions(
    patch: Vec<u8>,
    most: usize,
    left_out: &mut Vec<String>,
) -> Option<Vec<u8>> {
    if patch.len() <= most {
        return Some(patch);
    }
    let parsed = parse(&patch).ok()?;
    let deleted: HashSet<RepoPath> = parsed
        .files
        .iter()
        .filter(|file| file.change == Change::Deleted)
        .map(|file| file.path().to_vec())
        .collect();
    let mut parts = Vec::new();
    for file in parsed.files {
        // One that is deleted and made anew changes its type: its halves belong together.
        let can_go = file.change == Change::Added && !deleted.contains(file.path());
        let name = cwm_tools::bytes_path::display(file.path());
        let bytes = Patch { files: vec![file] }.to_bytes();
        parts.push((can_go, name, bytes));
    }
    let mut total: usize = parts.iter().map(|(_, _, bytes)| bytes.len()).sum();
    let mut largest: Vec<usize> = (0..parts.len()).collect();
    largest.sort_by_key(|&index| std::cmp::Reverse(parts.get(index).map_or(0, |(_, _, bytes)| bytes.len())));
    for index in largest {
        if total <= most {
            break;
        }
        if let Some((true, name, bytes)) = parts.get_mut(index) {
            total -= bytes.len();
            bytes.clear();
            left_out.push(std::mem::take(name));
        }
    }
    let kept = parts.into_iter().flat_map(|(_, _, bytes)| bytes);
    (total <= most).then(|| kept.collect())
}

/// The files that a patch adds, for people.
pub(super) fn added_files(patch: &[u8]) -> Vec<String> {
    let Ok(patch) = parse(patch) else {
        return Vec::new();
    };
    let added = patch.files.iter().filter(|file| file.change == Change::Added);
    added
        .map(|file| cwm_tools::bytes_path::display(file.path()))
        .collect()
}

#[cfg(test)]
#[path = "chosen_patch_tests.rs"]
mod tests;
