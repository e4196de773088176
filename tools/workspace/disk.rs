//! File-system work that never follows a symbolic link below a given root: opening folders part by part,
//! copying contents the cheapest way, measuring and removing whole trees that a hostile program may have made.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use crate::bytes_path;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Both times of a file set to its modification time.
// The widths of these fields differ between architectures, so the casts are no-ops on some of them.
#[allow(clippy::unnecessary_cast)]
pub(crate) fn times_of(stat: &Stat) -> Timestamps {
    times(stat.st_mtime as i64, stat.st_mtime_nsec as i64)
}

/// Both times of a file set to a moment.
pub(crate) fn times(seconds: i64, nanoseconds: i64) -> Timestamps {
    let at = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds as _,
    };
    Timestamps {
        last_access: at,
        last_modification: at,
    }
}

/// Opens the parents of paths below a root, one part after the other, refusing symbolic links. The parts of the
/// last path stay open, so that a sorted walk opens each folder once.
pub(crate) struct Parents {
    root: OwnedFd,
    open: Vec<(Vec<u8>, OwnedFd)>,
    create: bool,
}

impl Parents {
    /// For paths below `root`; with `create`, folders that are missing are made.
    pub(crate) fn new(root: &Path, create: bool) -> io::Result<Parents> {
        // The root itself is the caller's word and may be reached through links.
        let root = rustix::fs::open(root, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?;
        Ok(Parents {
            root,
            open: Vec::new(),
            create,
        })
    }

    /// The folder that holds `path`, and the last part of `path`.
    pub(crate) fn of<'p>(&mut self, path: &'p [u8]) -> io::Result<(BorrowedFd<'_>, &'p [u8])> {
        let (folder, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(at) => path.split_at(at),
            None => return Ok((self.root.as_fd(), path)),
        };
        let name = name.get(1..).unwrap_or_default();
        let mut parts = folder.split(|&byte| byte == b'/');
        let mut kept = 0;
        let mut next = parts.next();
        while let (Some(part), Some((open, _))) = (next, self.open.get(kept)) {
            if open != part {
                break;
            }
            kept += 1;
            next = parts.next();
        }
        self.open.truncate(kept);
        while let Some(part) = next {
            let above = self.open.last().map_or(self.root.as_fd(), |(_, fd)| fd.as_fd());
            let fd = match rustix::fs::openat(above, part, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) if self.create => {
                    match rustix::fs::mkdirat(above, part, Mode::from_raw_mode(0o755)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    rustix::fs::openat(above, part, FOLDER, Mode::empty())?
                }
                other => other?,
            };
            self.open.push((part.to_vec(), fd));
            next = parts.next();
        }
        Ok((
            self.open.last().map_or(self.root.as_fd(), |(_, fd)| fd.as_fd()),
            name,
        ))
    }

    /// Makes the folder `path` and those above it.
    pub(crate) fn make_folder(&mut self, path: &[u8]) -> io::Result<()> {
        let (parent, name) = self.of(path)?;
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Copies what `from` holds to the empty file `to`: shared blocks where the file system can, else in the kernel,
/// else through memory.
pub(crate) fn copy_contents(from: &File, to: &File) -> io::Result<u64> {
    let length = from.metadata()?.len();
    if length > 0 && rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(length);
    }
    let mut copied = 0;
    loop {
        match rustix::fs::copy_file_range(from, None, to, None, 1 << 30) {
            Ok(0) => break,
            Ok(count) => copied += count as u64,
            Err(Errno::INTR) => {}
            Err(_) => return Ok(copied + copy_through_memory(from, to)?),
        }
    }
    // Some virtual file systems report a size of zero to the kernel's copy and still have bytes to read.
    Ok(copied + copy_through_memory(from, to)?)
}

fn copy_through_memory(mut from: &File, mut to: &File) -> io::Result<u64> {
    let mut buffer = vec![0; 128 << 10];
    let mut copied = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                to.write_all(buffer.get(..count).unwrap_or_default())?;
                copied += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Copies one file or symbolic link between two open folders under one name, with its mode and modification time.
/// Returns the bytes copied; other kinds of files are passed over with `None`.
pub(crate) fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<u64>> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from, name, Vec::new())?;
            rustix::fs::symlinkat(target, to, name)?;
            rustix::fs::utimensat(to, name, &times_of(&stat), AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(Some(0))
        }
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let source = File::from(rustix::fs::openat(from, name, flags, Mode::empty())?);
            let target = create_file(to, name)?;
            let bytes = copy_contents(&source, &target)?;
            rustix::fs::fchmod(&target, Mode::from_raw_mode(stat.st_mode & 0o777 | 0o600))?;
            rustix::fs::futimens(&target, &times_of(&stat))?;
            Ok(Some(bytes))
        }
        _ => Ok(None),
    }
}

