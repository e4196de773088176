//! From the changed entries of a tree to a [`Patch`]: pairs renames, splits changes of type into a deletion and
//! an addition as git does, and compares contents. Two doors: [`diff_worktree`] for a working tree on disk and
//! [`diff_trees`] for two trees of a repository.

use std::collections::BTreeSet;
use std::path::Path;

use crate::bytes_path::RepoPath;

use super::manifest::{FileMode, Manifest, ObjectId};
use super::objects::{BaseObjects, ObjectsError};
use super::renames::{self, Candidate};
use super::scan::{Note, ScanError, ScanOptions, scan};
use super::types::{Body, Change, FilePatch, Patch};
use super::{binary, lines};

/// Contents above this size are written as binary, whatever they hold.
const MOST_TEXT_BYTES: usize = 32 << 20;

/// One side of a changed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The mode.
    pub mode: FileMode,
    /// The blob.
    pub id: ObjectId,
    /// The blob's bytes (a symlink's target; for a gitlink, the line `Subproject commit ID` that stands for it).
    pub content: Vec<u8>,
}

/// A path that differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryChange {
    /// The path.
    pub path: RepoPath,
    /// What was there.
    pub old: Option<Entry>,
    /// What is there.
    pub new: Option<Entry>,
}

/// What a working tree changed against its base.
#[derive(Debug, Clone)]
pub struct WorktreeDiff {
    /// The diff as text, empty when nothing changed.
    pub bytes: Vec<u8>,
    /// The same as data.
    pub patch: Patch,
    /// What was left out, and why.
    pub notes: Vec<Note>,
}

/// Why there is no diff.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The working tree could not be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The base could not be read.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// Two trees could not be compared.
    #[error("two trees could not be compared: {0}")]
    Trees(#[from] git2::Error),
}

/// The diff of the working tree at `root` against the base that `manifest` describes.
pub fn diff_worktree(
    root: &Path,
    manifest: &Manifest,
    objects: &BaseObjects,
    options: &ScanOptions,
) -> Result<WorktreeDiff, DiffError> {
    let scan = scan(root, manifest, options)?;
    let mut changes = Vec::with_capacity(scan.changes.len());
    for change in scan.changes {
        let old = match change.old {
            Some((mode, id)) => Some(Entry {
                mode,
                id,
                content: objects.blob(id)?,
            }),
            None => None,
        };
        changes.push(EntryChange {
            path: change.path,
            old,
            new: change.new,
        });
    }
    let patch = diff_entries(&changes)?;
    Ok(WorktreeDiff {
        bytes: patch.to_bytes(),
        patch,
        notes: scan.notes,
    })
}

/// The diff between two trees of one repository.
pub fn diff_trees(
    repository: &git2::Repository,
    old: Option<&git2::Tree<'_>>,
    new: Option<&git2::Tree<'_>>,
) -> Result<Patch, DiffError> {
    let mut options = git2::DiffOptions::new();
    options
        .include_typechange(true)
        .context_lines(0)
        .skip_binary_check(true)
        .ignore_submodules(false);
    let diff = repository.diff_tree_to_tree(old, new, Some(&mut options))?;
    let side = |file: &git2::DiffFile<'_>| -> Result<Option<Entry>, git2::Error> {
        let Some(mode) = FileMode::from_bits(u32::from(file.mode())) else {
            return Ok(None);
        };
        let content = match mode {
            FileMode::Gitlink => format!("Subproject commit {}\n", file.id()).into_bytes(),
            _ => repository.find_blob(file.id())?.content().to_vec(),
        };
        Ok(Some(Entry {
            mode,
            id: file.id().into(),
            content,
        }))
    };
    let mut changes = Vec::new();
    for delta in diff.deltas() {
        let path = delta
            .new_file()
            .path_bytes()
            .or(delta.old_file().path_bytes())
            .unwrap_or_default();
        let old = if delta.status() == git2::Delta::Added {
            None
        } else {
            side(&delta.old_file())?
        };
        let new = if delta.status() == git2::Delta::Deleted {
            None
        } else {
            side(&delta.new_file())?
        };
        changes.push(EntryChange {
            path: path.to_vec(),
            old,
            new,
        });
    }
    Ok(diff_entries(&changes)?)
}

