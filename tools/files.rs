//! File access that cannot leave the folders it was given.
//!
//! In: the sandbox's writable roots and the folder that relative paths start from; then paths and bytes
//! that a model wrote. Out: a file's bytes, a file written, or a typed [`FileError`].
//! Used by `edit`, `create` and `submit`, which run in a helper process inside the sandbox with no
//! privilege of its own, beside programs of the model that may rename and relink anything meanwhile.
//!
//! # Why a path cannot escape
//! A path is first normalised as text and must lie under a root. It is then walked one name at a time
//! with `openat2` (`RESOLVE_BENEATH`, no magic links, no symlinks), each name opened relative to the
//! descriptor of the folder before it. A symlink is never followed by the kernel: its text is read and
//! its names join the queue, `..` steps back to a folder that is already held open, and an absolute
//! target starts again at the root that holds it, or is refused. So each step is one name inside a folder
//! that was reached from a root, whatever is swapped underneath. The walk, rather than one `openat2` for
//! the whole path, also sees every real name: a `.git` folder is refused even behind a link.
//! Where the kernel has no `openat2`, a single name is opened with `O_NOFOLLOW`, which is as strict.
//!
//! # Writing
//! Bytes go to a temporary file beside the target (its name begins with [`TEMPORARY_PREFIX`]), which is
//! then renamed onto it: a reader sees the old file or the new one, never a part. The folder was held
//! open since the walk, so a rename cannot land elsewhere. The mode is kept (set-user-ID and set-group-ID
//! bits aside), the owner where the system allows. Another hard link of the file keeps the old bytes.

mod walk;
mod write;

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bytes_path::{display, to_bytes};
use walk::{Place, Root};

/// How the names of temporary files begin. One is left behind only when the process is killed while writing.
pub const TEMPORARY_PREFIX: &str = ".cwm-unfinished-";

/// Why a file could not be read or written. Paths are given as the model wrote them.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum FileError {
    /// Nothing is there.
    #[error("`{path}` does not exist")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// A folder stands where a file was expected.
    #[error("`{path}` is a directory, not a file")]
    IsDirectory {
        /// The path asked for.
        path: String,
    },
    /// The path, or a symlink on its way, leaves the writable folders.
    #[error("`{path}` is outside the folders that may be changed ({})", roots.join(", "))]
    OutsideRoots {
        /// The path asked for.
        path: String,
        /// The folders that paths must stay in.
        roots: Vec<String>,
    },
    /// The folder for a new file is missing.
    #[error("`{path}` cannot be created: the directory `{parent}` does not exist")]
    ParentMissing {
        /// The path asked for.
        path: String,
        /// The folder that is missing.
        parent: String,
    },
    /// A new file's name is taken, if only by a symlink that leads nowhere.
    #[error("`{path}` already exists")]
    AlreadyExists {
        /// The path asked for.
        path: String,
    },
    /// A device, pipe or socket.
    #[error("`{path}` is not a regular file but a {what}")]
    NotRegular {
        /// The path asked for.
        path: String,
        /// What it is instead.
        what: String,
    },
    /// More bytes than the caller takes.
    #[error("`{path}` is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The path asked for.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file (or the text meant for it) holds NUL bytes.
    #[error("`{path}` is not a text file: it holds a NUL byte at offset {offset}")]
    NotText {
        /// The path asked for.
        path: String,
        /// Where the first NUL byte stands.
        offset: u64,
    },
    /// The path leads into git's own folder.
    #[error("`{path}` lies inside a `.git` folder, which is not to be touched")]
    InsideGit {
        /// The path asked for.
        path: String,
    },
    /// The file was changed by someone else between reading and writing.
    #[error("`{path}` was changed by another program meanwhile; nothing was written")]
    ChangedMeanwhile {
        /// The path asked for.
        path: String,
    },
    /// Any other refusal of the system.
    #[error("`{path}`: {message}")]
    Io {
        /// The path asked for.
        path: String,
        /// A short name of the refusal, such as `permission denied` or `storage full`.
        kind: String,
        /// The system's own sentence.
        message: String,
    },
}

/// Folders in which files may be read and written, held open.
#[derive(Debug)]
pub struct FileArea {
    roots: Vec<Root>,
    working_directory: PathBuf,
}

/// A file that was read, held so that its replacement lands on that very file.
pub(crate) struct OpenFile {
    place: Place,
    stat: Stat,
    asked: String,
    /// The whole content.
    pub(crate) bytes: Vec<u8>,
}

impl FileArea {
    /// Opens the writable roots (absolute paths of existing folders). Relative paths will be taken from
    /// `working_directory`, which need not lie under a root: then only absolute paths can succeed.
    pub fn open(roots: &[PathBuf], working_directory: PathBuf) -> Result<FileArea, FileError> {
        let mut opened = Vec::with_capacity(roots.len());
        for root in roots {
            opened.push(Root::open(root)?);
        }
        Ok(FileArea {
            roots: opened,
            working_directory,
        })
    }

    /// Reads a regular file of at most `max_bytes`. Symlinks are followed beneath the roots.
    pub fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FileError> {
        Ok(self.open_file(path, max_bytes)?.bytes)
    }

    /// Like [`FileArea::read`], and refuses a file that holds NUL bytes.
    pub fn read_text(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FileError> {
        Ok(self.open_text(path, max_bytes)?.bytes)
    }

    /// Creates a file that must not exist, in a folder that must. It appears whole or not at all.
    pub fn create_new(&self, path: &str, bytes: &[u8]) -> Result<(), FileError> {
        let place = self.walk_new(path)?;
        write::create(&place, path, bytes)
    }

    /// Replaces an existing regular file's content in one step, keeping its mode. Where `path` is a symlink
    /// beneath the roots, the file that it leads to is replaced and the link stays.
    pub fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), FileError> {
        let (place, stat) = self.walk_regular(path)?;
        write::replace(&place, path, &stat, bytes)
    }

