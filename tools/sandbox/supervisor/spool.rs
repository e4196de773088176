//! Keeps the whole of a long output in a file inside, so that what the model is shown in part it can read in full.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::shell::session_folder;

/// The most that one command's file may hold.
const MOST: u64 = 256 << 20;
/// Files kept; older ones are removed.
const KEPT: u32 = 32;

/// The beginning is held in memory until it is known to be long.
pub(super) struct Spool {
    job: u32,
    after: u64,
    beginning: Vec<u8>,
    file: Option<(PathBuf, File)>,
    written: u64,
    failed: bool,
}

impl Spool {
    pub(super) fn new(job: u32, after: u64) -> Spool {
        Spool {
            job,
            after,
            beginning: Vec::new(),
            file: None,
            written: 0,
            failed: false,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.failed {
            return;
        }
        if self.file.is_none() {
            self.beginning.extend_from_slice(bytes);
            if (self.beginning.len() as u64) <= self.after {
                return;
            }
            let beginning = std::mem::take(&mut self.beginning);
            match create(self.job) {
                Ok(file) => {
                    self.file = Some(file);
                    self.write(&beginning);
                }
                Err(_) => self.failed = true,
            }
        } else {
            self.write(bytes);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some((_, file)) = &mut self.file else { return };
        let room = usize::try_from(MOST.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room.min(bytes.len())).unwrap_or(bytes);
        // A full disk stops the file, not the command; what was written stays readable.
        match file.write_all(bytes) {
            Ok(()) => self.written += bytes.len() as u64,
            Err(_) => self.failed = true,
        }
    }

    /// The file, when the output was long enough for one.
    pub(super) fn into_path(self) -> Option<PathBuf> {
        self.file.map(|(path, _)| path)
    }
}

fn create(job: u32) -> std::io::Result<(PathBuf, File)> {
    let folder = session_folder().join("output");
    if let Some(old) = job.checked_sub(KEPT) {
        let _ = fs::remove_file(name(&folder, old));
    }
    // A command may have removed it.
    fs::create_dir_all(&folder)?;
    let path = name(&folder, job);
    let _ = fs::remove_file(&path);
    let file = File::options().write(true).create_new(true).open(&path)?;
    Ok((path, file))
}

fn name(folder: &Path, job: u32) -> PathBuf {
    folder.join(format!("command-{job}.txt"))
}
