//! The system's side of applying a patch: reads a working tree without following symlinks, and replaces files so
//! that all of it can be taken back.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use crate::bytes_path::{self, RepoPath};

use super::super::manifest::FileMode;
use super::repository::Step;
use super::{ApplyError, FileState};

const FOLDER_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDisk {
    Nothing,
    File,
    Symlink,
    Folder,
    Other,
}

/// A working tree, by its open root.
pub(super) struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

/// The folder and the name of a path.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (
            path.get(..at).unwrap_or_default(),
            path.get(at + 1..).unwrap_or_default(),
        ),
        None => (b"", path),
    }
}

impl Tree {
    pub(super) fn open(root: &Path) -> Result<Tree, ApplyError> {
        let failed = |error: Errno| ApplyError::Repository {
            path: root.to_owned(),
            why: format!("the working tree cannot be opened ({error})"),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(root, flags, Mode::empty()).map_err(failed)?;
        Ok(Tree {
            root: opened,
            path: root.to_owned(),
        })
    }

    /// Opens a folder, no part of whose path may be a symlink.
    fn folder(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let mut folder = rustix::io::fcntl_dupfd_cloexec(&self.root, 0)?;
        for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            folder = rustix::fs::openat(&folder, part, FOLDER_FLAGS, Mode::empty())?;
        }
        Ok(folder)
    }

