//! The `edit` tool: replaces lines of an existing file.
//!
//! In: a call's content, `PATH\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE`. Out: where the file
//! changed and how it reads there now ([`EditDone`]), or an [`EditError`] with what would help the model to
//! get it right. An edit is never guessed: the search text is there, whole lines, verbatim, exactly once, or
//! nothing is written.
//!
//! # Where this differs from the tool that the model was trained with
//! - A line's end is no part of its text: search text with `\n` finds lines that end in `\r\n`. Lines that the
//!   edit does not change keep their bytes, ends included (also those repeated at the block's top and
//!   bottom); new lines end as the first line found does. There the whole file lost its `\r`.
//! - The last search line must be a whole line too; there a longer line that begins with it was found.
//! - Nothing between `=======` and `>>>>>>> REPLACE` removes the lines and leaves none. One blank line there is
//!   one blank line.
//! - A file without a newline at its end keeps being one, a byte order mark stays, and bytes that are not
//!   UTF-8 stay as they are.
//! - Search text of blank lines only is refused, and so is an edit that would change nothing.
//!
//! # Markers
//! Markers count only as whole lines (blanks may follow). There is exactly one block. Where several lines are
//! `=======`, which is also text in its own right (a heading's underline, a conflict's middle), each is tried as the
//! divider; the edit goes on only if exactly one of them gives a search text that the file holds exactly once.

mod apply;
mod diagnosis;
mod lines;
mod request;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use apply::apply;
pub use request::{EditRequest, EditSyntaxError, Split};

use crate::files::{FileArea, FileError};

/// The largest file that can be edited.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// Lines shown before and after a change.
pub const EXCERPT_MARGIN: usize = 8;

/// A file's new content and what changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// The whole new content.
    pub bytes: Vec<u8>,
    /// The first line of the change, counted from 1.
    pub first_line: usize,
    /// Lines that were found and replaced.
    pub removed_lines: usize,
    /// Lines that stand there now.
    pub added_lines: usize,
    /// Lines of the new content.
    pub total_lines: usize,
    /// The new lines with [`EXCERPT_MARGIN`] around them, numbered.
    pub excerpt: Vec<(usize, String)>,
}

/// An edit that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditDone {
    /// The path as the model wrote it.
    pub path: String,
    /// See [`Edited::first_line`].
    pub first_line: usize,
    /// See [`Edited::removed_lines`].
    pub removed_lines: usize,
    /// See [`Edited::added_lines`].
    pub added_lines: usize,
    /// See [`Edited::total_lines`].
    pub total_lines: usize,
    /// See [`Edited::excerpt`].
    pub excerpt: Vec<(usize, String)>,
}

/// Why a file was not edited.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum EditError {
    /// The call is not of the required form.
    #[error(transparent)]
    Syntax(#[from] EditSyntaxError),
    /// The file system's side.
    #[error(transparent)]
    File(#[from] FileError),
    /// The search text does not fit the file.
    #[error("`{path}` was not edited: {failure}")]
    Failed {
        /// The path as the model wrote it.
        path: String,
        /// What does not fit.
        failure: EditFailure,
    },
}

/// Why an edit does not fit a file.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum EditFailure {
    /// The search text is not in the file.
    #[error("the search text is not in the file")]
    NoMatch(Box<NoMatch>),
    /// The search text is in the file more than once.
    #[error("the search text is in the file {count} times")]
    SeveralMatches {
        /// The first lines of the first matches, counted from 1.
        lines: Vec<usize>,
        /// How many matches there are.
        count: usize,
    },
    /// The replacement is what stands there already.
    #[error("the replacement is the same as the text at line {line}; nothing changed")]
    NoChange {
        /// Where it stands.
        line: usize,
    },
    /// Several `=======` lines could be the divider.
    #[error("more than one `=======` line could be the divider")]
    AmbiguousDivider {
        /// The candidates, as line numbers of the call's content.
        lines: Vec<usize>,
    },
}

/// What is known about a search text that was not found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoMatch {
    /// The whole search text is there but for one kind of difference.
    pub near_miss: Option<NearMiss>,
    /// The search text's beginning is there.
    pub partial: Option<PartialMatch>,
    /// The replacement stands in the file already, at this line: the edit was perhaps made before.
    pub replacement_at: Option<usize>,
    /// The lines most like the first search line that was not found, best first.
    pub nearest: Vec<NearLine>,
}

/// A place where the whole search text stands but for one kind of difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearMiss {
    /// The first line of the first such place, counted from 1.
    pub line: usize,
    /// How many such places there are.
    pub count: usize,
    /// The kind of difference.
    pub difference: Difference,
}

/// In what two texts differ that are otherwise the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Difference {
    /// Blanks at the ends of lines.
    TrailingWhitespace,
    /// Blanks at the beginnings of lines; the indentation of the first line that differs.
    Indentation {
        /// Its line number in the file, counted from 1.
        line: usize,
        /// Its indentation in the file.
        file: Indent,
        /// Its indentation in the search text.
        search: Indent,
    },
    /// Capital and small letters.
    LetterCase,
    /// Blanks anywhere in a line.
    Whitespace,
}

/// The blanks that a line begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indent {
    /// How many are tabs.
    pub tabs: usize,
    /// How many are spaces.
    pub spaces: usize,
}

/// How far the search text agrees with the file at the place where it agrees longest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialMatch {
    /// The file's line where the agreement begins, counted from 1.
    pub first_line: usize,
    /// How many lines agree.
    pub matched_lines: usize,
    /// The next search line, which differs.
    pub expected: String,
    /// What the file has there instead; nothing when it ends.
    pub found: Option<String>,
}

/// A line of the file that resembles the one searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearLine {
    /// Its number, counted from 1.
    pub line: usize,
    /// Its text, cut when very long.
    pub text: String,
    /// How it resembles the one searched for.
    pub likeness: Likeness,
}

/// How two lines resemble each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Likeness {
    /// The same (what differs are the lines around it).
    Same,
    /// The same but for one kind of difference.
    But(Difference),
    /// Alike: the share of pairs of adjacent bytes that both have.
    Similar {
        /// 0 to 100.
        percent: u8,
    },
}

/// Makes the edit that a call asks for.
pub fn run(area: &FileArea, content: &str) -> Result<EditDone, EditError> {
    let request = EditRequest::parse(content)?;
    let file = area.open_text(&request.path, MAX_FILE_BYTES)?;
    let edited = apply(&file.bytes, &request).map_err(|failure| EditError::Failed {
        path: request.path.clone(),
        failure,
    })?;
    crate::files::check_text(&request.path, &edited.bytes)?;
    file.replace(&edited.bytes)?;
    Ok(EditDone {
        path: request.path,
        first_line: edited.first_line,
        removed_lines: edited.removed_lines,
        added_lines: edited.added_lines,
        total_lines: edited.total_lines,
        excerpt: edited.excerpt,
    })
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