    pub(crate) fn open_text(&self, path: &str, max_bytes: u64) -> Result<OpenFile, FileError> {
        let file = self.open_file(path, max_bytes)?;
        check_text(path, &file.bytes)?;
        Ok(file)
    }

    fn open_file(&self, path: &str, max_bytes: u64) -> Result<OpenFile, FileError> {
        let (place, _) = self.walk_regular(path)?;
        // The type was checked on a descriptor that opens nothing; between then and now the name may
        // have been given to a pipe or a device, hence non-blocking, and the second check on what was opened.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let descriptor =
            walk::open_name(&place.parent, &place.name, flags).map_err(|errno| io(path, errno))?;
        let stat = rustix::fs::fstat(&descriptor).map_err(|errno| io(path, errno))?;
        regular(path, &stat)?;
        let bytes = read_limited(path, descriptor, &stat, max_bytes)?;
        Ok(OpenFile {
            place,
            stat,
            asked: path.to_owned(),
            bytes,
        })
    }

    /// Walks to an existing regular file.
    fn walk_regular(&self, path: &str) -> Result<(Place, Stat), FileError> {
        let place = self.walk(path, /*follow_last*/ true)?;
        let Some(stat) = &place.found else {
            return Err(FileError::NotFound {
                path: path.to_owned(),
            });
        };
        regular(path, stat)?;
        if path.ends_with('/') {
            return Err(io(path, Errno::NOTDIR));
        }
        let stat = *stat;
        Ok((place, stat))
    }

    /// Walks to a name that must be free.
    fn walk_new(&self, path: &str) -> Result<Place, FileError> {
        let place = self
            .walk(path, /*follow_last*/ false)
            .map_err(|error| match error {
                FileError::NotFound { path } => {
                    let parent = Path::new(path.trim_end_matches('/'))
                        .parent()
                        .unwrap_or(Path::new(""));
                    FileError::ParentMissing {
                        parent: display(to_bytes(parent)),
                        path,
                    }
                }
                other => other,
            })?;
        match &place.found {
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                Err(FileError::IsDirectory {
                    path: path.to_owned(),
                })
            }
            Some(_) => Err(FileError::AlreadyExists {
                path: path.to_owned(),
            }),
            None if path.ends_with('/') => Err(FileError::IsDirectory {
                path: path.to_owned(),
            }),
            None => Ok(place),
        }
    }

    fn walk(&self, path: &str, follow_last: bool) -> Result<Place, FileError> {
        let normal = self.normalise(path)?;
        walk::Walk::new(&self.roots, path, follow_last).to(&normal)
    }

    /// The absolute path meant, with `.` and `..` resolved as text.
    fn normalise(&self, path: &str) -> Result<PathBuf, FileError> {
        let mut normal = PathBuf::from("/");
        for component in self.working_directory.join(path).components() {
            match component {
                Component::Normal(name) => normal.push(name),
                Component::ParentDir if !normal.pop() => return Err(self.outside(path)),
                _ => {}
            }
        }
        Ok(normal)
    }

    fn outside(&self, path: &str) -> FileError {
        walk::outside(&self.roots, path)
    }
}

impl OpenFile {
    /// Replaces the file, unless someone changed it since it was read.
    pub(crate) fn replace(&self, bytes: &[u8]) -> Result<(), FileError> {
        if !write::is_unchanged(&self.place, &self.stat) {
            return Err(FileError::ChangedMeanwhile {
                path: self.asked.clone(),
            });
        }
        write::replace(&self.place, &self.asked, &self.stat, bytes)
    }
}

/// Fails when `bytes` hold a NUL: such a file is no text, and editing it by lines would be a guess.
pub(crate) fn check_text(path: &str, bytes: &[u8]) -> Result<(), FileError> {
    match memchr::memchr(0, bytes) {
        Some(offset) => Err(FileError::NotText {
            path: path.to_owned(),
            offset: offset as u64,
        }),
        None => Ok(()),
    }
}

fn read_limited(path: &str, file: OwnedFd, stat: &Stat, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    let too_large = || FileError::TooLarge {
        path: path.to_owned(),
        limit: max_bytes,
    };
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if size > max_bytes {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // One byte beyond the limit tells a file that grew, or whose size is not known (/proc), from one that fits.
    std::fs::File::from(file)
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| io_error(path, &error))?;
    if bytes.len() as u64 > max_bytes {
        Err(too_large())
    } else {
        Ok(bytes)
    }
}

fn regular(path: &str, stat: &Stat) -> Result<(), FileError> {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => {
            return Err(FileError::IsDirectory {
                path: path.to_owned(),
            });
        }
        FileType::Fifo => "named pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        FileType::Symlink => "symbolic link",
        _ => "special file",
    };
    Err(FileError::NotRegular {
        path: path.to_owned(),
        what: what.to_owned(),
    })
}

fn io(path: &str, errno: Errno) -> FileError {
    io_error(path, &std::io::Error::from(errno))
}

fn io_error(path: &str, error: &std::io::Error) -> FileError {
    FileError::Io {
        path: path.to_owned(),
        kind: error.kind().to_string(),
        message: error.to_string(),
    }
}

/// Git's folder, in any spelling that a case-insensitive file system would take for it.
fn is_git(name: &OsStr) -> bool {
    name.eq_ignore_ascii_case(".git")
}

/// The permission bits that a replaced file keeps.
fn kept_mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode) & Mode::from_raw_mode(0o777)
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
