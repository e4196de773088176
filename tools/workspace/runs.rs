//! The folders of runs, below the user's state folder: one a run, held by a lock for as long as its process lives.
//!
//! Two locks keep processes that start at once apart. A run's own `lock` says that its process lives; the state
//! folder's `lock` is held only while a run's folder appears, changes its state or is judged, so that no folder is seen between its
//! making and its locking. What is removed is renamed before it is taken apart: a removal cut short is taken up again.
//!
//! A folder may outlive its process: marked as resumable it stays whole, marked as finished it stays with the run's record alone.
//! The mark of the end is on disk before anything goes, so that a run killed at any moment can be resumed or is finished.

mod id;
mod lock;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use self::id::{new_id, random};
use self::lock::Lock;
use super::disk;
use super::error::WorkspaceError;

/// Marks a folder that is being taken apart.
const REMOVING: &str = ".removing-";
/// Marks what a finished run needs no more, on its way out. No id begins like that.
const REMOVING_REST: &str = ".removing-rest-";
/// Marks a run that may be resumed.
const RESUMABLE: &str = "resumable";
/// Marks a run that is over and whose record is kept.
const FINISHED: &str = "finished";
/// The name of a run's journal.
pub const JOURNAL: &str = "journal.jsonl";
/// What is kept of a finished run, beside its marks.
const RECORD: [&str; 6] = [
    JOURNAL,
    "patch.diff",
    "report.json",
    "report.html",
    "candidates",
    "outputs",
];
/// Names the newest run that has a journal.
const LAST: &str = "last";

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
    /// Held until dropped, or until the process ends in whatever way.
    lock: Lock,
    state: PathBuf,
}

/// A folder that a dead run had left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The run's id.
    pub id: String,
}

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// A process works on it.
    Live,
    /// No process works on it, and it can go on.
    Resumable,
    /// It is over; its record is kept.
    Finished,
    /// Its process ended without a word. The next clean-up removes it.
    Dead,
}

/// A run's folder, as it was when looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    /// The run's id.
    pub id: String,
    /// Its folder.
    pub path: PathBuf,
    /// Where the run is in its life.
    pub state: RunState,
}

impl Runs {
    /// Opens a state folder, which is made when missing.
    ///
    /// # Errors
    ///
    /// When it cannot be made or found.
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
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn begin(&self) -> Result<Run, WorkspaceError> {
        let held = Lock::of_state(&self.state)?;
        loop {
            let id = new_id();
            let path = self.folder().join(&id);
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other.map_err(WorkspaceError::io("making", &path))?,
            }
            let lock = Lock::of_run(&path)?.ok_or_else(|| WorkspaceError::RunInUse(id.clone()))?;
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
    ///
    /// # Errors
    ///
    /// When there is no such run, it is over, or another process holds it.
    pub fn resume(&self, id: &str) -> Result<Run, WorkspaceError> {
        let missing = || WorkspaceError::NoSuchRun(id.to_owned());
        let held = Lock::of_state(&self.state)?;
        let path = self.path_of(id).ok_or_else(missing)?;
        if path.join(FINISHED).is_file() {
            return Err(WorkspaceError::RunFinished(id.to_owned()));
        }
        if !path.join(RESUMABLE).is_file() {
            return Err(missing());
        }
        let lock = Lock::of_run(&path)?.ok_or_else(missing)?;
        drop(held);
        Ok(Run {
            id: id.to_owned(),
            path,
            lock,
            state: self.state.clone(),
        })
    }

    /// The ids of runs that may be resumed and that no process holds, oldest first.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn resumable(&self) -> Result<Vec<String>, WorkspaceError> {
        let all = self.all()?.into_iter();
        let resumable = all.filter(|run| run.state == RunState::Resumable);
        Ok(resumable.map(|run| run.id).collect())
    }

