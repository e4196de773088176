//! The `create` tool: a new file from `PATH\ncontent`.
//!
//! In: a call's content. Out: the path and line count of the file made, or a typed [`CreateError`].
//! The path must be free and its folder must exist; the file appears whole or not at all.
//!
//! # The last line's end
//! A call's grammar takes the newline before `</tool>`, so the content of an ordinary text file arrives
//! without its last newline, and the tool that the model was trained with wrote it that way. Here a newline is
//! added to content that does not end with one. A model that left an empty line before `</tool>` to get its
//! newline gets that one and no second. Only a text file without a final newline cannot be made, and `bash` can.
//! A path without content makes an empty file.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::files::{FileArea, FileError, check_text};

/// A `create` call's content, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRequest {
    /// The file to make.
    pub path: String,
    /// Its content, with the last line's end.
    pub content: String,
}

/// A file that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateDone {
    /// The path as the model wrote it.
    pub path: String,
    /// How many lines it has.
    pub lines: usize,
}

/// Why no file was made.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum CreateError {
    /// The content names no file.
    #[error("the first line must be the path of the new file")]
    MissingPath,
    /// The file system's side.
    #[error(transparent)]
    File(#[from] FileError),
}

impl CreateRequest {
    /// Reads `PATH\ncontent`; blank lines before the path are passed over.
    pub fn parse(content: &str) -> Result<CreateRequest, CreateError> {
        let (path, rest) = split_path(content).ok_or(CreateError::MissingPath)?;
        let mut content = rest.to_owned();
        if !content.is_empty() && !content.ends_with('\n') {
            content.push('\n');
        }
        Ok(CreateRequest {
            path: path.to_owned(),
            content,
        })
    }
}

/// Makes the file that a call asks for.
pub fn run(area: &FileArea, content: &str) -> Result<CreateDone, CreateError> {
    let request = CreateRequest::parse(content)?;
    check_text(&request.path, request.content.as_bytes())?;
    area.create_new(&request.path, request.content.as_bytes())?;
    Ok(CreateDone {
        lines: request.content.lines().count(),
        path: request.path,
    })
}

/// The path on the first line that is not blank, and what follows that line.
pub(crate) fn split_path(content: &str) -> Option<(&str, &str)> {
    let mut rest = content;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if !line.trim().is_empty() {
            return Some((line.trim(), after));
        }
        rest = after;
    }
    None
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
