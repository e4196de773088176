//! Lays files out in a snapshot: for each wanted path the bytes that the user's checkout has where they are the
//! commit's (line endings, Git LFS content and modification times kept), else those of the object store.
//! Runs on several threads; each has its own handle on the repository.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use git2::Repository;
use rustix::fs::{AtFlags, Mode, Stat, Timestamps};

use super::convert::{self, LfsPointer};
use super::disk::{self, Parents};
use super::error::{Note, WorkspaceError};
use super::found::{self, Body, Found};
use super::objects::{self, LooseObjects};
use super::source::{self, IndexEntry, Settings};
use crate::bytes_path::RepoPath;
use crate::patch::manifest::{Checkout, FileMode, ObjectId, Recorded, StatKey};

/// What is wanted at a path.
#[derive(Debug, Clone)]
pub(crate) enum Want {
    /// What a commit holds there; `skip` for what a sparse checkout leaves out.
    Committed {
        mode: FileMode,
        id: ObjectId,
        skip: bool,
    },
    /// What the user's working tree holds there now. `entry` is the index's view (`None`: untracked), `base` the
    /// blob that the commit below holds, which the store has already.
    Working {
        entry: Option<IndexEntry>,
        base: Option<ObjectId>,
    },
}

/// A path that was laid out, or is known to be left out of a sparse checkout.
pub(crate) struct Laid {
    pub(crate) path: RepoPath,
    pub(crate) mode: FileMode,
    pub(crate) id: ObjectId,
    pub(crate) checkout: Checkout,
    pub(crate) stat: Option<Stat>,
}

impl Laid {
    /// The manifest's entry.
    pub(crate) fn recorded(&self) -> Recorded {
        let stat = self.stat.as_ref().map(StatKey::of);
        Recorded {
            mode: self.mode,
            id: self.id,
            checkout: self.checkout,
            stat,
        }
    }
}

/// From where to where.
pub(crate) struct Layout<'a> {
    /// The user's working tree.
    pub(crate) root: &'a Path,
    /// Its git folder.
    pub(crate) gitdir: &'a Path,
    pub(crate) settings: &'a Settings,
    /// The folder to fill.
    pub(crate) tree: &'a Path,
    /// A folder on the same file system for large files on their way.
    pub(crate) staging: &'a Path,
    /// Where blobs of uncommitted work go; `None` keeps none.
    pub(crate) store: Option<&'a LooseObjects>,
    /// Modification time of files that are not as the user has them, seconds.
    pub(crate) time: i64,
}

/// The sum of a layout, sorted by path.
pub(crate) type LaidOut = (Vec<Laid>, Vec<Note>);

impl Layout<'_> {
    /// Lays out every wanted path. `wants` is sorted by path.
    pub(crate) fn run(&self, wants: &[(RepoPath, Want)]) -> Result<LaidOut, WorkspaceError> {
        const CHUNK: usize = 64;
        let next = AtomicUsize::new(0);
        let count = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(8)
            .min(wants.len() / CHUNK + 1);
        let work = |number: usize| -> Result<LaidOut, WorkspaceError> {
            let mut worker = Worker::new(self, number)?;
            loop {
                let start = next.fetch_add(CHUNK, Ordering::Relaxed);
                let Some(chunk) = wants
                    .get(start..wants.len().min(start + CHUNK))
                    .filter(|chunk| !chunk.is_empty())
                else {
                    return Ok((worker.laid, worker.notes));
                };
                for (path, want) in chunk {
                    if let Some(laid) = worker.lay_out(path, want)? {
                        worker.laid.push(laid);
                    }
                }
            }
        };
        let (mut laid, mut notes) = std::thread::scope(|scope| {
            let others: Vec<_> = (1..count)
                .map(|number| scope.spawn(move || work(number)))
                .collect();
            let mut sum = work(0);
            for other in others {
                let other = other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                sum = sum.and_then(|(mut laid, mut notes)| {
                    let (more, more_notes) = other?;
                    laid.extend(more);
                    notes.extend(more_notes);
                    Ok((laid, notes))
                });
            }
            sum
        })?;
        laid.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        notes.sort_by_cached_key(ToString::to_string);
        Ok((laid, notes))
    }
}

