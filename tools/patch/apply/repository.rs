//! `cwm apply`: a patch onto a working tree, and its index when asked. All or nothing: every change is checked and
//! every new content is written beside before the first file of the tree is touched.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bytes_path::{self, RepoPath};

use super::super::junk;
use super::super::manifest::FileMode;
use super::super::types::{Body, Change, FilePatch, Patch, is_test_path};
use super::stage::{OnDisk, Stage, Tree};
use super::{ApplyError, FileState, Repair, Series, file_body};

/// How a patch is to be applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Change the index too; it must match the working tree for the files concerned.
    pub index: bool,
    /// Where a hunk has no place, merge with the changes made since, from the blob that the `index` line names.
    pub three_way: bool,
    /// Only say whether it would apply.
    pub check_only: bool,
    /// Leave what lies at the paths of tests ([`is_test_path`]) as it is. The patch must apply as a whole all the same.
    pub leave_tests: bool,
}

/// What was (or would be) applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// In the order of the patch.
    pub files: Vec<AppliedFile>,
    /// Paths that the patch changes and that were left as they were.
    pub left: Vec<RepoPath>,
}

/// What was done to one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedFile {
    /// What happened.
    pub change: Change,
    /// The path before.
    pub old_path: Option<RepoPath>,
    /// The path after.
    pub new_path: Option<RepoPath>,
    /// What was not as the patch said.
    pub repairs: Vec<Repair>,
}

/// A path whose file changes.
pub(super) struct Step {
    pub(super) path: RepoPath,
    pub(super) before: Option<FileState>,
    pub(super) after: Option<FileState>,
}

/// Applies a patch to the working tree at `root`.
pub fn to_repository(root: &Path, patch: &Patch, options: ApplyOptions) -> Result<Applied, ApplyError> {
    for file in &patch.files {
        for path in [&file.old_path, &file.new_path].into_iter().flatten() {
            check_path(path)?;
        }
        if file.old_mode == Some(FileMode::Gitlink) || file.new_mode == Some(FileMode::Gitlink) {
            return Err(ApplyError::Submodule {
                file: bytes_path::display(file.path()),
            });
        }
        if file.new_mode == Some(FileMode::Symlink) {
            let name = file
                .path()
                .rsplit(|byte| *byte == b'/')
                .next()
                .unwrap_or_default();
            if junk::is_forbidden_symlink(name) {
                let why = "git refuses a symlink of this name";
                return Err(ApplyError::ForbiddenPath {
                    file: bytes_path::display(file.path()),
                    why,
                });
            }
        }
    }
    let repository = if options.index || options.three_way {
        Some(open(root)?)
    } else {
        None
    };
    let tree = Tree::open(root)?;
    let read = |path: &[u8]| tree.read(path);
    let (files, mut steps) = plan(patch, &read, repository.as_ref().filter(|_| options.three_way))?;
    check_shape(&tree, &steps)?;
    let mut left = Vec::new();
    if options.leave_tests {
        let tests = steps.extract_if(.., |step| is_test_path(&step.path));
        left = tests.map(|step| step.path).collect();
    }
    let mut index = match &repository {
        Some(repository) if options.index => Some(repository.index()?),
        _ => None,
    };
    if let Some(index) = &mut index {
        index.read(true)?;
        check_index(index, &steps)?;
    }
    if !options.check_only {
        let mut stage = Stage::prepare(&tree, &steps)?;
        let done = stage
            .replace(&steps)
            .and_then(|()| match (&repository, &mut index) {
                (Some(repository), Some(index)) => write_index(repository, index, &tree, &steps),
                _ => Ok(()),
            });
        stage.finish(done)?;
    }
    Ok(Applied { files, left })
}

