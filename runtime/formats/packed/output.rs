//! A file that has its name only when it is whole.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Bytes that are collected before they are written.
const BUFFER: usize = 1 << 20;

/// A file in the making, with the checksum of what was written.
pub(super) struct Output {
    file: Place,
    buffer: Vec<u8>,
    hash: Sha256,
    written: u64,
}

enum Place {
    /// It has no name at all: when the process ends, however that comes about, nothing is left.
    #[cfg(target_os = "linux")]
    Unnamed(File),
    /// Where the file system has no such files: with a name of its own, removed unless the process is killed.
    Named(tempfile::NamedTempFile),
}

impl Output {
    /// Begins a file that is to lie there.
    pub(super) fn new(target: &Path) -> io::Result<Output> {
        Ok(Output {
            file: Place::new(&folder_of(target))?,
            buffer: Vec::with_capacity(BUFFER),
            hash: Sha256::new(),
            written: 0,
        })
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.written += bytes.len() as u64;
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() > BUFFER {
            return self.file.get().write_all(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// How many bytes were written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Puts the checksum of all bytes, 64 hexadecimal digits, over those at `place`, and gives the file its name. Returns the checksum.
    pub(super) fn finish(mut self, target: &Path, place: u64) -> io::Result<String> {
        self.flush()?;
        let digest = std::mem::take(&mut self.hash).finalize();
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut file = self.file.get();
        file.seek(SeekFrom::Start(place))?;
        file.write_all(digest.as_bytes())?;
        file.sync_all()?;
        self.file.keep(target)?;
        Ok(digest)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.get().write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

/// The folder that a file lies in.
fn folder_of(target: &Path) -> PathBuf {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

impl Place {
    fn new(folder: &Path) -> io::Result<Place> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{Mode, OFlags};
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            // Older kernels and some file systems have no files without names, and say so in different ways.
            if let Ok(file) = rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)) {
                return Ok(Place::Unnamed(file.into()));
            }
        }
        tempfile::Builder::new()
            .prefix(".cwm-quantize-")
            .tempfile_in(folder)
            .map(Place::Named)
    }

    fn get(&self) -> &File {
        match self {
            #[cfg(target_os = "linux")]
            Place::Unnamed(file) => file,
            Place::Named(file) => file.as_file(),
        }
    }

    /// Gives it its name, unless a file has it.
    fn keep(self, target: &Path) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Place::Unnamed(file) => {
                use std::os::fd::AsRawFd;

                use rustix::fs::{AtFlags, CWD, linkat};
                let source = format!("/proc/self/fd/{}", file.as_raw_fd());
                Ok(linkat(CWD, source, CWD, target, AtFlags::SYMLINK_FOLLOW)?)
            }
            Place::Named(file) => match file.persist_noclobber(target) {
                Ok(_) => Ok(()),
                Err(error) => Err(error.error),
            },
        }
    }
}
