//! Compares a working tree on disk with the base that a [`Manifest`] describes. Nothing of any `.git` is read, no
//! symlink is followed and nothing but regular files is opened, so that a tree written by anyone is safe to scan.
//!
//! Enters: the root and the manifest. Leaves: the changed paths with their new content, and what was left out.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::bytes_path::{self, RepoPath};

use super::diff::Entry;
use super::ignored::IgnoreStack;
use super::junk;
use super::manifest::{Checkout, FileMode, Manifest, ObjectId, Recorded, StatKey};

/// What a scan leaves out.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct ScanOptions {
    /// Untracked files, or whole folders, that are not part of the change: the model's own scripts and patch files.
    pub exclude: Vec<RepoPath>,
    /// More patterns in the form of `.gitignore`, weaker than those of the tree (a user's own exclude files).
    pub ignore_patterns: Vec<String>,
    /// The largest new or changed file that is taken; `None` for [`MOST_FILE_BYTES`].
    pub most_file_bytes: Option<u64>,
}

/// The largest new or changed file that is taken unless told otherwise.
pub const MOST_FILE_BYTES: u64 = 64 << 20;

/// The most that all changed files together may hold: the scan keeps them in memory.
const MOST_BYTES: u64 = 512 << 20;

/// Deeper folders than this are not followed.
const MOST_DEPTH: usize = 256;

/// What a scan found.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// The paths that differ, in order.
    pub changes: Vec<ScannedChange>,
    /// What was left out, in order of path.
    pub notes: Vec<Note>,
    /// How many files had to be read.
    pub files_read: usize,
}

/// A path that differs from the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedChange {
    /// The path.
    pub path: RepoPath,
    /// What the base has there.
    pub old: Option<(FileMode, ObjectId)>,
    /// What is on disk.
    pub new: Option<Entry>,
}

/// Something on disk that is not in the diff.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Note {
    /// The path; a folder's ends with `/`.
    pub path: RepoPath,
    /// Why.
    pub reason: LeftOut,
}

/// Why something is not in the diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum LeftOut {
    /// The tree's `.gitignore` files (or [`ScanOptions::ignore_patterns`]) name it.
    Ignored,
    /// A cache or leftover of a tool.
    Junk,
    /// [`ScanOptions::exclude`] names it.
    Excluded,
    /// A repository of its own.
    NestedRepository,
    /// A submodule's files, which a diff of this repository cannot hold.
    Submodule,
    /// Neither file, folder nor symlink.
    SpecialFile,
    /// Larger than is taken.
    TooLarge,
    /// The content of a file kept by Git LFS changed; a diff can only hold its pointer.
    LfsContent,
    /// Git tracks no such name.
    ForbiddenName,
    /// Reading was refused; a tracked file counts as unchanged.
    Unreadable,
    /// Too many folders deep.
    TooDeep,
}

/// Why a working tree could not be scanned.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The root is no folder, or closed to us.
    #[error("{root}: the working tree cannot be opened: {source}", root = root.display())]
    Root {
        /// The root.
        root: PathBuf,
        /// What the system said.
        source: Errno,
    },
    /// Reading failed for a reason that would make the diff wrong.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The path in the repository.
        path: String,
        /// What the system said.
        source: Errno,
    },
    /// Hashing failed.
    #[error("a file's git id could not be computed: {0}")]
    Hash(#[from] git2::Error),
}

/// Scans the working tree at `root`.
pub fn scan(root: &Path, manifest: &Manifest, options: &ScanOptions) -> Result<Scan, ScanError> {
    let folder = rustix::fs::open(root, FOLDER_FLAGS, Mode::empty()).map_err(|source| ScanError::Root {
        root: root.to_owned(),
        source,
    })?;
    let mut scanner = Scanner {
        manifest,
        options,
        ignores: IgnoreStack::new(&options.ignore_patterns),
        seen: BTreeSet::new(),
        bytes: 0,
        result: Scan::default(),
    };
    scanner.folder(
        folder,
        &[],
        Place {
            depth: 0,
            ignored: None,
        },
    )?;
    scanner.add_deletions();
    let mut result = scanner.result;
    result.changes.sort_by(|left, right| left.path.cmp(&right.path));
    result.notes.sort();
    Ok(result)
}

