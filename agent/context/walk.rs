//! The files of a tree that may be of use: text that people wrote, by their paths; what is left out is counted by its reason.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use ignore::{WalkBuilder, WalkState};
use serde::{Deserialize, Serialize};

use super::language::language;

/// Larger files are left out.
const MOST_BYTES: u64 = 1 << 20;
/// No more files than this are looked at.
const MOST_FILES: usize = 200_000;
/// Deeper folders are not entered.
const MOST_DEPTH: usize = 64;
/// Lines this long are no person's.
const LONGEST_LINE: usize = 20_000;

/// Folders that hold others' work, or none.
const SKIPPED_FOLDERS: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".jj",
    "node_modules",
    "vendor",
    "third_party",
    "__pycache__",
    ".tox",
    ".nox",
    ".venv",
    "venv",
    "site-packages",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".idea",
    ".vscode",
];

/// Ends of names of what programs wrote.
const GENERATED_ENDS: &[&str] = &[
    ".lock",
    "-lock.json",
    "-lock.yaml",
    ".lockb",
    ".min.js",
    ".min.css",
    ".map",
    "_pb2.py",
    "_pb2_grpc.py",
    ".pb.go",
    ".pb.cc",
    ".pb.h",
    ".g.dart",
    ".snap",
    "go.sum",
];

/// Ends of names of what is no text.
const BINARY_ENDS: &[&str] = &[
    ".svg",
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".ico",
    ".pdf",
    ".zip",
    ".gz",
    ".tar",
    ".whl",
    ".so",
    ".a",
    ".o",
    ".dll",
    ".exe",
    ".jar",
    ".class",
    ".pyc",
    ".wasm",
    ".woff",
    ".woff2",
    ".ttf",
    ".npy",
    ".npz",
    ".parquet",
    ".bin",
    ".safetensors",
    ".gguf",
    ".mo",
    ".po",
    ".pot",
];

/// Why files are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// No text.
    Binary,
    /// Written by a program, or minified.
    Generated,
    /// A folder of others' work, or of a tool's: counted once, not by its files.
    Vendored,
    /// More than a mebibyte.
    Huge,
    /// A symlink, a socket or the like. Links are never followed.
    Special,
    /// A name that is no UTF-8, or has control characters in it.
    OddName,
    /// It, or its folder, cannot be read.
    Unreadable,
    /// One more than are looked at.
    TooMany,
}

/// How many files were left out, by reason.
pub type LeftOutCounts = BTreeMap<LeftOut, usize>;

/// A file of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TreeFile {
    /// Relative to the tree, with slashes.
    pub(super) path: String,
    pub(super) stamp: Stamp,
}

/// What tells without reading that a file is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) bytes: u64,
    /// When it was changed, in nanoseconds since 1970.
    pub(super) modified: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        let since = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Stamp {
            bytes: metadata.len(),
            modified: since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0)),
        }
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// In order of their paths.
    pub(super) files: Vec<TreeFile>,
    pub(super) left_out: LeftOutCounts,
}

impl Walked {
    fn leave_out(&mut self, reason: LeftOut) {
        *self.left_out.entry(reason).or_default() += 1;
    }

    fn join(&mut self, other: &mut Walked) {
        self.files.append(&mut other.files);
        for (reason, count) in std::mem::take(&mut other.left_out) {
            *self.left_out.entry(reason).or_default() += count;
        }
    }
}

/// One thread's finds, joined to the others' when it ends.
struct Share<'a> {
    own: Walked,
    all: &'a Mutex<Walked>,
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if let Ok(mut all) = self.all.lock() {
            all.join(&mut self.own);
        }
    }
}

/// The files below a folder, but for what its `.gitignore` files name. Links are not followed.
pub(super) fn walk(tree: &Path) -> io::Result<Walked> {
    // What is wrong with the folder itself is an error; what is wrong below it is left out.
    std::fs::read_dir(tree)?;
    let all = Mutex::new(Walked::default());
    let walker = WalkBuilder::new(tree)
        .hidden(false)
        .parents(false)
        .ignore(false)
        .git_global(false)
        .git_exclude(false)
        .require_git(false)
        .follow_links(false)
        .max_depth(Some(MOST_DEPTH))
        .threads(threads())
        .build_parallel();
    walker.run(|| {
        let mut share = Share {
            own: Walked::default(),
            all: &all,
        };
        Box::new(move |entry| visit(tree, entry, &mut share.own))
    });
    let mut walked = all.into_inner().unwrap_or_default();
    walked
        .files
        .sort_unstable_by(|one, other| one.path.cmp(&other.path));
    if walked.files.len() > MOST_FILES {
        let more = walked.files.len() - MOST_FILES;
        walked.files.truncate(MOST_FILES);
        *walked.left_out.entry(LeftOut::TooMany).or_default() += more;
    }
    Ok(walked)
}

