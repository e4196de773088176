//! A patch as data: which files change, how, and by which lines. [`super::parse`](mod@super::parse) and
//! [`super::diff`] make it, [`super::render`] writes it, [`super::apply`] carries it out.

use crate::bytes_path::RepoPath;

use super::manifest::FileMode;

/// Changes to any number of files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// In the order of the text.
    pub files: Vec<FilePatch>,
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Change {
    /// It comes into being.
    Added,
    /// It goes.
    Deleted,
    /// It stays at its path.
    Modified,
    /// It moves, with so many percent of it kept.
    Renamed {
        /// 0 to 100.
        similarity: u8,
    },
    /// A copy of it is made at another path.
    Copied {
        /// 0 to 100.
        similarity: u8,
    },
}

/// The change of one file. What a diff does not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePatch {
    /// What happens.
    pub change: Change,
    /// The path before; `None` when added.
    pub old_path: Option<RepoPath>,
    /// The path after; `None` when deleted.
    pub new_path: Option<RepoPath>,
    /// The mode before.
    pub old_mode: Option<FileMode>,
    /// The mode after.
    pub new_mode: Option<FileMode>,
    /// The blob before, in hexadecimal, possibly shortened; zeros for none.
    pub old_id: Option<String>,
    /// The blob after, in the same form.
    pub new_id: Option<String>,
    /// The change of content.
    pub body: Body,
}

impl FilePatch {
    /// The path to name this file by: the one after, or before when it is deleted.
    pub fn path(&self) -> &[u8] {
        self.new_path
            .as_deref()
            .or(self.old_path.as_deref())
            .unwrap_or_default()
    }
}

/// The change of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The content stays (or is empty).
    None,
    /// Line by line.
    Text(Vec<Hunk>),
    /// As a `GIT binary patch`.
    Binary {
        /// From old to new.
        forward: BinaryHunk,
        /// From new to old, when given.
        reverse: Option<BinaryHunk>,
    },
    /// Only the remark that binary files differ: cannot be applied.
    BinaryOmitted,
}

/// One direction of a binary patch, still compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinaryHunk {
    /// Whether it is the whole content or a delta against the other side.
    pub kind: BinaryKind,
    /// The size of what `deflated` inflates to.
    pub size: u64,
    /// A zlib stream.
    pub deflated: Vec<u8>,
}

/// What a binary hunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryKind {
    /// The whole content.
    Literal,
    /// Git's copy-and-insert instructions.
    Delta,
}

/// A run of changed lines with their context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// First line of the old side, from 1; when the old side has no lines, the line it stands behind. `None` when
    /// the text named no place, so that only the context can tell.
    pub old_start: Option<u32>,
    /// The same of the new side.
    pub new_start: Option<u32>,
    /// What followed the second `@@`, usually the enclosing function.
    pub section: Vec<u8>,
    /// The lines.
    pub lines: Vec<Line>,
    /// Whether the counts in the header were wrong and the lines were counted instead.
    pub recounted: bool,
}

impl Hunk {
    /// How many lines the old side has.
    pub fn old_lines(&self) -> usize {
        self.lines
            .iter()
            .filter(|line| line.kind != LineKind::Added)
            .count()
    }

    /// How many lines the new side has.
    pub fn new_lines(&self) -> usize {
        self.lines
            .iter()
            .filter(|line| line.kind != LineKind::Removed)
            .count()
    }
}

/// Which sides a line is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// Both.
    Context,
    /// The old one.
    Removed,
    /// The new one.
    Added,
}

/// One line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which sides it is on.
    pub kind: LineKind,
    /// Its bytes, with the `\n` unless it is a last line without one.
    pub text: Vec<u8>,
}

/// How large a patch is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Statistics {
    /// Files changed.
    pub files: usize,
    /// Hunks of text.
    pub hunks: usize,
    /// Lines added.
    pub added: usize,
    /// Lines removed.
    pub removed: usize,
    /// Files changed that are tests.
    pub test_files: usize,
}

impl Patch {
    /// The patch as a git diff.
    pub fn to_bytes(&self) -> Vec<u8> {
        super::render::patch(self)
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// How large it is. A path that is deleted and made anew (a change of type) is one file.
    pub fn statistics(&self) -> Statistics {
        let mut paths = std::collections::BTreeSet::new();
        let mut statistics = Statistics::default();
        for file in &self.files {
            if paths.insert(file.path()) {
                statistics.files += 1;
                statistics.test_files += usize::from(
                    is_test_path(file.path()) || file.old_path.as_deref().is_some_and(is_test_path),
                );
            }
            let Body::Text(hunks) = &file.body else { continue };
            statistics.hunks += hunks.len();
            for line in hunks.iter().flat_map(|hunk| &hunk.lines) {
                match line.kind {
                    LineKind::Added => statistics.added += 1,
                    LineKind::Removed => statistics.removed += 1,
                    LineKind::Context => {}
                }
            }
        }
        statistics
    }
}

/// Folders whose files are tests in the usual layouts.
const TEST_FOLDERS: [&[u8]; 8] = [
    b"test",
    b"tests",
    b"testing",
    b"__tests__",
    b"spec",
    b"specs",
    b"testdata",
    b"e2e",
];

/// Ends of names of files in languages whose tests are classes, named in capitals.
const CLASS_ENDS: [&[u8]; 8] = [
    b".java", b".kt", b".kts", b".cs", b".swift", b".scala", b".groovy", b".vb",
];

/// Whether a file or a folder is named for a class or a project of tests. Capitals tell `UrlTest.java` from `Latest.java`.
fn is_named_for_tests(parts: &[&[u8]], name: &[u8]) -> bool {
    let of_project = |part: &&[u8]| {
        let small = part.to_ascii_lowercase();
        small.ends_with(b".tests") || small.ends_with(b".test") || small == b"androidtest"
    };
    parts.iter().any(of_project)
        || CLASS_ENDS.iter().any(|end| {
            let stem = name.strip_suffix(*end).unwrap_or_default();
            stem.ends_with(b"Test") || stem.ends_with(b"Tests")
        })
}

/// Whether a path looks like a test (or a test's data) by the habits of common languages.
pub fn is_test_path(path: &[u8]) -> bool {
    let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let name = parts.pop().unwrap_or_default();
    if is_named_for_tests(&parts, name) {
        return true;
    }
    let name = name.to_ascii_lowercase();
    if parts
        .iter()
        .any(|part| TEST_FOLDERS.contains(&part.to_ascii_lowercase().as_slice()))
    {
        return true;
    }
    let stem = match name.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot > 0 => name.get(..dot).unwrap_or_default(),
        _ => name.as_slice(),
    };
    stem == b"test"
        || stem == b"tests"
        || stem == b"conftest"
        || [b"test_".as_slice(), b"tests_", b"test-"]
            .iter()
            .any(|start| stem.starts_with(start))
        || [
            b"_test".as_slice(),
            b"_tests",
            b"-test",
            b".test",
            b".spec",
            b"_spec",
        ]
        .iter()
        .any(|end| stem.ends_with(end))
}

#[cfg(test)]
#[path = "types_tests.rs"]
mod tests;