/// Refuses paths that leave the working tree or enter a `.git`.
fn check_path(path: &[u8]) -> Result<(), ApplyError> {
    let forbidden = |why| {
        Err(ApplyError::ForbiddenPath {
            file: bytes_path::display(path),
            why,
        })
    };
    if path.starts_with(b"/") {
        return forbidden("it is absolute; paths are relative to the repository's root");
    }
    if path.is_empty() || path.contains(&0) {
        return forbidden("it is no file name");
    }
    if path.split(|byte| *byte == b'/').any(|part| part == b"..") {
        return forbidden("it leads out of the repository by `..`");
    }
    if path.split(|byte| *byte == b'/').any(junk::is_forbidden_part) {
        return forbidden("it has an empty part, or one that git keeps for itself");
    }
    Ok(())
}

/// Opens the repository whose working tree this is.
fn open(root: &Path) -> Result<git2::Repository, ApplyError> {
    let failed = |why: String| ApplyError::Repository {
        path: root.to_owned(),
        why,
    };
    let repository = git2::Repository::open(root).map_err(|error| {
        failed(format!(
            "no git repository can be opened here ({})",
            error.message()
        ))
    })?;
    let workdir = repository.workdir().and_then(|path| path.canonicalize().ok());
    let given = root.canonicalize().ok();
    if workdir.is_none() || workdir != given {
        return Err(failed("this is not the root of a git working tree".to_owned()));
    }
    Ok(repository)
}

type Planned = (Vec<AppliedFile>, Vec<Step>);

/// What the patch does, file by file, and what that comes to for each path.
fn plan(
    patch: &Patch,
    read: &super::ReadFile<'_>,
    merge: Option<&git2::Repository>,
) -> Result<Planned, ApplyError> {
    let conflicts = RefCell::new(Vec::new());
    let apply_body = |file: &FilePatch, old: &[u8]| match (file_body(file, old), merge) {
        (Err(error), Some(repository)) => match merge_body(repository, file, old)? {
            Merged::Clean(content) => Ok((content, vec![Repair::ThreeWay])),
            Merged::Conflict => {
                conflicts.borrow_mut().push(bytes_path::display(file.path()));
                Ok((old.to_vec(), Vec::new()))
            }
            Merged::NoBase => Err(error),
        },
        (result, _) => result,
    };
    let mut series = Series::new(patch, read);
    let mut files = Vec::new();
    for file in &patch.files {
        let outcome = series.apply(file, &apply_body)?;
        let super::FileOutcome {
            change,
            old_path,
            new_path,
            repairs,
            ..
        } = outcome;
        files.push(AppliedFile {
            change,
            old_path,
            new_path,
            repairs,
        });
    }
    let now = std::mem::take(&mut series.now);
    let mut steps = Vec::new();
    for (path, after) in now {
        let before = series.original(&path)?;
        if before != after {
            steps.push(Step { path, before, after });
        }
    }
    let conflicts = conflicts.into_inner();
    if conflicts.is_empty() {
        Ok((files, steps))
    } else {
        Err(ApplyError::Conflicts { files: conflicts })
    }
}

enum Merged {
    Clean(Vec<u8>),
    Conflict,
    /// The repository lacks the content that the patch was made for.
    NoBase,
}

/// Applies a file's change to the content it was made for, and merges the result with the present content.
fn merge_body(repository: &git2::Repository, file: &FilePatch, ours: &[u8]) -> Result<Merged, ApplyError> {
    let Body::Text(_) = &file.body else {
        return Ok(Merged::NoBase);
    };
    let id = file
        .old_id
        .as_deref()
        .filter(|id| id.bytes().any(|digit| digit != b'0'));
    let Some(Ok(object)) = id.map(|id| repository.find_object_by_prefix(id, Some(git2::ObjectType::Blob)))
    else {
        return Ok(Merged::NoBase);
    };
    let Some(blob) = object.as_blob() else {
        return Ok(Merged::NoBase);
    };
    let Ok((theirs, _)) = file_body(file, blob.content()) else {
        return Ok(Merged::NoBase);
    };
    if file.change == Change::Deleted || super::super::lines::is_binary(ours) {
        return Ok(Merged::Conflict);
    }
    let input = |content| {
        let mut input = git2::MergeFileInput::new();
        input.content(content);
        input
    };
    let merged = git2::merge_file(&input(blob.content()), &input(ours), &input(&theirs), None)?;
    Ok(if merged.is_automergeable() {
        Merged::Clean(merged.content().to_vec())
    } else {
        Merged::Conflict
    })
}

