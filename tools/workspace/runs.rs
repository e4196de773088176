//! The folders of runs, below the user's state folder: one a run, held by a lock for as long as its process lives.
//!
//! Two locks keep processes that start at once apart. A run's own `lock` says that its process lives; the state
//! folder's `lock` is held only while a run's folder appears or is judged dead, so that no folder is seen between its
//! making and its locking. A dead run's folder is renamed before it is taken apart: one cut short is taken up again.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::disk;
use super::error::WorkspaceError;

/// Marks a folder that is being taken apart.
const REMOVING: &str = ".removing-";
/// Marks a run that may be resumed.
const RESUMABLE: &str = "resumable";

/// The user's state folder from the values of `XDG_STATE_HOME` and `HOME`; `None` when neither names a folder.
pub fn state_folder(xdg_state_home: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    // The standard says that relative values are to be passed over.
    let absolute = |value: Option<&OsStr>| value.map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute(xdg_state_home).or_else(|| Some(absolute(home)?.join(".local/state")))?;
    Some(state.join("cwm"))
}

/// All runs of one state folder.
#[derive(Debug)]
pub struct Runs {
    state: PathBuf,
}

/// A run's folder, held by this process.
#[derive(Debug)]
pub struct Run {
    /// Sortable by the time of its beginning.
    pub id: String,
    /// Its folder, mode 0700.
    pub path: PathBuf,
    /// Locked until dropped, or until the process ends in whatever way.
    lock: File,
    state: PathBuf,
}

/// A folder that a dead run had left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The run's id.
    pub id: String,
}

impl Runs {
    /// Opens a state folder, which is made when missing.
    pub fn open(state: &Path) -> Result<Runs, WorkspaceError> {
        let runs = state.join("runs");
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&runs)
            .map_err(WorkspaceError::io("making", &runs))?;
        let state = std::fs::canonicalize(state).map_err(WorkspaceError::io("finding", state))?;
        Ok(Runs { state })
    }

    fn folder(&self) -> PathBuf {
        self.state.join("runs")
    }

    /// Begins a run: a new folder, locked.
    pub fn begin(&self) -> Result<Run, WorkspaceError> {
        let held = lock_state(&self.state)?;
        loop {
            let id = new_id();
            let path = self.folder().join(&id);
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other.map_err(WorkspaceError::io("making", &path))?,
            }
            let lock = open_lock(&path.join("lock"))?;
            rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
                .map_err(WorkspaceError::io("locking", &path))?;
            drop(held);
            return Ok(Run {
                id,
                path,
                lock,
                state: self.state.clone(),
            });
        }
    }

    /// Takes up a run that was kept for it.
    pub fn resume(&self, id: &str) -> Result<Run, WorkspaceError> {
        let missing = || WorkspaceError::NoSuchRun(id.to_owned());
        let held = lock_state(&self.state)?;
        if id.is_empty() || id.starts_with('.') || id.contains('/') {
            return Err(missing());
        }
        let path = self.folder().join(id);
        if !path.join(RESUMABLE).is_file() {
            return Err(missing());
        }
        let lock = open_lock(&path.join("lock"))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| missing())?;
        drop(held);
        Ok(Run {
            id: id.to_owned(),
            path,
            lock,
            state: self.state.clone(),
        })
    }

    /// The ids of runs that may be resumed and that no process holds, oldest first.
    pub fn resumable(&self) -> Result<Vec<String>, WorkspaceError> {
        let mut ids = Vec::new();
        let held = lock_state(&self.state)?;
        for id in self.ids()? {
            let path = self.folder().join(&id);
            if path.join(RESUMABLE).is_file() && is_dead(&path)?.is_some() {
                ids.push(id);
            }
        }
        drop(held);
        ids.sort();
        Ok(ids)
    }

    /// Removes the folders of runs whose processes are gone, but for those that may be resumed. Called at the start.
    pub fn clean_up(&self) -> Result<Vec<Removed>, WorkspaceError> {
        let mut removed = Vec::new();
        let held = lock_state(&self.state)?;
        let mut waiting = Vec::new();
        for id in self.ids()? {
            let path = self.folder().join(&id);
            if let Some(old) = id.strip_prefix(REMOVING) {
                waiting.push((old.to_owned(), path));
                continue;
            }
            if path.join(RESUMABLE).is_file() {
                continue;
            }
            if let Some(_lock) = is_dead(&path)? {
                waiting.push((id, set_aside(&path)?));
            }
        }
        // Taking apart may last; others may begin meanwhile.
        drop(held);
        for (id, path) in waiting {
            disk::remove_tree(&path).map_err(WorkspaceError::io("removing", &path))?;
            removed.push(Removed { id });
        }
        Ok(removed)
    }

    fn ids(&self) -> Result<Vec<String>, WorkspaceError> {
        let folder = self.folder();
        let entries = std::fs::read_dir(&folder).map_err(WorkspaceError::io("reading", &folder))?;
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(WorkspaceError::io("reading", &folder))?;
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            // Ids are made here and are text; anything else is not ours to remove.
            if let (true, Ok(id)) = (is_folder, entry.file_name().into_string()) {
                ids.push(id);
            }
        }
        Ok(ids)
    }
}

impl Run {
    /// Keeps the folder when the process ends, so that the run can be resumed.
    pub fn keep_for_resume(&self) -> Result<(), WorkspaceError> {
        disk::write(&self.path.join(RESUMABLE), b"")
    }

    /// The run is over: its folder goes with the process unless it is marked again.
    pub fn forget_resume(&self) -> Result<(), WorkspaceError> {
        let path = self.path.join(RESUMABLE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(WorkspaceError::io("removing", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the run's folder.
    pub fn remove(self) -> Result<(), WorkspaceError> {
        let held = lock_state(&self.state)?;
        let aside = set_aside(&self.path)?;
        drop(held);
        let result = disk::remove_tree(&aside).map_err(WorkspaceError::io("removing", &aside));
        drop(self.lock);
        result
    }
}

/// Renames a folder so that nobody takes it for a run.
fn set_aside(path: &Path) -> Result<PathBuf, WorkspaceError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{REMOVING}{name}"));
    std::fs::rename(path, &aside).map_err(WorkspaceError::io("renaming", path))?;
    Ok(aside)
}

/// The lock of a run that no process holds; `None` for one that lives.
fn is_dead(path: &Path) -> Result<Option<File>, WorkspaceError> {
    let lock = open_lock(&path.join("lock"))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(lock)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(WorkspaceError::io("locking", path)(error)),
    }
}

fn open_lock(path: &Path) -> Result<File, WorkspaceError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options.open(path).map_err(WorkspaceError::io("opening", path))
}

/// Holds the state folder until dropped; waits for whoever holds it.
fn lock_state(state: &Path) -> Result<File, WorkspaceError> {
    let path = state.join("lock");
    let lock = open_lock(&path)?;
    loop {
        match rustix::fs::flock(&lock, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(lock),
            Err(Errno::INTR) => {}
            Err(error) => return Err(WorkspaceError::io("locking", &path)(error)),
        }
    }
}

/// UTC to the second, then four random bytes: `20260131T235959Z-1a2b3c4d`.
fn new_id() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let random = hasher.finish() as u32;
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{random:08x}")
}

/// The day of the Gregorian calendar that is this many days after 1 January 1970.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from 1 March of the year 0, so that leap days come last.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}
