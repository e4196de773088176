//! Keeps a long output in a file inside, so that what the model is shown in part it can read in full.
//!
//! A file stays as long as the sandbox: the model was told of it. So that there is room for later ones, each may take a part of what is
//! left, and when that is less than an output, it is said how much of it the file holds.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::super::protocol::{KeptOutput, SpoolSpec};
use super::shell::session_folder;

/// The most that one command's file may hold.
const MOST: u64 = 64 << 20;
/// The most that all files may hold together.
const MOST_TOGETHER: u64 = 1 << 30;
/// A file may take one part in so many of what is left.
const SHARE: u64 = 4;

/// The beginning is held in memory until it is known to be long.
pub(super) struct Spool {
    after: u64,
    name: String,
    beginning: Vec<u8>,
    file: Option<Open>,
    failed: bool,
}

struct Open {
    path: PathBuf,
    file: File,
    written: u64,
    most: u64,
}

impl Spool {
    pub(super) fn new(job: u32, spec: SpoolSpec) -> Spool {
        Spool {
            after: spec.after,
            name: spec.name.unwrap_or_else(|| format!("command-{job}")),
            beginning: Vec::new(),
            file: None,
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
            match create(&self.name) {
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
        let Some(open) = &mut self.file else { return };
        let room = usize::try_from(open.most.saturating_sub(open.written)).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        // A full disk stops the file, not the command; what was written stays readable.
        match open.file.write_all(bytes) {
            Ok(()) => open.written += bytes.len() as u64,
            Err(_) => self.failed = true,
        }
    }

    /// The file, when the output was long enough for one and something of it could be kept.
    pub(super) fn finish(self) -> Option<KeptOutput> {
        let Open { path, written, .. } = self.file?;
        if written == 0 {
            let _ = fs::remove_file(path);
            return None;
        }
        Some(KeptOutput { path, bytes: written })
    }
}

fn create(name: &str) -> std::io::Result<Open> {
    let folder = session_folder().join("output");
    // A command may have removed it.
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.txt"));
    let _ = fs::remove_file(&path);
    let file = File::options().write(true).create_new(true).open(&path)?;
    Ok(Open {
        most: (left(&folder)? / SHARE).min(MOST),
        path,
        file,
        written: 0,
    })
}

/// How much the files in that folder may still take.
fn left(folder: &Path) -> std::io::Result<u64> {
    let mut taken = 0;
    for entry in fs::read_dir(folder)? {
        taken += entry?.metadata().map_or(0, |metadata| metadata.len());
    }
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    Ok(MOST_TOGETHER.saturating_sub(taken).min(free))
}
