//! What lies in a working tree beside the tracked files: new files, and the environment that git ignores
//! (virtualenvs, `node_modules`, build folders), sorted into what is copied, what is mounted and what stays out.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use git2::Repository;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::disk::{self, Copied, Parents};
use super::error::{Note, WorkspaceError};
use super::secrets;
use crate::bytes_path::{self, RepoPath};
use crate::patch::manifest::FileMode;

/// Folders with fewer bytes and entries than these are copied.
const SMALL_BYTES: u64 = 32 << 20;
const SMALL_ENTRIES: u64 = 2_000;
/// All copies of a run's environment together.
const COPIED_BYTES: u64 = 512 << 20;
const COPIED_ENTRIES: u64 = 40_000;
/// Mounts that an environment may ask for.
const MOST_MOUNTS: usize = 64;
/// Names looked at in one mounted folder in search of secrets.
const MOST_NAMES: u64 = 500_000;

/// A part of the environment that is mounted from where the user has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mounted {
    pub(crate) path: RepoPath,
    pub(crate) kind: MountedKind,
}

/// How it is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MountedKind {
    /// A folder, copy-on-write.
    Folder,
    /// One large file, read-only.
    File,
    /// A file inside a mounted folder, hidden behind an empty one.
    HiddenFile,
    /// A folder inside a mounted folder, hidden behind an empty one.
    HiddenFolder,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// New files that git does not ignore.
    pub(crate) untracked: Vec<RepoPath>,
    /// Files and small folders to copy.
    pub(crate) copied: Vec<(RepoPath, FileType)>,
    pub(crate) mounted: Vec<Mounted>,
    pub(crate) notes: Vec<Note>,
}

/// Looks through the working tree.
pub(crate) struct Surveyor<'a> {
    pub(crate) library: &'a Repository,
    pub(crate) root: &'a Path,
    /// Paths of the base and of the index: never part of the environment.
    pub(crate) known: &'a BTreeMap<RepoPath, FileMode>,
    pub(crate) environment: bool,
}

/// A survey under way.
struct Walk<'a> {
    surveyor: &'a Surveyor<'a>,
    known_folders: HashSet<&'a [u8]>,
    waiting: Vec<RepoPath>,
    survey: Survey,
    caches: usize,
    sum: Copied,
}

impl Surveyor<'_> {
    /// Looks through the whole working tree.
    pub(crate) fn run(&self) -> Result<Survey, WorkspaceError> {
        let mut known_folders = HashSet::new();
        for path in self.known.keys() {
            let slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
            for (at, _) in slashes {
                if !known_folders.insert(path.get(..at).unwrap_or_default()) {
                    break;
                }
            }
        }
        let mut parents = Parents::new(self.root, false).map_err(WorkspaceError::io("opening", self.root))?;
        let mut walk = Walk {
            surveyor: self,
            known_folders,
            waiting: vec![Vec::new()],
            survey: Survey::default(),
            caches: 0,
            sum: Copied::default(),
        };
        while let Some(path) = walk.waiting.pop() {
            // What vanishes or closes itself while the user works is simply not there.
            let Ok(folder) = open_below(&mut parents, self.root, &path) else {
                continue;
            };
            let Ok(mut entries) = disk::list(folder.as_fd()) else {
                continue;
            };
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            for (name, kind) in entries {
                let below = disk::below(&path, &name);
                match kind {
                    _ if name.eq_ignore_ascii_case(b".git") => {}
                    FileType::Directory => walk.folder(folder.as_fd(), below, &name)?,
                    FileType::RegularFile | FileType::Symlink => {
                        walk.file(folder.as_fd(), below, &name, kind)?
                    }
                    _ => {}
                }
            }
        }
        if walk.caches > 0 {
            walk.survey.notes.push(Note::CachesLeftOut(walk.caches));
        }
        Ok(walk.survey)
    }
}

