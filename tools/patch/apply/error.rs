//! Why a patch does not apply.

use std::fmt;
use std::path::PathBuf;

use super::super::binary::BinaryError;
use super::super::manifest::FileMode;

/// Why a patch was not applied. Nothing was changed, but for [`ApplyError::RollBack`].
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A file could not be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file to change is not there.
    #[error("{file}: the patch changes this file, but there is none")]
    Missing {
        /// The file.
        file: String,
    },
    /// The file to create is there.
    #[error("{file}: the patch creates this file, but it exists already")]
    AlreadyExists {
        /// The file.
        file: String,
    },
    /// The file is of another kind.
    #[error("{file}: the patch expects a file of mode {stated:o}, but it has mode {found:o}", stated = stated.bits(), found = found.bits())]
    WrongKind {
        /// The file.
        file: String,
        /// The mode in the patch.
        stated: FileMode,
        /// The mode found.
        found: FileMode,
    },
    /// A deletion does not remove all lines.
    #[error(
        "{file}: the patch deletes this file, but the file holds more than the lines that the patch removes"
    )]
    LeavesContent {
        /// The file.
        file: String,
    },
    /// The patch holds no data.
    #[error("{file}: the patch only remarks that binary files differ; make it with `git diff --binary`")]
    BinaryOmitted {
        /// The file.
        file: String,
    },
    /// A binary patch was made for other content.
    #[error("{file}: the binary patch was made for another content of this file")]
    BinaryBase {
        /// The file.
        file: String,
    },
    /// A binary patch yields something else than it says.
    #[error("{file}: the binary patch does not yield the content that its `index` line names")]
    BinaryResult {
        /// The file.
        file: String,
    },
    /// A binary patch cannot be unpacked.
    #[error("{file}: the binary patch cannot be used: {source}")]
    Binary {
        /// The file.
        file: String,
        /// Why.
        source: BinaryError,
    },
    /// A hunk has no place.
    #[error("{file}: hunk {hunk}{at} does not apply: {problem}", at = stated.map_or_else(String::new, |line| format!(" (line {line})")))]
    Hunk {
        /// The file.
        file: String,
        /// Which hunk, from 1.
        hunk: usize,
        /// The line it says, when it says one.
        stated: Option<u32>,
        /// Why.
        problem: HunkProblem,
    },
    /// A path leaves the repository or enters `.git`.
    #[error("{file}: the patch may not touch this path: {why}")]
    ForbiddenPath {
        /// The path.
        file: String,
        /// Why.
        why: &'static str,
    },
    /// Two changes cannot both be.
    #[error("{file}: the patch would need this to be both a file and a folder")]
    FileAndFolder {
        /// The path.
        file: String,
    },
    /// The index holds something else than the working tree.
    #[error("{file}: {why}; commit, stash or undo it, or apply to the working tree only")]
    Index {
        /// The path.
        file: String,
        /// What differs.
        why: &'static str,
    },
    /// A submodule's change.
    #[error("{file}: changes of a submodule's commit are not applied; check it out by hand")]
    Submodule {
        /// The path.
        file: String,
    },
    /// A three-way merge met changes of the same lines.
    #[error("the patch conflicts with changes made since, in {}; nothing was changed", files.join(", "))]
    Conflicts {
        /// The files.
        files: Vec<String>,
    },
    /// The repository could not be used.
    #[error("{path}: {why}", path = path.display())]
    Repository {
        /// The path given.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Writing failed; what had been written was taken back.
    #[error("{file}: cannot be written: {source}; nothing was changed")]
    Write {
        /// The path.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Writing failed, and so did taking it back.
    #[error("{first}; taking back what had been written failed too: {source}; the files of before are in {kept}", kept = kept.display())]
    RollBack {
        /// The failure that came first.
        first: Box<ApplyError>,
        /// Why it could not be taken back.
        source: std::io::Error,
        /// Where the old files are.
        kept: PathBuf,
    },
    /// Git's library failed.
    #[error("git data could not be read or written: {0}")]
    Git(#[from] git2::Error),
}

/// Why a hunk has no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HunkProblem {
    /// Its lines are nowhere.
    NotFound {
        /// The places most like it, the best first.
        nearest: Vec<Near>,
        /// Whether the lines that it would make are there already.
        already_there: bool,
    },
    /// Its lines are in several places, none of them the stated one.
    Ambiguous {
        /// The first of these places' line numbers.
        lines: Vec<u32>,
    },
    /// It has neither context nor removed lines, and nothing vouches for its line number.
    NoContext,
}

/// A place that nearly fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Near {
    /// The line where the hunk would begin.
    pub line: u32,
    /// How many of its lines are there.
    pub matching: usize,
    /// How many lines it has.
    pub of: usize,
    /// The first line that differs: as the patch has it.
    pub expected: String,
    /// The same line as the file has it; `None` past its end.
    pub found: Option<String>,
}

impl fmt::Display for HunkProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HunkProblem::NoContext => {
                out.write_str("it only adds lines and has no context that shows where; add context lines")
            }
            HunkProblem::Ambiguous { lines } => {
                let lines: Vec<String> = lines.iter().map(u32::to_string).collect();
                let lines = lines.join(", ");
                write!(
                    out,
                    "its lines are not at the stated place, but at several others (lines {lines}); add context lines"
                )
            }
            HunkProblem::NotFound {
                nearest,
                already_there,
            } => {
                out.write_str("its context and removed lines are not in the file")?;
                if *already_there {
                    out.write_str(", but the lines that it would make are: it may be applied already")?;
                }
                for near in nearest {
                    let Near {
                        line,
                        matching,
                        of,
                        expected,
                        found,
                    } = near;
                    write!(out, "; {matching} of {of} lines match at line {line}, where ")?;
                    match found {
                        Some(found) => write!(out, "`{expected}` was expected and `{found}` found")?,
                        None => write!(out, "`{expected}` was expected and the file ends")?,
                    }
                }
                Ok(())
            }
        }
    }
}
