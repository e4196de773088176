//! Git diffs in and out.
//!
//! Out: a working tree on disk is scanned against the manifest of its base and rendered as one git diff, without a look at any
//! `.git` ([`diff_worktree`]; the sandbox's supervisor calls it inside). In: any diff that a model or a person wrote is read
//! ([`parse`]), mended where nothing is guessed, and applied in memory ([`apply_to`]) or to a user's repository, all of it or
//! nothing ([`apply::to_repository`]).
//!
//! Out: [`diff_worktree`] compares a working tree on disk with the [`manifest`] of its base and writes one git diff
//! that `git apply --index` takes; [`diff_trees`] does so for two trees of a repository. In: [`parse()`] reads what
//! tools and models submit, [`apply_to`] carries it out in memory, [`apply::to_repository`] on a working tree, all
//! or nothing. No `.git` of a scanned tree is ever read, so what is in it cannot matter.

pub mod apply;
mod binary;
mod diff;
mod ignored;
mod junk;
mod lines;
pub mod manifest;
mod objects;
mod parse;
mod quote;
mod renames;
mod render;
mod scan;
mod types;

pub use apply::{ApplyError, FileOutcome, FileState, Repair, apply_to};
pub use binary::BinaryError;
pub use diff::{DiffError, Entry, EntryChange, WorktreeDiff, diff_entries, diff_trees, diff_worktree};
pub use objects::{BaseObjects, ObjectsError};
pub use parse::{ParseError, parse};
pub use scan::{LeftOut, MOST_FILE_BYTES, Note, Scan, ScanError, ScanOptions, ScannedChange, scan};
pub use types::{
    BinaryHunk, BinaryKind, Body, Change, FilePatch, Hunk, Line, LineKind, Patch, Statistics, is_test_path,
};

#[cfg(test)]
#[path = "edits_tests.rs"]
mod edits_tests;
#[cfg(test)]
#[path = "replay_tests.rs"]
mod replay_tests;
#[cfg(test)]
mod testing;
