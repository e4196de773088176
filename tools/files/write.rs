//! Writing a file in one step: a temporary file beside the target, then a rename.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Access, AtFlags, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;

use super::walk::{self, Place};
use super::{FileError, TEMPORARY_PREFIX, io, io_error, kept_mode};

/// Names tried for a temporary file before giving up; each is taken only by an earlier process of our number.
const MAX_NAMES: u32 = 64;

/// Creates the file at a place whose name was free.
pub(super) fn create(place: &Place, asked: &str, bytes: &[u8]) -> Result<(), FileError> {
    // The process's umask applies, as for any program that creates a file.
    let temporary = Temporary::new(place, asked, Mode::from_raw_mode(0o666))?;
    temporary.write(asked, bytes)?;
    temporary.put_if_free(asked)
}

/// Replaces the file at a place where one with the given `stat` was found.
pub(super) fn replace(place: &Place, asked: &str, stat: &Stat, bytes: &[u8]) -> Result<(), FileError> {
    // A rename needs no permission on the file itself; one that is read-only is meant to stay as it is.
    rustix::fs::accessat(&place.parent, &place.name, Access::WRITE_OK, AtFlags::empty())
        .map_err(|errno| io(asked, errno))?;
    let temporary = Temporary::new(place, asked, Mode::RUSR | Mode::WUSR)?;
    temporary.write(asked, bytes)?;
    temporary.take_over(asked, stat)?;
    temporary.put_over(asked)
}

/// A file being written; removed again unless it was put in its place.
struct Temporary<'a> {
    place: &'a Place,
    name: OsString,
    file: File,
    placed: bool,
}

impl<'a> Temporary<'a> {
    fn new(place: &'a Place, asked: &str, mode: Mode) -> Result<Temporary<'a>, FileError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..MAX_NAMES {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = OsString::from(format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id()));
            match rustix::fs::openat(&place.parent, &name, flags, mode) {
                Ok(descriptor) => {
                    return Ok(Temporary {
                        place,
                        name,
                        file: File::from(descriptor),
                        placed: false,
                    });
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(io(asked, errno)),
            }
        }
        Err(io(asked, Errno::EXIST))
    }

    fn write(&self, asked: &str, bytes: &[u8]) -> Result<(), FileError> {
        (&self.file)
            .write_all(bytes)
            .map_err(|error| io_error(asked, &error))
    }

    /// Gives the file the owner (where allowed) and the mode of the one that it replaces.
    fn take_over(&self, asked: &str, stat: &Stat) -> Result<(), FileError> {
        let own = rustix::fs::fstat(&self.file).map_err(|errno| io(asked, errno))?;
        if (own.st_uid, own.st_gid) != (stat.st_uid, stat.st_gid) {
            let owner = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            // Changing the owner is a privilege. Without it the file is the writer's, as after `git checkout`.
            let _ = rustix::fs::fchown(&self.file, Some(owner.0), Some(owner.1));
        }
        rustix::fs::fchmod(&self.file, kept_mode(stat)).map_err(|errno| io(asked, errno))
    }

    fn put_over(mut self, asked: &str) -> Result<(), FileError> {
        let parent: &OwnedFd = &self.place.parent;
        rustix::fs::renameat(parent, &self.name, parent, &self.place.name)
            .map_err(|errno| io(asked, errno))?;
        self.placed = true;
        Ok(())
    }

    fn put_if_free(mut self, asked: &str) -> Result<(), FileError> {
        let parent: &OwnedFd = &self.place.parent;
        let name = &self.place.name;
        let exists = || FileError::AlreadyExists {
            path: asked.to_owned(),
        };
        match rustix::fs::renameat_with(parent, &self.name, parent, name, RenameFlags::NOREPLACE) {
            Ok(()) => self.placed = true,
            Err(Errno::EXIST) => return Err(exists()),
            // File systems without that flag: a hard link fails as surely on a name that is taken, and the
            // temporary name goes away with `self`.
            Err(Errno::INVAL | Errno::NOSYS) => {
                match rustix::fs::linkat(parent, &self.name, parent, name, AtFlags::empty()) {
                    Ok(()) => {}
                    Err(Errno::EXIST) => return Err(exists()),
                    Err(errno) => return Err(io(asked, errno)),
                }
            }
            Err(errno) => return Err(io(asked, errno)),
        }
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing is left to do about a file that cannot even be unlinked; the error that led here is told.
            let _ = rustix::fs::unlinkat(&self.place.parent, &self.name, AtFlags::empty());
        }
    }
}

/// Whether the file at `place` is still the one described by `stat`, as far as the system can tell.
pub(super) fn is_unchanged(place: &Place, stat: &Stat) -> bool {
    let key = |stat: &Stat| {
        let modified = (stat.st_mtime, stat.st_mtime_nsec);
        let changed = (stat.st_ctime, stat.st_ctime_nsec);
        (stat.st_dev, stat.st_ino, stat.st_size, modified, changed)
    };
    walk::look(place).is_ok_and(|now| key(&now) == key(stat))
}
