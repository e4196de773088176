//! The `submit` tool: hands in a patch file, named by its path.
//!
//! In: a call's content, the path of a file in git's diff format. Out: its bytes, to be shown back for
//! review, or a typed [`SubmitError`]. The patch is not applied or judged here.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::create::split_path;
use crate::files::{FileArea, FileError};

/// The largest patch taken.
pub const MAX_PATCH_BYTES: u64 = 4 << 20;

/// How much of a file that is no patch is quoted in the error.
const MAX_QUOTED_CHARS: usize = 120;

/// A patch that was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The path as the model wrote it.
    pub path: String,
    /// The whole file.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// Why nothing was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum SubmitError {
    /// The content names no file.
    #[error("the call must hold the path of a patch file")]
    MissingPath,
    /// The content holds more than a path.
    #[error("the call must hold the path of a patch file and nothing else, but has {lines} lines")]
    MoreThanPath {
        /// Lines that are not blank.
        lines: usize,
    },
    /// The file has no content.
    #[error("`{path}` is empty")]
    Empty {
        /// The path as the model wrote it.
        path: String,
    },
    /// The file does not begin with `diff`.
    #[error("`{path}` is not a git diff: it must begin with `diff`, but begins with `{first_line}`")]
    NotADiff {
        /// The path as the model wrote it.
        path: String,
        /// How it begins instead.
        first_line: String,
    },
    /// The file system's side.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Reads the patch file that a call names.
pub fn run(area: &FileArea, content: &str) -> Result<Submitted, SubmitError> {
    let (path, rest) = split_path(content).ok_or(SubmitError::MissingPath)?;
    let more = rest.lines().filter(|line| !line.trim().is_empty()).count();
    if more > 0 {
        return Err(SubmitError::MoreThanPath { lines: more + 1 });
    }
    let path = path.to_owned();
    let bytes = area.read(&path, MAX_PATCH_BYTES)?;
    if bytes.trim_ascii().is_empty() {
        return Err(SubmitError::Empty { path });
    }
    if !bytes.starts_with(b"diff") {
        let first_line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let shown = first_line
            .get(..first_line.len().min(4 * MAX_QUOTED_CHARS))
            .unwrap_or_default();
        let first_line = crate::truncate::display_text(shown)
            .chars()
            .take(MAX_QUOTED_CHARS)
            .collect();
        return Err(SubmitError::NotADiff { path, first_line });
    }
    Ok(Submitted { path, bytes })
}

#[cfg(test)]
#[path = "submit_tests.rs"]
mod tests;