/// The patch of the given changes, in order of path.
pub fn diff_entries(changes: &[EntryChange]) -> Result<Patch, git2::Error> {
    let mut deleted = Vec::new();
    let mut added = Vec::new();
    let mut files = Vec::new();
    for change in changes {
        match (&change.old, &change.new) {
            (Some(old), None) => deleted.push((change.path.as_slice(), old)),
            (None, Some(new)) => added.push((change.path.as_slice(), new)),
            (Some(old), Some(new)) if kind(old.mode) == kind(new.mode) => {
                if old.mode != new.mode || old.id != new.id {
                    files.push(modified(&change.path, old, new));
                }
            }
            (Some(old), Some(new)) => {
                files.push(one_sided(&change.path, old, Change::Deleted));
                files.push(one_sided(&change.path, new, Change::Added));
            }
            (None, None) => {}
        }
    }
    let pairs = renames::find(&candidates(&deleted), &candidates(&added));
    for rename in &pairs {
        if let (Some(old), Some(new)) = (deleted.get(rename.old), added.get(rename.new)) {
            files.push(renamed(*old, *new, rename.similarity));
        }
    }
    let old_used: BTreeSet<usize> = pairs.iter().map(|rename| rename.old).collect();
    let new_used: BTreeSet<usize> = pairs.iter().map(|rename| rename.new).collect();
    for (index, (path, entry)) in deleted.iter().enumerate() {
        if !old_used.contains(&index) {
            files.push(one_sided(path, entry, Change::Deleted));
        }
    }
    for (index, (path, entry)) in added.iter().enumerate() {
        if !new_used.contains(&index) {
            files.push(one_sided(path, entry, Change::Added));
        }
    }
    // Stable: a deletion stays before the addition that replaces it.
    files.sort_by(|left, right| left.path().cmp(right.path()));
    Ok(Patch { files })
}

/// The regular files among one side. Symlinks are not paired: their text is one line, and `git apply` refuses a
/// file below a symlink that a rename moves away.
fn candidates<'a>(side: &[(&'a [u8], &'a Entry)]) -> Vec<Candidate<'a>> {
    let regular = |mode| matches!(mode, FileMode::Regular | FileMode::Executable);
    side.iter()
        .map(|(path, entry)| Candidate {
            path,
            content: if regular(entry.mode) {
                entry.content.as_slice()
            } else {
                &[]
            },
        })
        .collect()
}

/// Modes between which a change is no change of type.
fn kind(mode: FileMode) -> u32 {
    mode.bits() & 0o170_000
}

fn one_sided(path: &[u8], entry: &Entry, change: Change) -> FilePatch {
    let zeros = "0".repeat(40);
    let id = entry.id.to_string();
    let added = change == Change::Added;
    let content = entry.content.as_slice();
    let (old, new) = if added {
        (&[][..], content)
    } else {
        (content, &[][..])
    };
    FilePatch {
        change,
        old_path: (!added).then(|| path.to_vec()),
        new_path: added.then(|| path.to_vec()),
        old_mode: (!added).then_some(entry.mode),
        new_mode: added.then_some(entry.mode),
        old_id: Some(if added { zeros.clone() } else { id.clone() }),
        new_id: Some(if added { id } else { zeros }),
        body: body(old, new),
    }
}

fn modified(path: &[u8], old: &Entry, new: &Entry) -> FilePatch {
    two_sided((path, old), (path, new), Change::Modified)
}

fn renamed(old: (&[u8], &Entry), new: (&[u8], &Entry), similarity: u8) -> FilePatch {
    two_sided(old, new, Change::Renamed { similarity })
}

/// The change of a file that is there before and after. Modes and ids stand only where git would write them.
fn two_sided(old: (&[u8], &Entry), new: (&[u8], &Entry), change: Change) -> FilePatch {
    let ((old_path, old), (new_path, new)) = (old, new);
    let content_differs = old.id != new.id;
    let say_modes = content_differs || old.mode != new.mode;
    FilePatch {
        change,
        old_path: Some(old_path.to_vec()),
        new_path: Some(new_path.to_vec()),
        old_mode: say_modes.then_some(old.mode),
        new_mode: say_modes.then_some(new.mode),
        old_id: content_differs.then(|| old.id.to_string()),
        new_id: content_differs.then(|| new.id.to_string()),
        body: if content_differs {
            body(&old.content, &new.content)
        } else {
            Body::None
        },
    }
}

fn body(old: &[u8], new: &[u8]) -> Body {
    if old == new {
        return Body::None;
    }
    let binary = |content: &[u8]| content.len() > MOST_TEXT_BYTES || lines::is_binary(content);
    if binary(old) || binary(new) {
        return Body::Binary {
            forward: binary::literal(new),
            reverse: Some(binary::literal(old)),
        };
    }
    Body::Text(lines::hunks(old, new))
}