    /// Every run there is, oldest first.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn all(&self) -> Result<Vec<RunFolder>, WorkspaceError> {
        let mut runs = Vec::new();
        let held = Lock::of_state(&self.state)?;
        for id in self.ids()? {
            if !id.starts_with('.') {
                let path = self.folder().join(&id);
                let state = state_of(&path)?.0;
                runs.push(RunFolder { id, path, state });
            }
        }
        drop(held);
        runs.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(runs)
    }

    /// The run that a user means: by its id, by the beginning of the id or of the part behind its `-` where that fits one run only, or
    /// by `last`, the newest run that has a journal.
    ///
    /// # Errors
    ///
    /// When no run, or more than one, is meant.
    pub fn find(&self, word: &str) -> Result<RunFolder, WorkspaceError> {
        let mut all = self.all()?;
        if word == LAST {
            let newest = all.iter().rposition(|run| run.path.join(JOURNAL).is_file());
            return newest.map(|at| all.swap_remove(at)).ok_or(WorkspaceError::NoRuns);
        }
        if let Some(at) = all.iter().position(|run| run.id == word) {
            return Ok(all.swap_remove(at));
        }
        let meant = |run: &RunFolder| {
            let tail = run
                .id
                .split_once('-')
                .is_some_and(|(_, tail)| tail.starts_with(word));
            run.id.starts_with(word) || tail
        };
        let known: Vec<String> = all.iter().rev().map(|run| run.id.clone()).collect();
        if !word.is_empty() {
            all.retain(meant);
        }
        match (all.len(), all.pop()) {
            (1, Some(run)) if !word.is_empty() => Ok(run),
            (2.., Some(last)) if !word.is_empty() => {
                let mut matching: Vec<String> = all.into_iter().map(|run| run.id).collect();
                matching.push(last.id);
                Err(WorkspaceError::AmbiguousRun {
                    given: word.to_owned(),
                    matching,
                })
            }
            _ if known.is_empty() => Err(WorkspaceError::NoRuns),
            _ => Err(WorkspaceError::UnknownRun {
                given: word.to_owned(),
                known,
            }),
        }
    }

    /// Removes a run, whatever its state, unless a process works on it.
    ///
    /// # Errors
    ///
    /// When there is no run of that id, or a process holds it.
    pub fn remove(&self, id: &str) -> Result<(), WorkspaceError> {
        let held = Lock::of_state(&self.state)?;
        let path = self.path_of(id).filter(|path| path.is_dir());
        let path = path.ok_or_else(|| WorkspaceError::NoSuchRun(id.to_owned()))?;
        let lock = Lock::of_run(&path)?.ok_or_else(|| WorkspaceError::RunInUse(id.to_owned()))?;
        let aside = set_aside(&path)?;
        drop((held, lock));
        disk::remove_tree(&aside).map_err(WorkspaceError::io("removing", &aside))
    }

    /// Removes what runs have left whose processes are gone: all of the dead, of the finished what is not their record, nothing of those
    /// that may be resumed. Called at the start. Returns the dead ones.
    ///
    /// # Errors
    ///
    /// When something cannot be looked at or removed.
    pub fn clean_up(&self) -> Result<Vec<Removed>, WorkspaceError> {
        let mut removed = Vec::new();
        let held = Lock::of_state(&self.state)?;
        let mut waiting = Vec::new();
        for id in self.ids()? {
            let path = self.folder().join(&id);
            if id.starts_with(REMOVING_REST) {
                waiting.push((None, path));
                continue;
            }
            if let Some(old) = id.strip_prefix(REMOVING) {
                waiting.push((Some(old.to_owned()), path));
                continue;
            }
            match state_of(&path)? {
                (RunState::Dead, _lock) => waiting.push((Some(id), set_aside(&path)?)),
                (RunState::Finished, _lock) => {
                    if let Some(rest) = strip(&path)? {
                        waiting.push((None, rest));
                    }
                }
                (RunState::Live | RunState::Resumable, _) => {}
            }
        }
        // Taking apart may last; others may begin meanwhile.
        drop(held);
        for (id, path) in waiting {
            disk::remove_tree(&path).map_err(WorkspaceError::io("removing", &path))?;
            removed.extend(id.map(|id| Removed { id }));
        }
        Ok(removed)
    }

    /// Where a run of that id would be; `None` for what cannot be an id.
    fn path_of(&self, id: &str) -> Option<PathBuf> {
        let plain = !id.is_empty() && !id.starts_with('.') && !id.contains(['/', '\0']);
        plain.then(|| self.folder().join(id))
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
    ///
    /// # Errors
    ///
    /// When the mark cannot be written.
    pub fn keep_for_resume(&self) -> Result<(), WorkspaceError> {
        mark(&self.path, RESUMABLE)
    }

    /// The run is over: its folder goes with the process unless it is marked again.
    ///
    /// # Errors
    ///
    /// When the mark cannot be removed.
    pub fn forget_resume(&self) -> Result<(), WorkspaceError> {
        unmark(&self.path, RESUMABLE)
    }

    /// The run is over and its record is kept: `journal.jsonl`, `patch.diff`, `report.json`, `report.html`, `candidates/` and `outputs/`,
    /// as far as they are there. Everything else in the folder is removed. To be called when all of the record is written and no copy is
    /// in use. A process that is killed meanwhile leaves a run that can be resumed, or a finished one whose rest the next
    /// [`clean_up`](Runs::clean_up) removes.
    ///
    /// # Errors
    ///
    /// When something cannot be written or removed.
    pub fn finish(&self) -> Result<(), WorkspaceError> {
        for name in RECORD {
            save(&self.path.join(name))?;
        }
        mark(&self.path, FINISHED)?;
        let held = Lock::of_state(&self.state)?;
        let rest = strip(&self.path)?;
        drop(held);
        match rest {
            Some(rest) => disk::remove_tree(&rest).map_err(WorkspaceError::io("removing", &rest)),
            None => Ok(()),
        }
    }

    /// Removes the run's folder.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn remove(self) -> Result<(), WorkspaceError> {
        let held = Lock::of_state(&self.state)?;
        let aside = set_aside(&self.path)?;
        drop(held);
        let result = disk::remove_tree(&aside).map_err(WorkspaceError::io("removing", &aside));
        drop(self.lock);
        result
    }
}