    fn stat(&self, path: &[u8]) -> Result<Option<Stat>, Errno> {
        let (folder, name) = split(path);
        let stat = self
            .folder(folder)
            .and_then(|folder| rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW));
        match stat {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What stands at a path; nothing stands behind a symlink.
    pub(super) fn look(&self, path: &[u8]) -> Result<OnDisk, ApplyError> {
        let read = |error: Errno| ApplyError::Read {
            file: bytes_path::display(path),
            source: Box::new(error),
        };
        Ok(match self.stat(path).map_err(read)? {
            None => OnDisk::Nothing,
            Some(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => OnDisk::File,
                FileType::Symlink => OnDisk::Symlink,
                FileType::Directory => OnDisk::Folder,
                _ => OnDisk::Other,
            },
        })
    }

    /// The file or symlink at a path.
    pub(super) fn read(
        &self,
        path: &[u8],
    ) -> Result<Option<FileState>, Box<dyn std::error::Error + Send + Sync>> {
        let (folder, name) = split(path);
        let Some(stat) = self.stat(path)? else {
            return Ok(None);
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(None),
            FileType::Symlink | FileType::RegularFile => Ok(Some(read_at(&self.folder(folder)?, name)?)),
            _ => Err("it is neither a file nor a symlink".into()),
        }
    }

    /// Whether a folder will hold anything when the paths in `leaving` are gone.
    pub(super) fn keeps_files(&self, path: &[u8], leaving: &BTreeSet<&[u8]>) -> Result<bool, ApplyError> {
        let failed = |error: Errno| ApplyError::Read {
            file: bytes_path::display(path),
            source: Box::new(error),
        };
        let folder = self.folder(path).map_err(failed)?;
        for entry in rustix::fs::Dir::new(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let below = [path, b"/", name].concat();
            let goes = match self.look(&below)? {
                OnDisk::Folder => !self.keeps_files(&below, leaving)?,
                _ => leaving.contains(below.as_slice()),
            };
            if !goes {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Fills in what git compares to see that a file is unchanged.
    // The widths of these fields differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    pub(super) fn fill_stat(&self, path: &[u8], entry: &mut git2::IndexEntry) -> Result<(), ApplyError> {
        let failed = |error: Errno| ApplyError::Read {
            file: bytes_path::display(path),
            source: Box::new(error),
        };
        if let Some(stat) = self.stat(path).map_err(failed)? {
            entry.ctime = git2::IndexTime::new(stat.st_ctime as i32, stat.st_ctime_nsec as u32);
            entry.mtime = git2::IndexTime::new(stat.st_mtime as i32, stat.st_mtime_nsec as u32);
            (entry.dev, entry.ino) = (stat.st_dev as u32, stat.st_ino as u32);
            (entry.uid, entry.gid, entry.file_size) = (stat.st_uid, stat.st_gid, stat.st_size as u32);
        }
        Ok(())
    }
}

/// Reads a file or symlink in an open folder.
fn read_at(folder: &OwnedFd, name: &[u8]) -> io::Result<FileState> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(file) => {
            let stat = rustix::fs::fstat(&file)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(io::Error::other("it is neither a file nor a symlink"));
            }
            let mode = if stat.st_mode & 0o100 != 0 {
                FileMode::Executable
            } else {
                FileMode::Regular
            };
            let mut content = Vec::new();
            std::fs::File::from(file).read_to_end(&mut content)?;
            Ok(FileState { mode, content })
        }
        Err(Errno::LOOP) => {
            let content = rustix::fs::readlinkat(folder, name, Vec::new())?.into_bytes();
            Ok(FileState {
                mode: FileMode::Symlink,
                content,
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// How to take one change back.
enum Undo {
    /// Move a file back from the stage.
    Return { path: RepoPath, staged: String },
    /// Swap a file with the one in the stage.
    Swap { path: RepoPath, staged: String },
    /// Move a new file into the stage.
    Withdraw { path: RepoPath, staged: String },
    /// Remove a folder made.
    Unmake { path: RepoPath },
    /// Make a folder removed.
    Remake { path: RepoPath, mode: u32 },
}

/// New contents on their way into a tree, in a folder of their own inside it.
pub(super) struct Stage<'a> {
    tree: &'a Tree,
    name: String,
    folder: OwnedFd,
    undo: Vec<Undo>,
}

impl<'a> Stage<'a> {
    /// Writes all new contents into the stage; the tree itself stays as it is.
    pub(super) fn prepare(tree: &'a Tree, steps: &[Step]) -> Result<Stage<'a>, ApplyError> {
        let failed = |error: Errno| ApplyError::Write {
            file: tree.path.display().to_string(),
            source: error.into(),
        };
        let mut number = 0;
        let name = loop {
            let name = format!(".cwm-apply-{}-{number}", std::process::id());
            match rustix::fs::mkdirat(&tree.root, &name, Mode::RWXU) {
                Ok(()) => break name,
                Err(Errno::EXIST) if number < 1_000 => number += 1,
                Err(error) => return Err(failed(error)),
            }
        };
        let folder = tree.folder(name.as_bytes()).map_err(failed)?;
        let stage = Stage {
            tree,
            name,
            folder,
            undo: Vec::new(),
        };
        for (number, step) in steps.iter().enumerate() {
            if let Some(after) = &step.after
                && let Err(source) = stage.write(&staged_name(number), step, after)
            {
                stage.remove();
                return Err(ApplyError::Write {
                    file: bytes_path::display(&step.path),
                    source,
                });
            }
        }
        Ok(stage)
    }

    fn write(&self, name: &str, step: &Step, after: &FileState) -> io::Result<()> {
        if after.mode == FileMode::Symlink {
            rustix::fs::symlinkat(after.content.as_slice(), &self.folder, name)?;
            return Ok(());
        }
        let executable = after.mode == FileMode::Executable;
        let fresh = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.folder, name, flags, fresh)?;
        if let Some(stat) = self.tree.stat(&step.path)?
            && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        {
            let kept = stat.st_mode & 0o777;
            let mode = if executable {
                kept | ((kept & 0o444) >> 2)
            } else {
                kept & !0o111
            };
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        }
        std::fs::File::from(file).write_all(&after.content)
    }

    /// Puts everything in its place. On an error, part of it is done: [`finish`](Self::finish) takes it back.
    pub(super) fn replace(&mut self, steps: &[Step]) -> Result<(), ApplyError> {
        for (number, step) in steps.iter().enumerate().filter(|(_, step)| step.after.is_none()) {
            self.take_away(number, step)
                .map_err(|source| written(step, source))?;
        }
        for step in steps.iter().filter(|step| step.after.is_none()) {
            self.remove_empty_parents(&step.path);
        }
        for (number, step) in steps.iter().enumerate().filter(|(_, step)| step.after.is_some()) {
            self.put(number, step).map_err(|source| written(step, source))?;
        }
        Ok(())
    }

    fn take_away(&mut self, number: usize, step: &Step) -> io::Result<()> {
        let (folder, name) = split(&step.path);
        let staged = format!("old-{number}");
        rustix::fs::renameat(self.tree.folder(folder)?, name, &self.folder, &staged)?;
        self.undo.push(Undo::Return {
            path: step.path.clone(),
            staged: staged.clone(),
        });
        self.check_unchanged(&staged, step)
    }

    /// What was moved out must be what the patch was checked against.
    fn check_unchanged(&self, staged: &str, step: &Step) -> io::Result<()> {
        if Some(read_at(&self.folder, staged.as_bytes())?) == step.before {
            return Ok(());
        }
        Err(io::Error::other("it was changed by someone else meanwhile"))
    }

    fn put(&mut self, number: usize, step: &Step) -> io::Result<()> {
        let (parent, name) = split(&step.path);
        let folder = self.make_folders(parent)?;
        let staged = staged_name(number);
        if step.before.is_some() {
            rustix::fs::renameat_with(&self.folder, &staged, &folder, name, RenameFlags::EXCHANGE)?;
            self.undo.push(Undo::Swap {
                path: step.path.clone(),
                staged: staged.clone(),
            });
            return self.check_unchanged(&staged, step);
        }
        self.remove_empty_folder(&step.path)?;
        rustix::fs::renameat_with(&self.folder, &staged, &folder, name, RenameFlags::NOREPLACE)?;
        self.undo.push(Undo::Withdraw {
            path: step.path.clone(),
            staged,
        });
        Ok(())
    }

    /// Opens a folder, making what is missing of it.
    fn make_folders(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        let mut folder = self.tree.folder(b"")?;
        let mut at = 0;
        for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            at += part.len() + usize::from(at > 0);
            match rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(0o777)) {
                Ok(()) => self.undo.push(Undo::Unmake {
                    path: path.get(..at).unwrap_or_default().to_vec(),
                }),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            folder = rustix::fs::openat(&folder, part, FOLDER_FLAGS, Mode::empty())?;
        }
        Ok(folder)
    }

    /// Removes the folders that a deletion left empty, as git does. One that is not empty stays.
    fn remove_empty_parents(&mut self, path: &[u8]) {
        let (mut folder, _) = split(path);
        while !folder.is_empty() && self.remove_folder(folder).is_ok() {
            folder = split(folder).0;
        }
    }

    fn remove_folder(&mut self, path: &[u8]) -> io::Result<()> {
        let (parent, name) = split(path);
        let parent = self.tree.folder(parent)?;
        let mode = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode & 0o7777;
        rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?;
        self.undo.push(Undo::Remake {
            path: path.to_vec(),
            mode,
        });
        Ok(())
    }

    /// Removes the folder at a path with the empty folders in it, if there is one.
    fn remove_empty_folder(&mut self, path: &[u8]) -> io::Result<()> {
        let folder = match self.tree.folder(path) {
            Ok(folder) => folder,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for entry in rustix::fs::Dir::new(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                self.remove_empty_folder(&[path, b"/", name].concat())?;
            }
        }
        self.remove_folder(path)
    }

    /// Ends the work: on success the old files go, on failure everything goes back.
    pub(super) fn finish(mut self, done: Result<(), ApplyError>) -> Result<(), ApplyError> {
        let Err(first) = done else {
            self.remove();
            return Ok(());
        };
        while let Some(undo) = self.undo.pop() {
            if let Err(source) = self.take_back(&undo) {
                let kept = self.tree.path.join(&self.name);
                return Err(ApplyError::RollBack {
                    first: Box::new(first),
                    source,
                    kept,
                });
            }
        }
        self.remove();
        Err(first)
    }

    fn take_back(&self, undo: &Undo) -> io::Result<()> {
        let (Undo::Return { path, .. }
        | Undo::Swap { path, .. }
        | Undo::Withdraw { path, .. }
        | Undo::Unmake { path }
        | Undo::Remake { path, .. }) = undo;
        let (folder, name) = split(path);
        let folder = self.tree.folder(folder)?;
        match undo {
            Undo::Return { staged, .. } => {
                rustix::fs::renameat_with(&self.folder, staged, folder, name, RenameFlags::NOREPLACE)?;
            }
            Undo::Swap { staged, .. } => {
                rustix::fs::renameat_with(&self.folder, staged, folder, name, RenameFlags::EXCHANGE)?;
            }
            Undo::Withdraw { staged, .. } => rustix::fs::renameat(folder, name, &self.folder, staged)?,
            Undo::Unmake { .. } => rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?,
            Undo::Remake { mode, .. } => {
                let mode = Mode::from_raw_mode(*mode);
                rustix::fs::mkdirat(&folder, name, mode)?;
                rustix::fs::chmodat(&folder, name, mode, AtFlags::empty())?;
            }
        }
        Ok(())
    }

    /// Removes the stage. What cannot be removed stays, harmless, under its own name.
    fn remove(&self) {
        let names = rustix::fs::Dir::read_from(&self.folder)
            .into_iter()
            .flatten()
            .flatten();
        let names: Vec<_> = names.map(|entry| entry.file_name().to_owned()).collect();
        for name in names {
            let _kept = rustix::fs::unlinkat(&self.folder, &name, AtFlags::empty());
        }
        let _kept = rustix::fs::unlinkat(&self.tree.root, &self.name, AtFlags::REMOVEDIR);
    }
}

fn staged_name(number: usize) -> String {
    format!("new-{number}")
}

fn written(step: &Step, source: io::Error) -> ApplyError {
    ApplyError::Write {
        file: bytes_path::display(&step.path),
        source,
    }
}