fn visit(tree: &Path, entry: Result<ignore::DirEntry, ignore::Error>, walked: &mut Walked) -> WalkState {
    let Ok(entry) = entry else {
        walked.leave_out(LeftOut::Unreadable);
        return WalkState::Continue;
    };
    let Some(kind) = entry.file_type().filter(|_| entry.depth() > 0) else {
        return WalkState::Continue;
    };
    let name = entry.file_name().to_str();
    let Some(name) = name.filter(|name| !name.chars().any(char::is_control)) else {
        walked.leave_out(LeftOut::OddName);
        return WalkState::Skip;
    };
    if kind.is_dir() {
        if SKIPPED_FOLDERS.contains(&name) {
            if name != ".git" {
                walked.leave_out(LeftOut::Vendored);
            }
            return WalkState::Skip;
        }
        return WalkState::Continue;
    }
    if !kind.is_file() {
        // In a linked working tree `.git` is a file; elsewhere it may be a link.
        if name != ".git" {
            walked.leave_out(LeftOut::Special);
        }
        return WalkState::Continue;
    }
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if ends(BINARY_ENDS) {
        walked.leave_out(LeftOut::Binary);
    } else if ends(GENERATED_ENDS) {
        walked.leave_out(LeftOut::Generated);
    } else if name != ".git" {
        keep(tree, &entry, walked);
    }
    WalkState::Continue
}

/// Takes a file, unless it is huge or its folder's name is odd.
fn keep(tree: &Path, entry: &ignore::DirEntry, walked: &mut Walked) {
    let path = entry.path().strip_prefix(tree).ok().and_then(Path::to_str);
    match (path, entry.metadata()) {
        (_, Err(_)) => walked.leave_out(LeftOut::Unreadable),
        (None, _) => walked.leave_out(LeftOut::OddName),
        (_, Ok(metadata)) if metadata.len() > MOST_BYTES => walked.leave_out(LeftOut::Huge),
        (Some(path), Ok(metadata)) => walked.files.push(TreeFile {
            path: path.to_owned(),
            stamp: Stamp::of(&metadata),
        }),
    }
}

/// How many threads read files.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |threads| threads.get().min(8))
}

/// A tree whose files are read.
pub(super) struct Tree<'a> {
    path: &'a Path,
    #[cfg(target_os = "linux")]
    folder: File,
}

impl<'a> Tree<'a> {
    pub(super) fn open(path: &'a Path) -> io::Result<Tree<'a>> {
        Ok(Tree {
            path,
            #[cfg(target_os = "linux")]
            folder: File::open(path)?,
        })
    }

    /// A file's text; the reason when it is of no use.
    pub(super) fn read(&self, path: &str) -> Result<String, LeftOut> {
        let unreadable = |_| LeftOut::Unreadable;
        // It may have become a link since the walk: neither it nor a folder above it may lead out.
        let file = self.open_below(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(LeftOut::Special);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(MOST_BYTES)).unwrap_or(0) + 1);
        // It may grow while it is read.
        file.take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(LeftOut::Huge);
        }
        let text = String::from_utf8(bytes).map_err(|_| LeftOut::Binary)?;
        if text.contains('\0') {
            return Err(LeftOut::Binary);
        }
        if language(path).is_some() && is_generated(&text) || has_endless_lines(&text) {
            return Err(LeftOut::Generated);
        }
        Ok(text)
    }

    /// Opens a file without following any link below the tree.
    #[cfg(target_os = "linux")]
    fn open_below(&self, path: &str) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags, ResolveFlags};
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        match rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), resolve) {
            Ok(file) => Ok(File::from(file)),
            // An old kernel, or a filter that knows the call not: the file itself is looked at, at least.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => open_plainly(&self.path.join(path)),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn open_below(&self, path: &str) -> io::Result<File> {
        open_plainly(&self.path.join(path))
    }
}

fn open_plainly(full: &Path) -> io::Result<File> {
    if full.symlink_metadata()?.is_file() {
        File::open(full)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// Whether a text's first lines say that a program wrote it.
fn is_generated(text: &str) -> bool {
    text.lines().take(5).any(|line| {
        let line = line.to_lowercase();
        line.contains("code generated by") || line.contains("@generated") || line.contains("do not edit")
    })
}

/// Whether the length of its lines shows that no person wrote a text.
fn has_endless_lines(text: &str) -> bool {
    text.lines().take(200).any(|line| line.len() > LONGEST_LINE)
}

/// Whether a path is one that tests lie at.
pub(super) fn is_test(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split('.').next().unwrap_or(name);
    let by_name = stem == "conftest"
        || stem == "test"
        || stem == "tests"
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || stem.ends_with("_tests")
        || stem.ends_with("Test")
        || stem.ends_with("Tests")
        || name.contains(".test.")
        || name.contains(".spec.");
    // Further down, `test` and `testing` may be packages that help others to test, as Django's is.
    let first = folders.split('/').next().unwrap_or_default();
    by_name
        || ["test", "testing", "spec"].contains(&first)
        || folders.contains("src/test/")
        || folders.ends_with("src/test")
        || folders
            .split('/')
            .any(|folder| ["tests", "__tests__", "specs"].contains(&folder))
}