/// A new, empty file; whatever stands under the name already is an error.
pub(crate) fn create_file(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(
        folder,
        name,
        flags,
        Mode::from_raw_mode(0o644),
    )?))
}

/// What a folder holds, by name, without `.` and `..`.
pub(crate) fn list(folder: BorrowedFd<'_>) -> io::Result<Vec<(Vec<u8>, FileType)>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            },
            known => known,
        };
        entries.push((name.to_vec(), kind));
    }
    Ok(entries)
}

/// Opens a folder inside an open folder, refusing a symbolic link.
pub(crate) fn open_folder(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(parent, name, FOLDER, Mode::empty())?)
}

/// Opens a folder by path; its last part may not be a symbolic link.
pub(crate) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, FOLDER, Mode::empty())?)
}

/// Disk space that a tree takes, in bytes. Folders that cannot be read (the kernel's own) count as empty, and so do
/// those nested deeper than 200, so that a hostile tree costs a bounded number of open files.
pub(crate) fn usage(path: &Path) -> io::Result<u64> {
    let root = open_root(path)?;
    let mut total = 0;
    let below = measure(root.as_fd(), &mut total);
    let mut open = vec![(root, below)];
    while let Some((folder, waiting)) = open.last_mut() {
        let Some(name) = waiting.pop() else {
            open.pop();
            continue;
        };
        if let Ok(inner) = open_folder(folder.as_fd(), &name) {
            let below = measure(inner.as_fd(), &mut total);
            if open.len() < 200 {
                open.push((inner, below));
            }
        }
    }
    Ok(total)
}

/// Adds the size of a folder's entries to `total`; returns its subfolders.
fn measure(folder: BorrowedFd<'_>, total: &mut u64) -> Vec<Vec<u8>> {
    let mut below = Vec::new();
    for (name, kind) in list(folder).unwrap_or_default() {
        if let Ok(stat) = rustix::fs::statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            *total += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        }
        if kind == FileType::Directory {
            below.push(name);
        }
    }
    below
}

/// Removes a tree. Folders without permissions are given them, nothing outside is touched, and nesting of any depth
/// is taken apart with a few open files: each folder's subfolders are moved up to the root before it is removed.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let all = Mode::from_raw_mode(0o700);
    let root = match open_root(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            rustix::fs::chmodat(CWD, path, all, AtFlags::empty())?;
            open_root(path)?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    rustix::fs::fchmod(&root, all)?;
    let mut moved = 0_u64;
    loop {
        let entries = list(root.as_fd())?;
        if entries.is_empty() {
            break;
        }
        for (name, kind) in entries {
            if kind != FileType::Directory {
                gone(rustix::fs::unlinkat(&root, &name, AtFlags::empty()))?;
                continue;
            }
            if rustix::fs::unlinkat(&root, &name, AtFlags::REMOVEDIR).is_ok() {
                continue;
            }
            let Some(folder) = open_for_removal(root.as_fd(), &name)? else {
                continue;
            };
            empty_into(folder.as_fd(), root.as_fd(), &mut moved)?;
            gone(rustix::fs::unlinkat(&root, &name, AtFlags::REMOVEDIR))?;
        }
    }
    gone(rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR))
}

/// Unlinks the files of `folder` and moves its subfolders to `root` under names that nothing there has.
fn empty_into(folder: BorrowedFd<'_>, root: BorrowedFd<'_>, moved: &mut u64) -> io::Result<()> {
    for (name, kind) in list(folder)? {
        if kind != FileType::Directory {
            gone(rustix::fs::unlinkat(folder, &name, AtFlags::empty()))?;
            continue;
        }
        // A folder that may not be written cannot be moved either: its `..` changes.
        if open_for_removal(folder, &name)?.is_none() {
            continue;
        }
        loop {
            *moved += 1;
            let fresh = format!(".cwm-removing-{}-{moved}", std::process::id());
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(folder, &name, root, fresh.as_str(), flags) {
                Err(Errno::EXIST) => {}
                other => break gone(other)?,
            }
        }
    }
    Ok(())
}

