//! The walk from a root to a name, one component at a time. See the text of the module above.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{FileError, io, is_git};
use crate::bytes_path::{display, to_bytes};

/// Symlinks followed for one path before it counts as a loop; the kernel's own number.
const MAX_LINKS: u32 = 40;

/// A folder that paths may lead into.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    folder: Arc<OwnedFd>,
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Root, FileError> {
        let shown = display(to_bytes(path));
        if !path.is_absolute() {
            return Err(io(&shown, Errno::INVAL));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT => FileError::NotFound { path: shown.clone() },
            other => io(&shown, other),
        })?;
        Ok(Root {
            path: path.components().collect(),
            folder: Arc::new(folder),
        })
    }
}

/// Where a walk ended: a name in a folder that is held open.
pub(super) struct Place {
    pub(super) parent: Arc<OwnedFd>,
    pub(super) name: OsString,
    /// What stands there; nothing when the name is free.
    pub(super) found: Option<Stat>,
}

/// One walk; `asked` is the path for error messages.
pub(super) struct Walk<'a> {
    roots: &'a [Root],
    asked: &'a str,
    follow_last: bool,
    links: u32,
    /// The folders from the root to here. Never empty while walking.
    folders: Vec<Arc<OwnedFd>>,
    queue: VecDeque<OsString>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(roots: &'a [Root], asked: &'a str, follow_last: bool) -> Walk<'a> {
        Walk {
            roots,
            asked,
            follow_last,
            links: 0,
            folders: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    /// Walks to the given absolute path.
    pub(super) fn to(mut self, path: &Path) -> Result<Place, FileError> {
        self.start(path)?;
        while let Some(name) = self.queue.pop_front() {
            if let Some(place) = self.step(name)? {
                return Ok(place);
            }
        }
        // No name is left: a root itself, or a link to `.` or `..`.
        Err(FileError::IsDirectory {
            path: self.asked.to_owned(),
        })
    }

    /// Begins at the deepest root that holds the path, with the names below it queued in front.
    fn start(&mut self, path: &Path) -> Result<(), FileError> {
        let root = self
            .roots
            .iter()
            .filter(|root| path.starts_with(&root.path))
            .max_by_key(|root| root.path.components().count())
            .ok_or_else(|| outside(self.roots, self.asked))?;
        let below = path.strip_prefix(&root.path).unwrap_or(Path::new(""));
        self.folders = vec![Arc::clone(&root.folder)];
        self.enqueue(below);
        Ok(())
    }

    fn enqueue(&mut self, path: &Path) {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.queue.push_front(name.to_owned()),
                Component::ParentDir => self.queue.push_front("..".into()),
                _ => {}
            }
        }
    }

    /// Takes one name; the place when the walk ends here.
    fn step(&mut self, name: OsString) -> Result<Option<Place>, FileError> {
        if name == ".." {
            self.folders.pop();
            return if self.folders.is_empty() {
                Err(outside(self.roots, self.asked))
            } else {
                Ok(None)
            };
        }
        if is_git(&name) {
            return Err(FileError::InsideGit {
                path: self.asked.to_owned(),
            });
        }
        let Some(parent) = self.folders.last().map(Arc::clone) else {
            return Err(outside(self.roots, self.asked));
        };
        let last = self.queue.is_empty();
        let entry = match open_name(&parent, &name, OFlags::PATH | OFlags::CLOEXEC) {
            Ok(entry) => entry,
            Err(Errno::NOENT) if last => {
                return Ok(Some(Place {
                    parent,
                    name,
                    found: None,
                }));
            }
            Err(Errno::NOENT) => {
                return Err(FileError::NotFound {
                    path: self.asked.to_owned(),
                });
            }
            Err(errno) => return Err(io(self.asked, errno)),
        };
        let stat = rustix::fs::fstat(&entry).map_err(|errno| io(self.asked, errno))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink if !last || self.follow_last => self.follow(&entry).map(|()| None),
            FileType::Directory if !last => {
                self.folders.push(Arc::new(entry));
                Ok(None)
            }
            _ if last => Ok(Some(Place {
                parent,
                name,
                found: Some(stat),
            })),
            _ => Err(io(self.asked, Errno::NOTDIR)),
        }
    }

    fn follow(&mut self, link: &OwnedFd) -> Result<(), FileError> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(io(self.asked, Errno::LOOP));
        }
        // With an empty name the link that the descriptor stands for is read, not whatever has its name now.
        let target = rustix::fs::readlinkat(link, "", Vec::new()).map_err(|errno| io(self.asked, errno))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            return self.start(&target);
        }
        self.enqueue(&target);
        Ok(())
    }
}

/// Opens one name in a folder without following it anywhere.
pub(super) fn open_name(folder: impl AsFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&folder, name, flags, Mode::empty(), resolve) {
            // Kernels before 5.6, and container engines whose filter does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => {}
            other => return other,
        }
    }
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

/// What stands at a name now, links not followed.
pub(super) fn look(place: &Place) -> Result<Stat, Errno> {
    rustix::fs::statat(&place.parent, &place.name, AtFlags::SYMLINK_NOFOLLOW)
}

pub(super) fn outside(roots: &[Root], asked: &str) -> FileError {
    FileError::OutsideRoots {
        path: asked.to_owned(),
        roots: roots.iter().map(|root| display(to_bytes(&root.path))).collect(),
    }
}