/// One thread of a layout.
pub(super) struct Worker<'a> {
    pub(super) layout: &'a Layout<'a>,
    pub(super) library: Repository,
    from: Parents,
    to: Parents,
    staging: PathBuf,
    laid: Vec<Laid>,
    pub(super) notes: Vec<Note>,
}

impl<'a> Worker<'a> {
    fn new(layout: &'a Layout<'a>, number: usize) -> Result<Worker<'a>, WorkspaceError> {
        Ok(Worker {
            layout,
            library: source::open_at(layout.gitdir)?,
            from: Parents::new(layout.root, false).map_err(WorkspaceError::io("opening", layout.root))?,
            to: Parents::new(layout.tree, true).map_err(WorkspaceError::io("opening", layout.tree))?,
            staging: layout.staging.join(format!("large-{number}")),
            laid: Vec::new(),
            notes: Vec::new(),
        })
    }

    fn lay_out(&mut self, path: &RepoPath, want: &Want) -> Result<Option<Laid>, WorkspaceError> {
        match want {
            Want::Committed {
                mode: FileMode::Gitlink,
                id,
                ..
            } => self.folder(path, *id).map(Some),
            Want::Working {
                entry:
                    Some(IndexEntry {
                        mode: FileMode::Gitlink,
                        id,
                        ..
                    }),
                ..
            } => self.folder(path, *id).map(Some),
            Want::Committed { mode, id, skip } => self.committed(path, *mode, *id, *skip).map(Some),
            Want::Working { entry, base } => self.working(path, entry.as_ref(), *base),
        }
    }

    pub(super) fn find(&mut self, path: &[u8]) -> Result<Found, WorkspaceError> {
        found::find(&mut self.from, path, &self.staging)
            .map_err(WorkspaceError::io("reading", &disk::at(self.layout.root, path)))
    }

    pub(super) fn blob(&self, path: &[u8], id: ObjectId) -> Result<Vec<u8>, WorkspaceError> {
        let id = git2::Oid::from_bytes(&id.0)?;
        let blob = self
            .library
            .find_blob(id)
            .map_err(|error| source::missing_or(error, id, path))?;
        Ok(blob.content().to_vec())
    }

    fn folder(&mut self, path: &RepoPath, id: ObjectId) -> Result<Laid, WorkspaceError> {
        self.to
            .make_folder(path)
            .map_err(WorkspaceError::io("making", &disk::at(self.layout.tree, path)))?;
        Ok(Laid {
            path: path.clone(),
            mode: FileMode::Gitlink,
            id,
            checkout: Checkout::Exact,
            stat: None,
        })
    }

    fn committed(
        &mut self,
        path: &RepoPath,
        mode: FileMode,
        id: ObjectId,
        skip: bool,
    ) -> Result<Laid, WorkspaceError> {
        let found = self.find(path)?;
        let wrong = WorkspaceError::io::<std::io::Error>("reading", &disk::at(self.layout.root, path));
        match (mode, found) {
            (_, Found::Nothing) if skip => Ok(Laid {
                path: path.clone(),
                mode,
                id,
                checkout: Checkout::Absent,
                stat: None,
            }),
            (FileMode::Symlink, Found::Link { target, stat }) if objects::blob_id(&target) == id => {
                self.link(path, id, &target, disk::times_of(&stat))
            }
            (FileMode::Symlink, _) => {
                let target = self.blob(path, id)?;
                self.link(path, id, &target, disk::times(self.layout.time, 0))
            }
            (_, Found::File { mut body, stat }) => {
                let times = disk::times_of(&stat);
                if body.id().map_err(wrong)? == id {
                    return self.file(path, mode, id, Checkout::Exact, &body, times);
                }
                let blob = self.blob(path, id)?;
                match self.form_of(path, &blob, &mut body)? {
                    Some(checkout) => self.file(path, mode, id, checkout, &body, times),
                    None => self.blob_file(path, mode, id, blob),
                }
            }
            _ => {
                let blob = self.blob(path, id)?;
                self.blob_file(path, mode, id, blob)
            }
        }
    }

    /// Lays out a blob as git stores it.
    pub(super) fn blob_file(
        &mut self,
        path: &RepoPath,
        mode: FileMode,
        id: ObjectId,
        blob: Vec<u8>,
    ) -> Result<Laid, WorkspaceError> {
        self.file(
            path,
            mode,
            id,
            Checkout::Exact,
            &Body::Memory(blob),
            disk::times(self.layout.time, 0),
        )
    }

    /// How the user's file stands for a blob that has other bytes; `None` if it does not.
    fn form_of(&self, path: &[u8], blob: &[u8], body: &mut Body) -> Result<Option<Checkout>, WorkspaceError> {
        let root = disk::at(self.layout.root, path);
        if let Some(pointer) = LfsPointer::parse(blob) {
            let same = pointer.size == body.length()
                && body.sha256().map_err(WorkspaceError::io("reading", &root))? == pointer.sha256;
            return Ok(same.then_some(Checkout::LfsContent));
        }
        if body.length() <= blob.len() as u64 {
            return Ok(None);
        }
        let bytes = body.bytes().map_err(WorkspaceError::io("reading", &root))?;
        Ok((convert::with_carriage_returns(blob) == *bytes).then_some(Checkout::CarriageReturns))
    }

    /// Writes a blob of uncommitted work to the run's store.
    pub(super) fn keep(&self, bytes: &[u8]) -> Result<(), WorkspaceError> {
        match self.layout.store {
            Some(store) => store.blob(bytes).map(drop),
            None => Ok(()),
        }
    }

    /// Makes a symbolic link in the tree.
    pub(super) fn link(
        &mut self,
        path: &RepoPath,
        id: ObjectId,
        target: &[u8],
        times: Timestamps,
    ) -> Result<Laid, WorkspaceError> {
        let mut make = || {
            let (folder, name) = self.to.of(path)?;
            rustix::fs::symlinkat(target, folder, name)?;
            rustix::fs::utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok::<_, std::io::Error>(rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?)
        };
        let stat = make().map_err(WorkspaceError::io("writing", &disk::at(self.layout.tree, path)))?;
        Ok(Laid {
            path: path.clone(),
            mode: FileMode::Symlink,
            id,
            checkout: Checkout::Exact,
            stat: Some(stat),
        })
    }

    /// Makes a file in the tree.
    pub(super) fn file(
        &mut self,
        path: &RepoPath,
        mode: FileMode,
        id: ObjectId,
        checkout: Checkout,
        body: &Body,
        times: Timestamps,
    ) -> Result<Laid, WorkspaceError> {
        let make = || {
            let (folder, name) = self.to.of(path)?;
            let file = match body {
                Body::Memory(bytes) => {
                    let mut file = disk::create_file(folder, name)?;
                    file.write_all(bytes)?;
                    file
                }
                Body::Staged {
                    path: staged, file, ..
                } => {
                    let flags = rustix::fs::RenameFlags::NOREPLACE;
                    rustix::fs::renameat_with(rustix::fs::CWD, staged, folder, name, flags)?;
                    file.try_clone()?
                }
            };
            let permissions = if mode == FileMode::Executable {
                0o755
            } else {
                0o644
            };
            rustix::fs::fchmod(&file, Mode::from_raw_mode(permissions))?;
            rustix::fs::futimens(&file, &settled(times, checkout))?;
            Ok::<_, std::io::Error>(rustix::fs::fstat(&file)?)
        };
        let stat = make().map_err(WorkspaceError::io("writing", &disk::at(self.layout.tree, path)))?;
        Ok(Laid {
            path: path.clone(),
            mode,
            id,
            checkout,
            stat: Some(stat),
        })
    }
}

/// Git compares the content of files that changed within the second in which its index was written. Content behind
/// a pointer would seem changed then, so such a file's time is set back a little.
fn settled(times: Timestamps, checkout: Checkout) -> Timestamps {
    if checkout != Checkout::LfsContent {
        return times;
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    match times.last_modification.tv_sec + 2 > now {
        true => disk::times(now - 2, 0),
        false => times,
    }
}
