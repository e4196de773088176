//! The locks on runs and on the state folder. The kernel lets go of them when their process ends, in whatever way.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::workspace::error::WorkspaceError;

/// A lock, held until dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// The lock of a run's folder, unless somebody holds it.
    pub(super) fn of_run(folder: &Path) -> Result<Option<Lock>, WorkspaceError> {
        let path = folder.join("lock");
        let file = open(&path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(WorkspaceError::io("locking", &path)(error)),
        }
    }

    /// The lock of the state folder; waits for whoever holds it.
    pub(super) fn of_state(folder: &Path) -> Result<Lock, WorkspaceError> {
        let path = folder.join("lock");
        let file = open(&path)?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Lock(file)),
                Err(Errno::INTR) => {}
                Err(error) => return Err(WorkspaceError::io("locking", &path)(error)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that is just being started may have it too for a moment.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

fn open(path: &Path) -> Result<File, WorkspaceError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options.open(path).map_err(WorkspaceError::io("opening", path))
}
