//! Work of our own code inside a sandbox, done in a forked child of the supervisor that no other program can
//! look into: the file tools, the diff of the copy against its base, and a patch onto the copy. What enters is a [`Task`]; what leaves is its
//! result in postcard's encoding, a `Result` whose error is the tool's own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::files::{FileArea, FileError};
use crate::patch::apply::{Applied, ApplyOptions, to_repository};
use crate::patch::manifest::Manifest;
use crate::patch::{BaseObjects, Note, ScanOptions, Statistics, diff_worktree, parse};
use crate::{create, edit, submit};

/// Something to do inside.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// One of the file tools, with a call's content.
    File {
        tool: FileTool,
        #[serde(with = "crate::bytes_path::serde_paths")]
        roots: Vec<PathBuf>,
        #[serde(with = "crate::bytes_path::serde_path")]
        working_directory: PathBuf,
        content: String,
    },
    /// What the copy changed against its base.
    Diff(DiffRequest),
    /// A patch onto the copy.
    Apply(ApplyRequest),
    /// How large a plain file is.
    Size(#[serde(with = "crate::bytes_path::serde_path")] PathBuf),
}

/// The tools that work on files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileTool {
    Edit,
    Create,
    Submit,
}

/// What a diff is made of; all paths are inside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DiffRequest {
    /// The copy.
    #[serde(with = "crate::bytes_path::serde_path")]
    pub root: PathBuf,
    /// The base's [`Manifest`], encoded.
    #[serde(with = "crate::bytes_path::serde_path")]
    pub manifest: PathBuf,
    /// The base's object folder.
    #[serde(with = "crate::bytes_path::serde_path")]
    pub objects: PathBuf,
    /// What to leave out.
    pub options: ScanOptions,
}

/// A patch, and where it goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApplyRequest {
    /// The copy, inside.
    #[serde(with = "crate::bytes_path::serde_path")]
    pub root: PathBuf,
    /// Any git diff or plain unified diff.
    #[serde(with = "serde_bytes")]
    pub patch: Vec<u8>,
    /// Leave what lies at the paths of tests as it is.
    pub leave_tests: bool,
}

/// Why a patch was not applied to a copy, in a sentence. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{0}")]
pub struct ApplyRefused(pub String);

/// What a copy changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffDone {
    /// One git diff; empty when nothing changed.
    #[serde(with = "serde_bytes")]
    pub patch: Vec<u8>,
    /// Its size.
    pub statistics: Statistics,
    /// What is not in it, and why.
    pub notes: Vec<Note>,
}

impl Task {
    /// Does the task and writes its result.
    pub(crate) fn run_and_write(self, to: OwnedFd) -> io::Result<()> {
        let result = match self {
            Task::File {
                tool,
                roots,
                working_directory,
                content,
            } => {
                let area = open_area(roots, working_directory);
                match tool {
                    FileTool::Edit => encode(
                        area.map_err(edit::EditError::from)
                            .and_then(|area| edit::run(&area, &content)),
                    ),
                    FileTool::Create => encode(
                        area.map_err(create::CreateError::from)
                            .and_then(|area| create::run(&area, &content)),
                    ),
                    FileTool::Submit => encode(
                        area.map_err(submit::SubmitError::from)
                            .and_then(|area| submit::run(&area, &content)),
                    ),
                }
            }
            Task::Diff(request) => encode(diff(&request)),
            Task::Apply(request) => encode(apply(&request)),
            Task::Size(path) => {
                let plain = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file);
                encode(plain.map(|metadata| metadata.len()))
            }
        };
        File::from(to).write_all(&result?)
    }
}

/// Folders that a command removed meanwhile are no reason to refuse the others.
fn open_area(roots: Vec<PathBuf>, working_directory: PathBuf) -> Result<FileArea, FileError> {
    let roots: Vec<PathBuf> = roots.into_iter().filter(|root| root.is_dir()).collect();
    FileArea::open(&roots, working_directory)
}

fn diff(request: &DiffRequest) -> Result<DiffDone, String> {
    let encoded = fs::read(&request.manifest).map_err(|error| {
        format!(
            "{}: the base's manifest cannot be read: {error}",
            request.manifest.display()
        )
    })?;
    let manifest = Manifest::decode(&encoded).map_err(|error| error.to_string())?;
    let objects = BaseObjects::open(&request.objects).map_err(|error| error.to_string())?;
    let done = diff_worktree(&request.root, &manifest, &objects, &request.options)
        .map_err(|error| error.to_string())?;
    Ok(DiffDone {
        patch: done.bytes,
        statistics: done.patch.statistics(),
        notes: done.notes,
    })
}

fn apply(request: &ApplyRequest) -> Result<Applied, ApplyRefused> {
    let refused = |error: &dyn std::fmt::Display| ApplyRefused(error.to_string());
    let patch = parse(&request.patch).map_err(|error| refused(&error))?;
    let options = ApplyOptions {
        leave_tests: request.leave_tests,
        ..ApplyOptions::default()
    };
    to_repository(&request.root, &patch, options).map_err(|error| refused(&error))
}

fn encode<T: Serialize>(result: T) -> io::Result<Vec<u8>> {
    postcard::to_allocvec(&result).map_err(io::Error::other)
}
