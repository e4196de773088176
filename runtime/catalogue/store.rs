//! The folder that models lie in, and what is there.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::entry::{Contents, Entry};
use super::error::CatalogueError;

/// The folder that models lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    folder: PathBuf,
}

/// What is there of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Absent,
    /// Some of it, from a pull that was interrupted.
    Partial {
        /// So many bytes.
        bytes: u64,
    },
    /// All of it.
    Present,
}

/// Where what can be fetched or made again is kept: `CWM_CACHE`, else `cwm` in `XDG_CACHE_HOME`, else `~/.cache/cwm`.
pub fn cache_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|path| !path.as_os_str().is_empty());
    set("CWM_CACHE")
        .or_else(|| {
            set("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .map(|path| path.join("cwm"))
        })
        .or_else(|| set("HOME").map(|home| home.join(".cache/cwm")))
}

impl Store {
    /// `models` in the [`cache_folder`] that `variable` gives.
    pub fn of_variables(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Store, CatalogueError> {
        let cache = cache_folder(variable).ok_or(CatalogueError::NoFolder)?;
        Ok(Store {
            folder: cache.join("models"),
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a model lies, or would lie.
    pub fn path(&self, entry: &Entry) -> PathBuf {
        self.folder.join(entry.file_name())
    }

    /// What is there of it.
    pub fn state(&self, entry: &Entry) -> State {
        let path = self.path(entry);
        let whole = match entry.contents {
            Contents::File { .. } => path
                .metadata()
                .is_ok_and(|data| data.is_file() && data.len() == entry.size),
            Contents::Folder { .. } => path.is_dir(),
        };
        if whole {
            return State::Present;
        }
        let parts = [self.part(entry, "part"), self.part(entry, "packages.part")];
        match parts.iter().map(|part| bytes_in(part)).max() {
            Some(bytes) if bytes > 0 => State::Partial { bytes },
            _ => State::Absent,
        }
    }

    /// Where what has been fetched of a model is kept until it is whole.
    pub(super) fn part(&self, entry: &Entry, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}.{suffix}", entry.file_name()))
    }

    /// Makes the folder, and keeps others from fetching the same model until the lock is dropped. `waiting` is asked now and then.
    pub(super) fn lock(
        &self,
        entry: &Entry,
        waiting: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<File, CatalogueError> {
        std::fs::create_dir_all(&self.folder).map_err(CatalogueError::at(&self.folder))?;
        let path = self.folder.join(format!(".{}.lock", entry.file_name()));
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(CatalogueError::at(&path))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(CatalogueError::File { path, error }),
                Err(TryLockError::WouldBlock) => {}
            }
            if waiting().is_break() {
                return Err(CatalogueError::Interrupted);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Refuses when less than `needed` bytes, and a little more, are free.
    pub(super) fn check_space(&self, needed: u64) -> Result<(), CatalogueError> {
        const MARGIN: u64 = 16 << 20;
        let status = rustix::fs::statvfs(&self.folder)
            .map_err(|error| CatalogueError::at(&self.folder)(error.into()))?;
        let free = status.f_bavail.saturating_mul(status.f_frsize);
        if free < needed.saturating_add(MARGIN) {
            return Err(CatalogueError::DiskFull {
                folder: self.folder.clone(),
                free,
                needed,
            });
        }
        Ok(())
    }
}

/// The bytes of a file, or of the files in a folder.
fn bytes_in(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return path.metadata().map_or(0, |data| data.len());
    };
    let files = entries.filter_map(|entry| entry.ok()?.metadata().ok());
    files.map(|data| data.len()).sum()
}

/// A file's SHA-256 in hexadecimal digits. `tick` gets the bytes so far, and may stop it.
pub(super) fn sha256(
    path: &Path,
    tick: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<String, CatalogueError> {
    let mut file = File::open(path).map_err(CatalogueError::at(path))?;
    let (mut hash, mut buffer, mut done) = (Sha256::new(), vec![0_u8; 1 << 20], 0);
    loop {
        let count = file.read(&mut buffer).map_err(CatalogueError::at(path))?;
        match buffer.get(..count) {
            None | Some([]) => break,
            Some(bytes) => hash.update(bytes),
        }
        done += count as u64;
        if tick(done).is_break() {
            return Err(CatalogueError::Interrupted);
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
