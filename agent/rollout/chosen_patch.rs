//! An attempt's patch: what the model handed in where that is one that applies, else what its copy changed.

use std::path::Path;

use cwm_tools::bytes_path::{RepoPath, to_bytes};
use cwm_tools::patch::apply::{ApplyOptions, to_repository};
use cwm_tools::patch::{Change, parse};

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
    let absolute = working_directory.join(path.trim());
    let relative = absolute.strip_prefix(root).ok()?;
    Some(to_bytes(relative).to_vec())
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