/// Checks that what the steps make of the tree can be: no file behind a symlink or another file, and no file in
/// the place of a folder that keeps files.
fn check_shape(tree: &Tree, steps: &[Step]) -> Result<(), ApplyError> {
    let after: BTreeMap<&[u8], bool> = steps
        .iter()
        .map(|step| (step.path.as_slice(), step.after.is_some()))
        .collect();
    let leaving: BTreeSet<&[u8]> = after
        .iter()
        .filter(|(_, stays)| !**stays)
        .map(|(path, _)| *path)
        .collect();
    for step in steps.iter().filter(|step| step.after.is_some()) {
        let file = || bytes_path::display(&step.path);
        for (at, _) in step.path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let parent = step.path.get(..at).unwrap_or_default();
            if after.get(parent) == Some(&true) {
                return Err(ApplyError::FileAndFolder {
                    file: bytes_path::display(parent),
                });
            }
            if leaving.contains(parent) {
                break;
            }
            match tree.look(parent)? {
                OnDisk::Folder => {}
                OnDisk::Nothing => break,
                OnDisk::Symlink => {
                    let why = "a folder on its way is a symlink";
                    return Err(ApplyError::ForbiddenPath { file: file(), why });
                }
                OnDisk::File | OnDisk::Other => {
                    return Err(ApplyError::FileAndFolder {
                        file: bytes_path::display(parent),
                    });
                }
            }
        }
        let keeps_files = || tree.keeps_files(&step.path, &leaving);
        match (&step.before, tree.look(&step.path)?) {
            (None, OnDisk::Folder) if keeps_files()? => {
                return Err(ApplyError::FileAndFolder { file: file() });
            }
            (None, OnDisk::Other) => return Err(ApplyError::AlreadyExists { file: file() }),
            _ => {}
        }
    }
    Ok(())
}

/// Checks that the index holds for each path what the working tree does.
fn check_index(index: &git2::Index, steps: &[Step]) -> Result<(), ApplyError> {
    for step in steps {
        let differs = |why| {
            Err(ApplyError::Index {
                file: bytes_path::display(&step.path),
                why,
            })
        };
        let path = bytes_path::to_path(&step.path);
        if (1..=3).any(|stage| index.get_path(path, stage).is_some()) {
            return differs("it has unresolved conflicts in the index");
        }
        match (index.get_path(path, 0), &step.before) {
            (None, None) => {}
            (Some(_), None) => return differs("it is in the index but not in the working tree"),
            (None, Some(_)) => return differs("it is not in the index"),
            (Some(entry), Some(before)) => {
                let id = git2::Oid::hash_object(git2::ObjectType::Blob, &before.content)?;
                if entry.id != id || FileMode::from_bits(entry.mode) != Some(before.mode) {
                    return differs("the working tree differs from the index");
                }
            }
        }
    }
    Ok(())
}

/// Writes the steps' results into the index.
fn write_index(
    repository: &git2::Repository,
    index: &mut git2::Index,
    tree: &Tree,
    steps: &[Step],
) -> Result<(), ApplyError> {
    for step in steps.iter().filter(|step| step.after.is_none()) {
        index.remove(bytes_path::to_path(&step.path), 0)?;
    }
    for step in steps {
        let Some(after) = &step.after else { continue };
        let id = repository.blob(&after.content)?;
        let mut entry = git2::IndexEntry {
            ctime: git2::IndexTime::new(0, 0),
            mtime: git2::IndexTime::new(0, 0),
            dev: 0,
            ino: 0,
            mode: after.mode.bits(),
            uid: 0,
            gid: 0,
            file_size: 0,
            id,
            flags: 0,
            flags_extended: 0,
            path: step.path.clone(),
        };
        // Git takes an entry with these fields as unchanged without reading the file.
        tree.fill_stat(&step.path, &mut entry)?;
        index.add(&entry)?;
    }
    index.write()?;
    Ok(())
}

#[cfg(test)]
#[path = "../repository_tests.rs"]
mod tests;
