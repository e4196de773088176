//! From a user's repository to an attempt's own copy.
//!
//! Enters: a repository, the folder of a run, and what to take (the commit alone, uncommitted work, new files, the
//! environment that git ignores). Leaves: one immutable [`Snapshot`] a run (a tree, a `.git` that holds nothing but
//! the base commit and its ancestors, an object store with exactly those objects, a manifest), and for each
//! [`Attempt`] the mounts of a copy-on-write layer on it, to be seen at the repository's own absolute path. [`runs`]
//! keeps the runs' folders. The user's tree, index, `HEAD`, refs and hooks are read and never written; the
//! repository is read by libgit2 and by `git pack-objects` with its hooks, monitors and locks off.

mod attempt;
mod convert;
mod disk;
mod environment;
mod error;
mod found;
mod git_command;
mod gitdir;
mod history;
mod index_file;
mod layout;
mod objects;
pub mod runs;
mod secrets;
mod snapshot;
mod source;
mod store;
mod working;

pub use attempt::{Attempt, Copying};
pub use error::{Note, WorkspaceError};
pub use history::{History, PastCommit};
pub use snapshot::{Snapshot, SnapshotCost, SnapshotOptions};

/// Where an attempt sees the run's object store.
pub const STORE_INSIDE: &str = "/run/cwm/store";
/// Where an attempt sees the manifest of its base tree.
pub const MANIFEST_INSIDE: &str = "/run/cwm/manifest";

/// The root of the working tree that a path lies in.
pub fn working_tree(path: &std::path::Path) -> Result<std::path::PathBuf, WorkspaceError> {
    source::UserRepository::open_for_commits(path).map(|repository| repository.root)
}

/// Author of commits made for a run, and the user of an attempt's `git`.
const NAME: &str = "cwm";
const EMAIL: &str = "cwm@localhost";

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
