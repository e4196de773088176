//! Carries out a [`Patch`]: in memory with [`apply_to`], or on a repository with [`to_repository`].
//!
//! A hunk goes where its lines are: at its stated place, else at the one other place that has exactly these lines,
//! else at the one place that has them but for white space at their ends. Everything else is an error that names
//! the hunk and the nearest places; nothing is guessed. Each repair is reported.

mod error;
mod place;
mod repository;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use crate::bytes_path::{self, RepoPath};

use super::binary;
use super::manifest::{FileMode, ObjectId};
use super::types::{Body, Change, FilePatch, Patch};

pub use error::{ApplyError, HunkProblem, Near};
pub use repository::{Applied, AppliedFile, ApplyOptions, to_repository};

/// A file as it is or will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// Its mode.
    pub mode: FileMode,
    /// Its bytes (a symlink's target; for a gitlink, the line `Subproject commit ID`).
    pub content: Vec<u8>,
}

/// What a patch does to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOutcome {
    /// What happened.
    pub change: Change,
    /// The path before.
    pub old_path: Option<RepoPath>,
    /// The path after.
    pub new_path: Option<RepoPath>,
    /// The file before.
    pub before: Option<FileState>,
    /// The file after.
    pub after: Option<FileState>,
    /// What was not as the patch said.
    pub repairs: Vec<Repair>,
}

/// Something in a patch that was wrong and could be put right without a guess. Hunks count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Repair {
    /// The hunk's lines were found elsewhere.
    Moved {
        /// Which hunk.
        hunk: usize,
        /// The line it said, when it said one.
        stated: Option<u32>,
        /// The line where it went.
        found: u32,
    },
    /// The hunk's counts were wrong.
    Recounted {
        /// Which hunk.
        hunk: usize,
    },
    /// The hunk's lines differed from the file's by white space at their ends.
    Whitespace {
        /// Which hunk.
        hunk: usize,
    },
    /// The file's lines end with `\r\n`, and so do the added ones now.
    LineEndings {
        /// Which hunk.
        hunk: usize,
    },
    /// The file was said to be changed, but is new.
    CreatedMissing,
    /// The change was merged with others made since.
    ThreeWay,
}

impl std::fmt::Display for Repair {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Repair::Moved {
                hunk,
                stated: Some(stated),
                found,
            } => {
                write!(
                    out,
                    "hunk {hunk} was said to be at line {stated} and was applied at line {found}"
                )
            }
            Repair::Moved {
                hunk,
                stated: None,
                found,
            } => write!(out, "hunk {hunk} was applied at line {found}"),
            Repair::Recounted { hunk } => write!(out, "hunk {hunk} stated wrong line counts"),
            Repair::Whitespace { hunk } => write!(out, "hunk {hunk} differed in white space at line ends"),
            Repair::LineEndings { hunk } => write!(out, "hunk {hunk} was given the file's CRLF line ends"),
            Repair::CreatedMissing => out.write_str("the file was said to be changed, but is new"),
            Repair::ThreeWay => out.write_str("merged with changes made since"),
        }
    }
}

/// Reads a file before the patch; `None` when there is none.
pub type ReadFile<'a> =
    dyn Fn(&[u8]) -> Result<Option<FileState>, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// What the patch does to the files that `read` shows. Nothing is written.
pub fn apply_to(patch: &Patch, read: &ReadFile<'_>) -> Result<Vec<FileOutcome>, ApplyError> {
    let mut series = Series::new(patch, read);
    patch
        .files
        .iter()
        .map(|file| series.apply(file, &file_body))
        .collect()
}

/// Makes a file's new content of its old one: the place where a three-way merge may step in.
type ApplyBody<'a> = dyn Fn(&FilePatch, &[u8]) -> Result<(Vec<u8>, Vec<Repair>), ApplyError> + 'a;

/// The state between the files of one patch.
struct Series<'a> {
    read: &'a ReadFile<'a>,
    /// What paths hold now, where the patch has touched them.
    now: BTreeMap<RepoPath, Option<FileState>>,
    /// Paths whose file of before the patch goes away somewhere in it.
    leaving: BTreeSet<&'a [u8]>,
}