/// The state of the run in that folder, and its lock unless a process holds it.
fn state_of(path: &Path) -> Result<(RunState, Option<Lock>), WorkspaceError> {
    let lock = Lock::of_run(path)?;
    let state = match &lock {
        None => RunState::Live,
        Some(_) if path.join(FINISHED).is_file() => RunState::Finished,
        Some(_) if path.join(RESUMABLE).is_file() => RunState::Resumable,
        Some(_) => RunState::Dead,
    };
    Ok((state, lock))
}

/// Renames a folder so that nobody takes it for a run.
fn set_aside(path: &Path) -> Result<PathBuf, WorkspaceError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{REMOVING}{name}"));
    std::fs::rename(path, &aside).map_err(WorkspaceError::io("renaming", path))?;
    Ok(aside)
}

/// Moves what is not its record out of a finished run's folder; `None` when there is nothing. The caller holds the state's lock.
fn strip(path: &Path) -> Result<Option<PathBuf>, WorkspaceError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(WorkspaceError::io("reading", path))? {
        let name = entry.map_err(WorkspaceError::io("reading", path))?.file_name();
        let kept = RECORD.iter().chain(&[FINISHED, RESUMABLE, "lock"]);
        if !kept.into_iter().any(|kept| name == *kept) {
            names.push(name);
        }
    }
    let mut rest = None;
    if !names.is_empty() {
        let id = path.file_name().unwrap_or_default().to_string_lossy();
        // A name of its own each time: another process may still be removing what was moved out before.
        let folder = path.with_file_name(format!("{REMOVING_REST}{id}-{:08x}", random()));
        let mut builder = std::fs::DirBuilder::new();
        builder
            .mode(0o700)
            .create(&folder)
            .map_err(WorkspaceError::io("making", &folder))?;
        for name in names {
            move_into(&path.join(&name), &folder.join(&name))?;
        }
        rest = Some(folder);
    }
    unmark(path, RESUMABLE)?;
    save_folder(path)?;
    Ok(rest)
}

/// Renames, also a folder that its owner may not write: moving one changes its `..`.
fn move_into(from: &Path, to: &Path) -> Result<(), WorkspaceError> {
    use std::os::unix::fs::PermissionsExt;
    let moved = match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            std::fs::set_permissions(from, std::fs::Permissions::from_mode(0o700))
                .and_then(|()| std::fs::rename(from, to))
        }
        other => other,
    };
    moved.map_err(WorkspaceError::io("moving", from))
}

/// Puts a mark into a run's folder; it is on disk when this returns.
fn mark(folder: &Path, name: &str) -> Result<(), WorkspaceError> {
    disk::write(&folder.join(name), b"")?;
    save_folder(folder)
}

fn unmark(folder: &Path, name: &str) -> Result<(), WorkspaceError> {
    let path = folder.join(name);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(WorkspaceError::io("removing", &path)(error))
        }
        _ => Ok(()),
    }
}

/// Has a file, or a folder with the files right in it, written to disk; what is not there need not be.
fn save(path: &Path) -> Result<(), WorkspaceError> {
    let failed = |error| WorkspaceError::io("saving", path)(error);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    if file.metadata().map_err(failed)?.is_dir() {
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                let inner = File::open(entry.path()).and_then(|file| file.sync_all());
                inner.map_err(WorkspaceError::io("saving", &entry.path()))?;
            }
        }
    }
    file.sync_all().map_err(failed)
}

fn save_folder(path: &Path) -> Result<(), WorkspaceError> {
    let folder = File::open(path).and_then(|folder| folder.sync_all());
    folder.map_err(WorkspaceError::io("saving", path))
}