impl Walk<'_> {
    fn folder(&mut self, parent: BorrowedFd<'_>, path: RepoPath, name: &[u8]) -> Result<(), WorkspaceError> {
        if self.surveyor.known.get(&path) == Some(&FileMode::Gitlink) {
            return Ok(());
        }
        if self.known_folders.contains(path.as_slice()) {
            self.waiting.push(path);
            return Ok(());
        }
        let Ok(folder) = disk::open_folder(parent, name) else {
            return Ok(());
        };
        if secrets::is_secret_folder(name) {
            self.survey
                .notes
                .push(Note::SecretLeftOut(bytes_path::display(&path)));
            return Ok(());
        }
        if holds(folder.as_fd(), b".git") {
            self.survey
                .notes
                .push(Note::NestedRepository(bytes_path::display(&path)));
            return Ok(());
        }
        let with_slash = [path.as_slice(), b"/"].concat();
        if !self.surveyor.is_ignored(&with_slash)? && !is_environment(folder.as_fd(), name) {
            self.waiting.push(path);
            return Ok(());
        }
        if !self.surveyor.environment {
            return Ok(());
        }
        if secrets::is_cache(name) {
            self.caches += 1;
            return Ok(());
        }
        match measure(&folder) {
            Some(size) if self.fits(size) => self.survey.copied.push((path, FileType::Directory)),
            _ => self.mount_folder(path, &folder),
        }
        Ok(())
    }

    fn file(
        &mut self,
        parent: BorrowedFd<'_>,
        path: RepoPath,
        name: &[u8],
        kind: FileType,
    ) -> Result<(), WorkspaceError> {
        if self.surveyor.known.contains_key(&path) {
            return Ok(());
        }
        if is_secret(parent, name, kind) {
            self.survey
                .notes
                .push(Note::SecretLeftOut(bytes_path::display(&path)));
            return Ok(());
        }
        if !self.surveyor.is_ignored(&path)? {
            self.survey.untracked.push(path);
            return Ok(());
        }
        if !self.surveyor.environment {
            return Ok(());
        }
        if secrets::is_cache(name) {
            self.caches += 1;
            return Ok(());
        }
        let Ok(stat) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(());
        };
        let bytes = u64::try_from(stat.st_size).unwrap_or(0);
        if kind == FileType::Symlink
            || (bytes < SMALL_BYTES
                && self.fits(Copied {
                    entries: 1,
                    bytes,
                    unreadable: 0,
                }))
        {
            self.survey.copied.push((path, kind));
        } else if self.survey.mounted.len() < MOST_MOUNTS {
            self.survey.mounted.push(Mounted {
                path,
                kind: MountedKind::File,
            });
        } else {
            self.survey.notes.push(Note::TooLarge(bytes_path::display(&path)));
        }
        Ok(())
    }

    /// Takes a copy's size from what may still be copied.
    fn fits(&mut self, size: Copied) -> bool {
        let fits =
            self.sum.bytes + size.bytes <= COPIED_BYTES && self.sum.entries + size.entries <= COPIED_ENTRIES;
        if fits {
            self.sum.bytes += size.bytes;
            self.sum.entries += size.entries;
        }
        fits
    }

    fn mount_folder(&mut self, path: RepoPath, folder: &OwnedFd) {
        let mut mounts = vec![Mounted {
            path: path.clone(),
            kind: MountedKind::Folder,
        }];
        let complete = find_hidden(folder, &path, &mut mounts);
        if !complete || self.survey.mounted.len() + mounts.len() > MOST_MOUNTS {
            self.survey.notes.push(Note::TooLarge(bytes_path::display(&path)));
            return;
        }
        for hidden in mounts.iter().skip(1) {
            self.survey
                .notes
                .push(Note::SecretLeftOut(bytes_path::display(&hidden.path)));
        }
        self.survey.mounted.append(&mut mounts);
    }
}

impl Surveyor<'_> {
    fn is_ignored(&self, path: &[u8]) -> Result<bool, WorkspaceError> {
        Ok(self.library.is_path_ignored(bytes_path::to_path(path))?)
    }
}

fn open_below(parents: &mut Parents, root: &Path, path: &[u8]) -> std::io::Result<OwnedFd> {
    if path.is_empty() {
        return disk::open_root(root);
    }
    let (parent, name) = parents.of(path)?;
    disk::open_folder(parent, name)
}

fn holds(folder: BorrowedFd<'_>, name: &[u8]) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Whether a folder that git does not ignore is an environment all the same.
fn is_environment(folder: BorrowedFd<'_>, name: &[u8]) -> bool {
    name == b"node_modules"
        || name.ends_with(b".egg-info")
        || [&b"pyvenv.cfg"[..], b"conda-meta", b"CACHEDIR.TAG"]
            .iter()
            .any(|mark| holds(folder, mark))
}

fn is_secret(parent: BorrowedFd<'_>, name: &[u8], kind: FileType) -> bool {
    secrets::is_secret_file(name, || {
        let mut content = Vec::new();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if kind == FileType::RegularFile
            && let Ok(file) = rustix::fs::openat(parent, name, flags, Mode::empty())
        {
            // A file that cannot be read holds nothing that could be copied either.
            let _ = std::fs::File::from(file).take(1 << 20).read_to_end(&mut content);
        }
        content
    })
}

/// The size of a small folder; `None` for one that is not small.
fn measure(folder: &OwnedFd) -> Option<Copied> {
    let mut sum = Copied::default();
    measure_into(folder.as_fd(), &mut sum, 0).then_some(sum)
}

fn measure_into(folder: BorrowedFd<'_>, sum: &mut Copied, depth: u32) -> bool {
    let Ok(entries) = disk::list(folder) else {
        return true;
    };
    sum.entries += entries.len() as u64;
    if sum.entries >= SMALL_ENTRIES || depth > 100 {
        return false;
    }
    for (name, kind) in entries {
        if kind == FileType::Directory {
            if let Ok(inner) = disk::open_folder(folder, &name)
                && !measure_into(inner.as_fd(), sum, depth + 1)
            {
                return false;
            }
        } else if let Ok(stat) = rustix::fs::statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            sum.bytes += u64::try_from(stat.st_size).unwrap_or(0);
        }
        if sum.bytes >= SMALL_BYTES {
            return false;
        }
    }
    true
}

