//! What can go wrong while a repository is copied, and what a person should know although nothing went wrong.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Why no isolated copy could be made.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// No repository at or above the folder.
    #[error("{0} is not inside a git repository; run `git init` and commit there, or name another folder")]
    NotARepository(PathBuf),
    /// A repository without a working tree.
    #[error("{0} is a bare repository, without a working tree; clone it and name the clone")]
    Bare(PathBuf),
    /// SHA-256 object names.
    #[error(
        "{0} uses SHA-256 object names, which cwm does not read yet; clone its files into a repository made with `git init --object-format=sha1`"
    )]
    Sha256(PathBuf),
    /// The repository uses something that cannot be read.
    #[error("{path} cannot be read as a git repository: {source}")]
    Unreadable {
        /// The repository.
        path: PathBuf,
        /// What libgit2 said.
        source: git2::Error,
    },
    /// `HEAD` names a branch that has no commit.
    #[error("{0} has no commit yet; commit something first, so that there is a base to compare with")]
    NoCommit(PathBuf),
    /// The revision asked for does not exist.
    #[error("`{revision}` names no commit of {path}; `git log` shows those that exist")]
    MissingBase {
        /// What was asked for.
        revision: String,
        /// The repository.
        path: PathBuf,
    },
    /// Uncommitted work belongs on `HEAD`, not on another commit.
    #[error(
        "uncommitted changes can only be taken on top of HEAD, and `{0}` is another commit; leave out one of the two"
    )]
    UncommittedElsewhere(String),
    /// The index holds conflicts.
    #[error(
        "paths with unresolved merge conflicts: {count} (the first is {first}); resolve them, or leave uncommitted work out"
    )]
    Unmerged {
        /// How many paths.
        count: usize,
        /// One of them.
        first: String,
    },
    /// A needed object is not in the repository (partial clone, damage).
    #[error(
        "object {id} ({path}) is missing from the repository; run `git fetch --refetch` (or `git checkout HEAD -- .` in a partial clone) to download it"
    )]
    MissingObject {
        /// Its id.
        id: String,
        /// Where it is used.
        path: String,
    },
    /// A tree holds a name that must not be written to disk.
    #[error("the commit holds the path `{0}`, which is not safe to write to disk; `git fsck` tells more")]
    UnsafePath(String),
    /// `git` failed.
    #[error("`git {command}` failed in {path}: {message}")]
    Git {
        /// The command.
        command: String,
        /// The repository.
        path: PathBuf,
        /// Its error output.
        message: String,
    },
    /// A library call on the repository failed.
    #[error("reading the git repository failed: {0}")]
    Library(#[from] git2::Error),
    /// The file system refused.
    #[error("{action} {path} failed: {source}")]
    Io {
        /// What was tried, as in "reading".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A run's folder does not hold what it should.
    #[error("{0} holds no usable snapshot (damaged, or of another version of cwm); start a new run")]
    Damaged(PathBuf),
    /// An attempt's name is not a plain file name.
    #[error("`{0}` cannot name an attempt; use letters, digits, `-`, `_` and `.`, not starting with `.`")]
    AttemptName(String),
    /// A run's id does not exist or is in use.
    #[error("run {0} is not there to be resumed, or another cwm process holds it")]
    NoSuchRun(String),
    /// A run that is over cannot go on.
    #[error("run {0} is over and cannot be resumed; `cwm runs show {0}` shows it")]
    RunFinished(String),
    /// A process works on the run.
    #[error("run {0} is in use by another cwm process; end that one first")]
    RunInUse(String),
    /// No run is meant by the word.
    #[error("no run is called `{given}`; there are {}", listed(known))]
    UnknownRun {
        /// What was asked for.
        given: String,
        /// All ids, newest first.
        known: Vec<String>,
    },
    /// More than one run is meant by the word.
    #[error("`{given}` could be any of {}; write more of the id", listed(matching))]
    AmbiguousRun {
        /// What was asked for.
        given: String,
        /// The ids that begin so.
        matching: Vec<String>,
    },
    /// There are no runs.
    #[error("there are no runs")]
    NoRuns,
}

/// The first of many, and how many more.
fn listed(words: &[String]) -> String {
    const MOST: usize = 8;
    let shown = words.get(..MOST).unwrap_or(words).join(", ");
    match words.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

impl WorkspaceError {
    /// For `map_err`: an input or output error with what was tried and where.
    pub(crate) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> WorkspaceError + use<E> {
        let path = path.to_owned();
        move |source| WorkspaceError::Io {
            action,
            path,
            source: source.into(),
        }
    }
}

/// Something a person should know about a snapshot. Paths are relative to the repository, ready for display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// Tool caches were left out.
    CachesLeftOut(usize),
    /// A file or folder that may hold secrets was left out, or is hidden in a mounted folder.
    SecretLeftOut(String),
    /// A repository inside the repository was left out.
    NestedRepository(String),
    /// A submodule is an empty folder in the copy: the user has not checked it out at the recorded commit.
    SubmoduleEmpty(String),
    /// An ignored file or folder was left out because of its size or the number of mounts.
    TooLarge(String),
    /// A file is kept as git stores it, since a filter that cwm does not run makes its working-tree form.
    Filtered(String),
    /// As [`Note::Filtered`], and its uncommitted change is left out.
    FilteredChange(String),
    /// A file mixes line endings in the working tree; the copy has the form that git stores.
    MixedLineEndings(String),
    /// A file has no content that could be read (permissions, a socket, a device) and was left out.
    NotReadable(String),
    /// History is incomplete: the repository is a partial clone.
    PartialHistory,
    /// No `git` command was found; the built-in library packed the history, which is slower.
    NoGitCommand,
}

impl std::fmt::Display for Note {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Note::CachesLeftOut(count) => write!(out, "{count} tool caches were left out of the copy"),
            Note::SecretLeftOut(path) => write!(out, "{path} may hold secrets and is not in the copy"),
            Note::NestedRepository(path) => {
                write!(out, "{path} is a repository of its own and is not in the copy")
            }
            Note::SubmoduleEmpty(path) => write!(
                out,
                "submodule {path} is empty in the copy; `git submodule update --init {path}` would fill it"
            ),
            Note::TooLarge(path) => write!(
                out,
                "{path} is ignored by git and too large to copy; it is left out"
            ),
            Note::Filtered(path) => write!(
                out,
                "{path} is in the copy as git stores it, its filter is not run"
            ),
            Note::FilteredChange(path) => {
                write!(
                    out,
                    "the uncommitted change of {path} is left out, since its filter is not run"
                )
            }
            Note::MixedLineEndings(path) => {
                write!(out, "{path} mixes line endings; the copy has it as git stores it")
            }
            Note::NotReadable(path) => write!(out, "{path} could not be read and is not in the copy"),
            Note::PartialHistory => write!(out, "the repository is a partial clone; some history is missing"),
            Note::NoGitCommand => write!(out, "no `git` command was found; packing the history took longer"),
        }
    }
}