const FOLDER_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const FILE_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY);

struct Scanner<'a> {
    manifest: &'a Manifest,
    options: &'a ScanOptions,
    ignores: IgnoreStack,
    /// Tracked paths that were met on disk (or must count as met).
    seen: BTreeSet<&'a [u8]>,
    bytes: u64,
    result: Scan,
}

/// Where a walk stands.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    /// Set inside a folder that is left out but holds tracked files: its untracked ones are left out too.
    ignored: Option<LeftOut>,
}

/// The content of a regular file, or why there is none.
enum Content {
    Bytes(Vec<u8>),
    LeftOut(LeftOut),
    /// It went while we looked.
    Gone,
}

impl<'a> Scanner<'a> {
    fn note(&mut self, path: &[u8], is_folder: bool, reason: LeftOut) {
        let mut path = path.to_vec();
        if is_folder {
            path.push(b'/');
        }
        self.result.notes.push(Note { path, reason });
    }

    /// Walks one folder, whose path is empty or ends with `/`.
    fn folder(&mut self, folder: OwnedFd, path: &[u8], place: Place) -> Result<(), ScanError> {
        let failed = |source| ScanError::Read {
            path: bytes_path::display(path),
            source,
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_owned());
            }
        }
        names.sort_unstable();
        let patterns = names.iter().any(|name| name.as_bytes() == b".gitignore");
        let patterns = if patterns {
            self.ignore_file(folder.as_fd(), path)?
        } else {
            Vec::new()
        };
        self.ignores.push(path, &patterns);
        for name in &names {
            self.entry(folder.as_fd(), path, name, place)?;
        }
        self.ignores.pop();
        Ok(())
    }

    fn ignore_file(&mut self, folder: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<u8>, ScanError> {
        match self.read(folder, c".gitignore", path)? {
            Content::Bytes(bytes) => Ok(bytes),
            Content::LeftOut(_) | Content::Gone => Ok(Vec::new()),
        }
    }

    /// One name in a folder.
    fn entry(
        &mut self,
        folder: BorrowedFd<'_>,
        parent: &[u8],
        name: &CStr,
        place: Place,
    ) -> Result<(), ScanError> {
        if name.to_bytes() == b".git" {
            return Ok(());
        }
        let path = [parent, name.to_bytes()].concat();
        let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(source) => {
                return Err(ScanError::Read {
                    path: bytes_path::display(&path),
                    source,
                });
            }
        };
        let manifest = self.manifest;
        let tracked = manifest.entries.get_key_value(&path);
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if let Some((known, recorded)) = tracked
            && recorded.mode == FileMode::Gitlink
        {
            self.seen.insert(known);
            if !is_folder || !folder_is_empty(folder, name) {
                self.note(&path, is_folder, LeftOut::Submodule);
            }
            return Ok(());
        }
        if is_folder {
            return self.subfolder(folder, path, name, place);
        }
        match tracked {
            Some((known, recorded)) => self.tracked(folder, known, recorded, name, &stat),
            None => self.untracked(folder, &path, name, &stat, place),
        }
    }

    fn subfolder(
        &mut self,
        folder: BorrowedFd<'_>,
        mut path: Vec<u8>,
        name: &CStr,
        place: Place,
    ) -> Result<(), ScanError> {
        let holds_tracked = self.holds_tracked(&path);
        let reason = match place.ignored {
            Some(reason) => Some(reason),
            None => self.left_out(&path, name.to_bytes(), true),
        };
        if let (Some(reason), false) = (reason, holds_tracked) {
            if place.ignored.is_none() {
                self.note(&path, true, reason);
            }
            return Ok(());
        }
        let opened = match rustix::fs::openat(folder, name, FOLDER_FLAGS, Mode::empty()) {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ACCESS | Errno::PERM) => {
                self.note(&path, true, LeftOut::Unreadable);
                self.count_as_seen(&path);
                return Ok(());
            }
            Err(source) => {
                return Err(ScanError::Read {
                    path: bytes_path::display(&path),
                    source,
                });
            }
        };
        let nested = || rustix::fs::statat(&opened, c".git", AtFlags::SYMLINK_NOFOLLOW).is_ok();
        let reason_to_stop = if place.depth >= MOST_DEPTH {
            Some(LeftOut::TooDeep)
        } else if !holds_tracked && nested() {
            Some(LeftOut::NestedRepository)
        } else {
            None
        };
        if let Some(reason) = reason_to_stop {
            self.note(&path, true, reason);
            self.count_as_seen(&path);
            return Ok(());
        }
        if let (Some(reason), None) = (reason, place.ignored) {
            self.note(&path, true, reason);
        }
        path.push(b'/');
        self.folder(
            opened,
            &path,
            Place {
                depth: place.depth + 1,
                ignored: reason,
            },
        )
    }

    /// Whether the base has files below this folder.
    fn holds_tracked(&self, path: &[u8]) -> bool {
        self.below(path).next().is_some()
    }

    fn below(&self, path: &[u8]) -> impl Iterator<Item = (&'a RepoPath, &'a Recorded)> + use<'a> {
        let start = [path, b"/"].concat();
        let manifest = self.manifest;
        let from = manifest.entries.range(start.clone()..);
        from.take_while(move |(path, _)| path.starts_with(&start))
    }

    fn count_as_seen(&mut self, path: &[u8]) {
        for (known, _) in self.below(path) {
            self.seen.insert(known);
        }
    }

    /// Whether and why an untracked file or folder is left out by its name.
    fn left_out(&self, path: &[u8], name: &[u8], is_folder: bool) -> Option<LeftOut> {
        if self
            .options
            .exclude
            .iter()
            .any(|excluded| excluded.strip_suffix(b"/").unwrap_or(excluded) == path)
        {
            Some(LeftOut::Excluded)
        } else if junk::is_forbidden_part(name) {
            Some(LeftOut::ForbiddenName)
        } else if self.ignores.is_ignored(path, is_folder) {
            Some(LeftOut::Ignored)
        } else if junk::is_junk(name) {
            Some(LeftOut::Junk)
        } else {
            None
        }
    }

    /// A file or symlink where the base has a file or symlink.
    fn tracked(
        &mut self,
        folder: BorrowedFd<'_>,
        path: &'a RepoPath,
        recorded: &'a Recorded,
        name: &CStr,
        stat: &Stat,
    ) -> Result<(), ScanError> {
        if recorded.stat == Some(StatKey::of(stat)) {
            self.seen.insert(path);
            return Ok(());
        }
        let (mode, content) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => (FileMode::Symlink, self.target(folder, name, path)?),
            FileType::RegularFile => (file_mode(stat), self.read(folder, name, path)?),
            _ => {
                // The file itself is gone: it stays unseen, which is a deletion.
                self.note(path, false, LeftOut::SpecialFile);
                return Ok(());
            }
        };
        let mut content = match content {
            Content::Bytes(bytes) => bytes,
            Content::Gone => return Ok(()),
            Content::LeftOut(reason) => {
                self.note(path, false, reason);
                self.seen.insert(path);
                return Ok(());
            }
        };
        self.seen.insert(path);
        let mut id = ObjectId::of_blob(&content)?;
        if recorded.checkout == Checkout::CarriageReturns && mode != FileMode::Symlink && id != recorded.id {
            content = without_carriage_returns(&content);
            id = ObjectId::of_blob(&content)?;
        }
        if recorded.checkout == Checkout::LfsContent && mode != FileMode::Symlink && id != recorded.id {
            self.note(path, false, LeftOut::LfsContent);
            return Ok(());
        }
        if (mode, id) == (recorded.mode, recorded.id) {
            return Ok(());
        }
        self.add_change(
            path,
            Some((recorded.mode, recorded.id)),
            Entry { mode, id, content },
        );
        Ok(())
    }

    fn untracked(
        &mut self,
        folder: BorrowedFd<'_>,
        path: &[u8],
        name: &CStr,
        stat: &Stat,
        place: Place,
    ) -> Result<(), ScanError> {
        if place.ignored.is_some() {
            return Ok(());
        }
        if let Some(reason) = self.left_out(path, name.to_bytes(), false) {
            self.note(path, false, reason);
            return Ok(());
        }
        let (mode, content) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink if junk::is_forbidden_symlink(name.to_bytes()) => {
                (FileMode::Symlink, Content::LeftOut(LeftOut::ForbiddenName))
            }
            FileType::Symlink => (FileMode::Symlink, self.target(folder, name, path)?),
            FileType::RegularFile => (file_mode(stat), self.read(folder, name, path)?),
            _ => (FileMode::Regular, Content::LeftOut(LeftOut::SpecialFile)),
        };
        match content {
            Content::Bytes(content) => {
                let id = ObjectId::of_blob(&content)?;
                self.add_change(path, None, Entry { mode, id, content });
            }
            Content::LeftOut(reason) => self.note(path, false, reason),
            Content::Gone => {}
        }
        Ok(())
    }

    fn add_change(&mut self, path: &[u8], old: Option<(FileMode, ObjectId)>, new: Entry) {
        self.bytes += new.content.len() as u64;
        self.result.changes.push(ScannedChange {
            path: path.to_vec(),
            old,
            new: Some(new),
        });
    }

    /// Tracked files that were not met, but for those never laid out.
    fn add_deletions(&mut self) {
        for (path, recorded) in &self.manifest.entries {
            let absent = recorded.checkout == Checkout::Absent || recorded.mode == FileMode::Gitlink;
            if !absent && !self.seen.contains(path.as_slice()) {
                let old = Some((recorded.mode, recorded.id));
                self.result.changes.push(ScannedChange {
                    path: path.clone(),
                    old,
                    new: None,
                });
            }
        }
    }

    fn target(&self, folder: BorrowedFd<'_>, name: &CStr, path: &[u8]) -> Result<Content, ScanError> {
        match rustix::fs::readlinkat(folder, name, Vec::new()) {
            Ok(target) => Ok(Content::Bytes(target.into_bytes())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(Content::Gone),
            Err(source) => Err(ScanError::Read {
                path: bytes_path::display(path),
                source,
            }),
        }
    }

    /// Reads a regular file, however it may have changed since it was looked at.
    fn read(&mut self, folder: BorrowedFd<'_>, name: &CStr, path: &[u8]) -> Result<Content, ScanError> {
        let failed = |source| ScanError::Read {
            path: bytes_path::display(path),
            source,
        };
        let file = match rustix::fs::openat(folder, name, FILE_FLAGS, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Content::Gone),
            Err(Errno::ACCESS | Errno::PERM) => return Ok(Content::LeftOut(LeftOut::Unreadable)),
            Err(Errno::LOOP | Errno::NXIO) => return Ok(Content::LeftOut(LeftOut::SpecialFile)),
            Err(source) => return Err(failed(source)),
        };
        let stat = rustix::fs::fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(Content::LeftOut(LeftOut::SpecialFile));
        }
        let most = self
            .options
            .most_file_bytes
            .unwrap_or(MOST_FILE_BYTES)
            .min(MOST_BYTES - self.bytes.min(MOST_BYTES));
        self.result.files_read += 1;
        let mut content = Vec::new();
        let read = std::io::Read::read_to_end(
            &mut std::io::Read::take(std::fs::File::from(file), most.saturating_add(1)),
            &mut content,
        );
        match read {
            Ok(_) if content.len() as u64 > most => Ok(Content::LeftOut(LeftOut::TooLarge)),
            Ok(_) => Ok(Content::Bytes(content)),
            Err(error) => Err(failed(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
        }
    }
}

/// Git knows but one permission: whether the owner may run it.
fn file_mode(stat: &Stat) -> FileMode {
    if stat.st_mode & 0o100 != 0 {
        FileMode::Executable
    } else {
        FileMode::Regular
    }
}

/// Whether a folder has nothing in it; `true` too when it cannot be looked into.
fn folder_is_empty(parent: BorrowedFd<'_>, name: &CStr) -> bool {
    let names = rustix::fs::openat(parent, name, FOLDER_FLAGS, Mode::empty()).and_then(rustix::fs::Dir::new);
    names.map_or(true, |names| {
        names
            .flatten()
            .all(|entry| matches!(entry.file_name().to_bytes(), b"." | b".."))
    })
}

/// `\r\n` as `\n`.
fn without_carriage_returns(content: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(content.len());
    let mut bytes = content.iter().peekable();
    while let Some(&byte) = bytes.next() {
        if byte != b'\r' || bytes.peek() != Some(&&b'\n') {
            normal.push(byte);
        }
    }
    normal
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