/// Adds what must be hidden in a mounted folder. False when the folder is too large to be looked through.
fn find_hidden(folder: &OwnedFd, path: &[u8], found: &mut Vec<Mounted>) -> bool {
    let mut names = 0;
    let mut complete = true;
    hidden_below(folder.as_fd(), path, found, &mut names, &mut complete, 0);
    complete
}

fn hidden_below(
    folder: BorrowedFd<'_>,
    path: &[u8],
    found: &mut Vec<Mounted>,
    names: &mut u64,
    complete: &mut bool,
    depth: u32,
) {
    let Ok(entries) = disk::list(folder) else { return };
    *names += entries.len() as u64;
    if *names > MOST_NAMES || found.len() > MOST_MOUNTS || depth > 200 {
        *complete = false;
        return;
    }
    for (name, kind) in entries {
        let below = || disk::below(path, &name);
        if kind != FileType::Directory {
            // A nested repository's `.git` may be a file that names another folder.
            if name == b".git" || (kind == FileType::RegularFile && is_secret(folder, &name, kind)) {
                found.push(Mounted {
                    path: below(),
                    kind: MountedKind::HiddenFile,
                });
            }
        } else if name == b".git" || secrets::is_secret_folder(&name) {
            found.push(Mounted {
                path: below(),
                kind: MountedKind::HiddenFolder,
            });
        } else if let Ok(inner) = disk::open_folder(folder, &name) {
            hidden_below(inner.as_fd(), &below(), found, names, complete, depth + 1);
        }
    }
}

/// What is left out of a copy of a part of the environment.
pub(crate) fn skip(folder: BorrowedFd<'_>, name: &[u8], kind: FileType) -> bool {
    match kind {
        _ if name == b".git" => true,
        FileType::Directory => secrets::is_secret_folder(name),
        FileType::RegularFile => is_secret(folder, name, kind),
        _ => false,
    }
}

/// Copies the files and small folders of a survey into the snapshot's tree, and makes the places where the others
/// are mounted.
pub(crate) fn place(survey: &mut Survey, root: &Path, tree: &Path) -> Result<Copied, WorkspaceError> {
    let mut from = Parents::new(root, false).map_err(WorkspaceError::io("opening", root))?;
    let mut to = Parents::new(tree, true).map_err(WorkspaceError::io("opening", tree))?;
    let mut sum = Copied::default();
    for (path, kind) in &survey.copied {
        let copied = place_one(&mut from, &mut to, path, *kind);
        match copied {
            Ok(copied) => {
                sum.entries += copied.entries;
                sum.bytes += copied.bytes;
                if copied.unreadable > 0 {
                    survey.notes.push(Note::NotReadable(bytes_path::display(path)));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                survey.notes.push(Note::NotReadable(bytes_path::display(path)));
            }
            Err(error) => return Err(WorkspaceError::io("copying", &disk::at(root, path))(error)),
        }
    }
    for mounted in &survey.mounted {
        let made = match mounted.kind {
            MountedKind::Folder => to.make_folder(&mounted.path),
            MountedKind::File => to
                .of(&mounted.path)
                .and_then(|(folder, name)| disk::create_file(folder, name).map(drop)),
            // Their places are in the user's folder.
            MountedKind::HiddenFile | MountedKind::HiddenFolder => Ok(()),
        };
        made.map_err(WorkspaceError::io("making", &disk::at(tree, &mounted.path)))?;
    }
    Ok(sum)
}

fn place_one(from: &mut Parents, to: &mut Parents, path: &[u8], kind: FileType) -> std::io::Result<Copied> {
    let (source, name) = from.of(path)?;
    if kind != FileType::Directory {
        let (target, _) = to.of(path)?;
        let bytes = disk::copy_entry(source, target, name)?.unwrap_or(0);
        return Ok(Copied {
            entries: 1,
            bytes,
            unreadable: 0,
        });
    }
    let source = disk::open_folder(source, name)?;
    let stat = rustix::fs::fstat(&source)?;
    to.make_folder(path)?;
    let (target, _) = to.of(path)?;
    let target = disk::open_folder(target, name)?;
    let copied = disk::copy_tree(source, target.try_clone()?, &skip)?;
    rustix::fs::futimens(&target, &disk::times_of(&stat))?;
    Ok(copied)
}
