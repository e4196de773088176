//! Reads patches: git diffs and plain unified diffs as tools and models write them, with prose or fences around
//! them, wrong hunk counts, stripped blank context lines, or carriage returns added on the way.
//!
//! Enters: bytes from anyone. Leaves: a [`Patch`], or an error that names the line. Each line is looked at a fixed
//! number of times, and what is kept is no larger than the text.

mod header;
mod hunk;
mod names;

use super::binary;
use super::types::{BinaryHunk, BinaryKind, Body, Change, FilePatch, Patch};
use header::Header;

/// Why a text is no patch that can be carried out. Lines count from 1, hunks from 1 within their file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing in the text is a diff.
    #[error(
        "no diff was found: expected lines beginning with `diff --git`, or with `---` and `+++`, and then `@@`"
    )]
    NoDiff,
    /// A hunk stands before any file was named.
    #[error("line {line}: a hunk begins before any file is named by `---` and `+++` lines")]
    HunkWithoutFile {
        /// The line.
        line: usize,
    },
    /// A header line cannot be read.
    #[error("line {line}: {what}")]
    Header {
        /// The line.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file's name cannot be told.
    #[error("line {line}: which file is meant cannot be told from `{text}`")]
    Name {
        /// The line.
        line: usize,
        /// The line's text.
        text: String,
    },
    /// A hunk is wrong.
    #[error("line {line}: hunk {hunk} of {file}: {what}")]
    Hunk {
        /// The line.
        line: usize,
        /// The file.
        file: String,
        /// Which hunk of the file.
        hunk: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A binary patch is wrong.
    #[error("line {line}: the binary patch of {file} is damaged: {what}")]
    Binary {
        /// The line.
        line: usize,
        /// The file.
        file: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Reads a patch.
pub fn parse(text: &[u8]) -> Result<Patch, ParseError> {
    let mut reader = Reader {
        lines: super::lines::split(text),
        at: 0,
    };
    let mut patch = Patch::default();
    while let Some(line) = reader.peek() {
        let git = line.starts_with(b"diff --git ");
        if git || reader.at_side_lines() {
            let header = if git {
                header::git(&mut reader)?
            } else {
                header::plain(&mut reader)?
            };
            if let Some(file) = file(&mut reader, header)? {
                patch.files.push(file);
            }
        } else if line.starts_with(b"@@ -") {
            return Err(ParseError::HunkWithoutFile {
                line: reader.number(),
            });
        } else {
            reader.at += 1;
        }
    }
    if patch.files.is_empty() {
        return Err(ParseError::NoDiff);
    }
    Ok(patch)
}

/// The lines of a text and a place in them.
struct Reader<'a> {
    lines: Vec<&'a [u8]>,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The line `ahead` of the present one, with its newline.
    fn ahead(&self, ahead: usize) -> Option<&'a [u8]> {
        self.lines.get(self.at.checked_add(ahead)?).copied()
    }

    fn peek(&self) -> Option<&'a [u8]> {
        self.ahead(0)
    }

    /// The present line's number, from 1.
    fn number(&self) -> usize {
        self.at + 1
    }

    /// Whether a `---` line, a `+++` line and then a hunk (or the text's end) come.
    fn at_side_lines(&self) -> bool {
        let starts =
            |ahead: usize, start: &[u8]| self.ahead(ahead).is_some_and(|line| line.starts_with(start));
        starts(0, b"--- ") && starts(1, b"+++ ") && starts(2, b"@@")
    }
}

/// A line without its newline, and without a carriage return before that.
fn bare(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A text for messages.
fn shown(text: &[u8]) -> String {
    crate::bytes_path::display(text)
}

/// The body that belongs to a header; `None` when neither says that anything changes.
fn file(reader: &mut Reader<'_>, header: Header) -> Result<Option<FilePatch>, ParseError> {
    let mut file = header.file;
    let line = reader.peek().unwrap_or_default();
    if line.starts_with(b"@@") {
        let hunks = hunk::hunks(reader, &shown(file.path()), header.carriage_returns)?;
        file.body = Body::Text(hunks);
    } else if bare(line) == b"GIT binary patch" {
        reader.at += 1;
        file.body = binary_body(reader, &shown(file.path()))?;
    } else if line.starts_with(b"Binary files ") && bare(line).ends_with(b" differ") {
        reader.at += 1;
        file.body = Body::BinaryOmitted;
    } else if header.has_side_lines {
        let (line, what) = (
            reader.number(),
            "a hunk beginning with `@@` was expected after the `+++` line",
        );
        return Err(ParseError::Header { line, what });
    }
    let unchanged = file.change == Change::Modified
        && file.body == Body::None
        && (file.old_mode.is_none() || file.old_mode == file.new_mode);
    Ok((!unchanged).then_some(file))
}

/// One or two binary hunks.
fn binary_body(reader: &mut Reader<'_>, file: &str) -> Result<Body, ParseError> {
    let line = reader.number();
    let Some(forward) = binary_hunk(reader, file)? else {
        let what = "`literal` or `delta` and a size were expected";
        return Err(ParseError::Binary {
            line,
            file: file.to_owned(),
            what,
        });
    };
    let reverse = binary_hunk(reader, file)?;
    Ok(Body::Binary { forward, reverse })
}

fn binary_hunk(reader: &mut Reader<'_>, file: &str) -> Result<Option<BinaryHunk>, ParseError> {
    let Some(line) = reader.peek() else {
        return Ok(None);
    };
    let (kind, size) = if let Some(size) = line.strip_prefix(b"literal ") {
        (BinaryKind::Literal, size)
    } else if let Some(size) = line.strip_prefix(b"delta ") {
        (BinaryKind::Delta, size)
    } else {
        return Ok(None);
    };
    let Some(size) = std::str::from_utf8(bare(size))
        .ok()
        .and_then(|size| size.parse().ok())
    else {
        let what = "its size is no number";
        return Err(ParseError::Binary {
            line: reader.number(),
            file: file.to_owned(),
            what,
        });
    };
    reader.at += 1;
    let mut deflated = Vec::new();
    while let Some(line) = reader.peek() {
        let line = bare(line);
        if line.is_empty() {
            reader.at += 1;
            break;
        }
        if binary::read_line(line, &mut deflated).is_none() {
            let what = "a line is not base 85 as git writes it";
            return Err(ParseError::Binary {
                line: reader.number(),
                file: file.to_owned(),
                what,
            });
        }
        reader.at += 1;
    }
    Ok(Some(BinaryHunk { kind, size, deflated }))
}

#[cfg(test)]
#[path = "../parse_tests.rs"]
mod tests;