fn open_for_removal(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<OwnedFd>> {
    let all = Mode::from_raw_mode(0o700);
    let opened = match open_folder(parent, name) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // The entry was listed as a folder, and only this process and the dead attempt's user write here.
            rustix::fs::chmodat(parent, name, all, AtFlags::empty())?;
            open_folder(parent, name)
        }
        other => other,
    };
    match opened {
        Ok(folder) => {
            rustix::fs::fchmod(&folder, all)?;
            Ok(Some(folder))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Another process may be removing the same leftovers: what is gone already is no error.
fn gone(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes a file in whole.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), super::WorkspaceError> {
    std::fs::write(path, bytes).map_err(super::WorkspaceError::io("writing", path))
}

/// Makes a folder and those above it.
pub(crate) fn make_folders(path: &Path) -> Result<(), super::WorkspaceError> {
    std::fs::create_dir_all(path).map_err(super::WorkspaceError::io("making", path))
}

/// Whether a path is safe to write below a root: no empty, `.`, `..` or `.git` part.
pub(crate) fn is_safe(path: &[u8]) -> bool {
    !path.is_empty()
        && path.split(|&byte| byte == b'/').all(|part| {
            !part.is_empty()
                && part != b"."
                && part != b".."
                && !part.eq_ignore_ascii_case(b".git")
                && !part.contains(&0)
        })
}

/// A path of a repository below another path of it.
pub(crate) fn below(folder: &[u8], name: &[u8]) -> Vec<u8> {
    match folder {
        [] => name.to_vec(),
        _ => [folder, b"/", name].concat(),
    }
}

/// For errors: the path of a file below a root.
pub(crate) fn at(root: &Path, path: &[u8]) -> std::path::PathBuf {
    bytes_path::join(root, path)
}

/// What a copy of a tree came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Files that could not be read, or vanished meanwhile.
    pub(crate) unreadable: u64,
}

/// Whether an entry of a tree is to be left out of a copy: its folder, its name, its kind.
pub(crate) type Skip<'a> = &'a dyn Fn(BorrowedFd<'_>, &[u8], FileType) -> bool;

/// Copies what the folder `from` holds into the folder `to`, modes and modification times kept. What is there
/// already, and what is no file, folder or link, is passed over.
pub(crate) fn copy_tree(from: OwnedFd, to: OwnedFd, skip: Skip<'_>) -> io::Result<Copied> {
    let mut copied = Copied::default();
    copy_folder(&from, &to, skip, &mut copied, 0)?;
    Ok(copied)
}

fn copy_folder(
    from: &OwnedFd,
    to: &OwnedFd,
    skip: Skip<'_>,
    copied: &mut Copied,
    depth: u32,
) -> io::Result<()> {
    // Deeper than any path that a program can name; keeps the stack and the open files bounded.
    const DEEPEST: u32 = 400;
    for (name, kind) in list(from.as_fd())? {
        if skip(from.as_fd(), &name, kind) {
            continue;
        }
        if kind != FileType::Directory {
            match copy_entry(from.as_fd(), to.as_fd(), &name) {
                Ok(Some(bytes)) => {
                    copied.entries += 1;
                    copied.bytes += bytes;
                }
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if is_unreadable(&error) => copied.unreadable += 1,
                Err(error) => return Err(error),
            }
            continue;
        }
        let inner = match open_folder(from.as_fd(), &name) {
            Ok(inner) if depth < DEEPEST => inner,
            Ok(_) => continue,
            Err(error) if is_unreadable(&error) => {
                copied.unreadable += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        let stat = rustix::fs::fstat(&inner)?;
        match rustix::fs::mkdirat(to, &name, Mode::from_raw_mode(stat.st_mode & 0o777 | 0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let target = open_folder(to.as_fd(), &name)?;
        copied.entries += 1;
        copy_folder(&inner, &target, skip, copied, depth + 1)?;
        rustix::fs::futimens(&target, &times_of(&stat))?;
    }
    Ok(())
}

fn is_unreadable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    )
}
