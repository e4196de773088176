//! Reads what the user's working tree holds at a path while the user may go on editing: no symbolic link is followed,
//! a file that changes under the reader is read again, and what is not a file or link counts as not there.

use crate::patch::manifest::StatKey;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

use super::disk::{self, Parents};
use super::{convert, objects};
use crate::patch::manifest::ObjectId;

/// Files up to this size are held in memory; larger ones are copied aside first and read from there.
const IN_MEMORY: u64 = 16 << 20;
/// How often a file that keeps changing is read again.
const TRIES: u32 = 4;

/// What stands at a path.
pub(crate) enum Found {
    Nothing,
    /// A file that may not be read.
    Unreadable,
    Link {
        target: Vec<u8>,
        stat: Stat,
    },
    File {
        body: Body,
        stat: Stat,
    },
}

/// A file's bytes as they were at one moment.
pub(crate) enum Body {
    Memory(Vec<u8>),
    /// A copy in the run's folder, on the file system of the tree, so that it can be moved into place.
    Staged {
        file: File,
        path: PathBuf,
        length: u64,
    },
}

impl Body {
    /// The id of a blob of these bytes.
    pub(crate) fn id(&mut self) -> io::Result<ObjectId> {
        match self {
            Body::Memory(bytes) => Ok(objects::blob_id(bytes)),
            Body::Staged { file, length, .. } => {
                file.rewind()?;
                objects::blob_id_of_stream(file, *length)
            }
        }
    }

    /// SHA-256, as Git LFS uses it.
    pub(crate) fn sha256(&mut self) -> io::Result<String> {
        match self {
            Body::Memory(bytes) => convert::sha256(&mut bytes.as_slice()),
            Body::Staged { file, .. } => {
                file.rewind()?;
                convert::sha256(file)
            }
        }
    }

    pub(crate) fn length(&self) -> u64 {
        match self {
            Body::Memory(bytes) => bytes.len() as u64,
            Body::Staged { length, .. } => *length,
        }
    }

    /// The bytes, read into memory if they are not there.
    pub(crate) fn bytes(&mut self) -> io::Result<std::borrow::Cow<'_, [u8]>> {
        match self {
            Body::Memory(bytes) => Ok(bytes.as_slice().into()),
            Body::Staged { file, length, .. } => {
                let mut bytes = Vec::with_capacity(usize::try_from(*length).unwrap_or(0));
                file.rewind()?;
                file.read_to_end(&mut bytes)?;
                Ok(bytes.into())
            }
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Body::Staged { path, .. } = self {
            // Moved into place or not needed; in the second case the run's end would remove it too.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What stands at `path` below the folder that `parents` was made for. `staging` names a file that large contents
/// may be copied to; nothing else uses that name.
pub(crate) fn find(parents: &mut Parents, path: &[u8], staging: &Path) -> io::Result<Found> {
    let (folder, name) = match parents.of(path) {
        Ok(found) => found,
        Err(error) => return absent(error),
    };
    let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(error) => return absent(error.into()),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => match rustix::fs::readlinkat(folder, name, Vec::new()) {
            Ok(target) => Ok(Found::Link {
                target: target.into_bytes(),
                stat,
            }),
            Err(error) => absent(error.into()),
        },
        FileType::RegularFile => match read_stable(folder, name, staging) {
            Ok((body, stat)) => Ok(Found::File { body, stat }),
            Err(error) => absent(error),
        },
        _ => Ok(Found::Nothing),
    }
}

/// Errors that only say what is there; all others are the caller's.
fn absent(error: io::Error) -> io::Result<Found> {
    match rustix::io::Errno::from_io_error(&error) {
        Some(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            Ok(Found::Nothing)
        }
        Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => Ok(Found::Unreadable),
        _ => Err(error),
    }
}

fn read_stable(folder: BorrowedFd<'_>, name: &[u8], staging: &Path) -> io::Result<(Body, Stat)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut tries = 0;
    loop {
        tries += 1;
        // Opened anew each time: editors replace files rather than write into them.
        let file = File::from(rustix::fs::openat(folder, name, flags, Mode::empty())?);
        let before = rustix::fs::fstat(&file)?;
        let body = read_once(file.try_clone()?, &before, staging)?;
        let after = rustix::fs::fstat(&file)?;
        if StatKey::of(&before) == StatKey::of(&after) || tries == TRIES {
            return Ok((body, after));
        }
    }
}

fn read_once(mut file: File, stat: &Stat, staging: &Path) -> io::Result<Body> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if size <= IN_MEMORY {
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
        file.read_to_end(&mut bytes)?;
        return Ok(Body::Memory(bytes));
    }
    let options = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .to_owned();
    let copy = options.open(staging)?;
    disk::copy_contents(&file, &copy)?;
    let length = copy.metadata()?.len();
    Ok(Body::Staged {
        file: copy,
        path: staging.to_owned(),
        length,
    })
}