impl<'a> Series<'a> {
    fn new(patch: &'a Patch, read: &'a ReadFile<'a>) -> Series<'a> {
        let leaves = |file: &&FilePatch| matches!(file.change, Change::Deleted | Change::Renamed { .. });
        let leaving = patch
            .files
            .iter()
            .filter(leaves)
            .filter_map(|file| file.old_path.as_deref())
            .collect();
        Series {
            read,
            now: BTreeMap::new(),
            leaving,
        }
    }

    /// The file before the whole patch.
    fn original(&self, path: &[u8]) -> Result<Option<FileState>, ApplyError> {
        (self.read)(path).map_err(|source| ApplyError::Read {
            file: bytes_path::display(path),
            source,
        })
    }

    fn current(&self, path: &[u8]) -> Result<Option<FileState>, ApplyError> {
        match self.now.get(path) {
            Some(state) => Ok(state.clone()),
            None => self.original(path),
        }
    }

    fn apply(&mut self, file: &FilePatch, apply_body: &ApplyBody<'_>) -> Result<FileOutcome, ApplyError> {
        let before = self.before(file)?;
        let named = || bytes_path::display(file.path());
        if let Some(path) = &file.new_path
            && file.old_path.as_ref() != Some(path)
        {
            let leaves =
                self.leaving.contains(path.as_slice()) && !matches!(self.now.get(path), Some(Some(_)));
            if !leaves && self.current(path)?.is_some() {
                return Err(ApplyError::AlreadyExists { file: named() });
            }
        }
        let mut repairs = Vec::new();
        if before.is_none() && file.change == Change::Modified {
            repairs.push(Repair::CreatedMissing);
        }
        let old_content = before
            .as_ref()
            .map(|state| state.content.as_slice())
            .unwrap_or_default();
        let (content, found) = apply_body(file, old_content)?;
        repairs.extend(found);
        let after = if file.change == Change::Deleted {
            let unread = file.body == Body::None && id_fits(file.old_id.as_deref(), old_content)?;
            if !content.is_empty() && !unread {
                return Err(ApplyError::LeavesContent { file: named() });
            }
            None
        } else {
            Some(FileState {
                mode: mode_after(file, before.as_ref()),
                content,
            })
        };
        self.record(file, after.as_ref());
        let (old_path, new_path) = (file.old_path.clone(), file.new_path.clone());
        Ok(FileOutcome {
            change: file.change,
            old_path,
            new_path,
            before,
            after,
            repairs,
        })
    }

    /// The file that a patch begins from.
    fn before(&self, file: &FilePatch) -> Result<Option<FileState>, ApplyError> {
        let Some(path) = &file.old_path else {
            return Ok(None);
        };
        // As for git, renames and copies begin from the tree before the patch, whatever their order.
        let before = match file.change {
            Change::Renamed { .. } | Change::Copied { .. } => self.original(path)?,
            _ => self.current(path)?,
        };
        let Some(state) = before else {
            let creates = file.change == Change::Modified
                && matches!(&file.body, Body::Text(hunks) if hunks.iter().all(|hunk| hunk.old_lines() == 0));
            if creates {
                return Ok(None);
            }
            return Err(ApplyError::Missing {
                file: bytes_path::display(path),
            });
        };
        let stated = file.old_mode.unwrap_or(FileMode::Regular);
        let kind = |mode: FileMode| mode.bits() & 0o170_000;
        let says_kind = file.old_mode.is_some() || file.body != Body::None;
        if says_kind && kind(stated) != kind(state.mode) {
            return Err(ApplyError::WrongKind {
                file: bytes_path::display(path),
                stated,
                found: state.mode,
            });
        }
        Ok(Some(state))
    }

    fn record(&mut self, file: &FilePatch, after: Option<&FileState>) {
        if let Some(old) = &file.old_path
            && matches!(file.change, Change::Deleted | Change::Renamed { .. })
            && !matches!(
                (file.change, self.now.get(old)),
                (Change::Renamed { .. }, Some(Some(_)))
            )
        {
            self.now.insert(old.clone(), None);
        }
        if let (Some(new), Some(after)) = (&file.new_path, after) {
            self.now.insert(new.clone(), Some(after.clone()));
        }
    }
}

fn mode_after(file: &FilePatch, before: Option<&FileState>) -> FileMode {
    match (file.old_mode, file.new_mode, before) {
        (Some(old), Some(new), Some(before)) if old == new => before.mode,
        (_, Some(new), _) => new,
        (_, None, before) => before.map_or(FileMode::Regular, |before| before.mode),
    }
}

/// Whether a (shortened) id names this content.
fn id_fits(id: Option<&str>, content: &[u8]) -> Result<bool, ApplyError> {
    let Some(id) = id else { return Ok(false) };
    Ok(ObjectId::of_blob(content)
        .map_err(ApplyError::Git)?
        .to_string()
        .starts_with(id))
}

/// Applies a file's body exactly as it stands.
fn file_body(file: &FilePatch, old: &[u8]) -> Result<(Vec<u8>, Vec<Repair>), ApplyError> {
    let named = || bytes_path::display(file.path());
    match &file.body {
        Body::None => Ok((old.to_vec(), Vec::new())),
        Body::BinaryOmitted => Err(ApplyError::BinaryOmitted { file: named() }),
        Body::Binary { forward, .. } => {
            let is_full = |id: &Option<String>| id.as_ref().is_some_and(|id| id.len() == 40);
            let old_fits = file.change == Change::Added || id_fits(file.old_id.as_deref(), old)?;
            if !is_full(&file.old_id) || !old_fits {
                return Err(ApplyError::BinaryBase { file: named() });
            }
            let new = binary::unpack(forward, old).map_err(|source| ApplyError::Binary {
                file: named(),
                source,
            })?;
            let new_fits = file.change == Change::Deleted || id_fits(file.new_id.as_deref(), &new)?;
            if !new_fits {
                return Err(ApplyError::BinaryResult { file: named() });
            }
            Ok((new, Vec::new()))
        }
        Body::Text(hunks) => {
            // Without a line to go by, only the old content's id can vouch for a place.
            let vouched = old.is_empty() || id_fits(file.old_id.as_deref(), old)?;
            place::apply(old, hunks, vouched).map_err(|(hunk, problem)| ApplyError::Hunk {
                file: named(),
                hunk,
                stated: hunks.get(hunk - 1).and_then(|hunk| hunk.old_start),
                problem,
            })
        }
    }
}

#[cfg(test)]
#[path = "../apply_tests.rs"]
mod tests;
