//! An attempt's own copy: empty layers over the snapshot where the kernel has overlays, real copies elsewhere.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD};

use super::disk::{self, Skip};
use super::environment::{self, Mounted, MountedKind};
use super::error::WorkspaceError;
use super::snapshot::{self, Snapshot};
use super::{MANIFEST_INSIDE, STORE_INSIDE};
use crate::patch::manifest::{Checkout, FileMode, StatKey};
use crate::sandbox::policy::{Mount, UpperLayer};

/// How an attempt gets its copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copying {
    /// Layers that hold only what the attempt changes; the sandbox mounts them over the snapshot.
    Overlay,
    /// Copies of all files, sharing blocks where the file system can.
    Plain,
}

/// One attempt's copy of the snapshot.
#[derive(Debug, Clone)]
pub struct Attempt {
    path: PathBuf,
    copying: Copying,
    snapshot: Snapshot,
}

impl Snapshot {
    /// Makes the copy of a new attempt. `name` is a plain file name.
    pub fn attempt(&self, name: &str, copying: Copying) -> Result<Attempt, WorkspaceError> {
        let attempt = self.attempt_at(name, copying)?;
        // Two attempts of one name must not share a layer.
        std::fs::create_dir(&attempt.path).map_err(WorkspaceError::io("making", &attempt.path))?;
        match copying {
            Copying::Overlay => attempt.make_layers()?,
            Copying::Plain => attempt.make_copies()?,
        }
        Ok(attempt)
    }

    /// The copy of an attempt that a resumed run made before.
    pub fn existing_attempt(&self, name: &str) -> Result<Attempt, WorkspaceError> {
        let mut attempt = self.attempt_at(name, Copying::Overlay)?;
        if !attempt.path.join("tree.upper").is_dir() {
            attempt.copying = Copying::Plain;
            let tree = attempt.path.join("tree");
            std::fs::symlink_metadata(&tree).map_err(WorkspaceError::io("finding", &tree))?;
        }
        Ok(attempt)
    }

    /// Removes whatever a process that was killed left of an attempt, half made or half removed.
    pub fn clear_attempt(&self, name: &str) -> Result<(), WorkspaceError> {
        let attempt = self.attempt_at(name, Copying::Overlay)?;
        match std::fs::symlink_metadata(&attempt.path) {
            Ok(_) => attempt.remove(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(WorkspaceError::io("finding", &attempt.path)(error)),
        }
    }

    fn attempt_at(&self, name: &str, copying: Copying) -> Result<Attempt, WorkspaceError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(WorkspaceError::AttemptName(name.to_owned()));
        }
        Ok(Attempt {
            path: self.run.join("attempts").join(name),
            copying,
            snapshot: self.clone(),
        })
    }
}

impl Attempt {
    /// The attempt's folder on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How its copy was made.
    pub fn copying(&self) -> Copying {
        self.copying
    }

    /// What its sandbox mounts: the tree at the repository's own path, `.git` on its own, the object store and the
    /// manifest read-only, and the environment's parts that were not copied.
    pub fn mounts(&self) -> Vec<Mount> {
        let run = &self.snapshot.run;
        let root = &self.snapshot.root;
        let manifest = match self.copying {
            Copying::Overlay => self.snapshot.manifest(),
            Copying::Plain => self.path.join("manifest"),
        };
        let mut mounts = vec![
            self.layer(&run.join("tree"), "tree", root.clone()),
            self.layer(&run.join("gitdir"), "git", root.join(".git")),
            Mount::ReadOnly {
                source: self.snapshot.store(),
                target: STORE_INSIDE.into(),
            },
            Mount::ReadOnly {
                source: manifest,
                target: MANIFEST_INSIDE.into(),
            },
        ];
        for (number, mounted) in self.snapshot.mounted.iter().enumerate() {
            mounts.extend(self.environment_mount(number, mounted));
        }
        mounts
    }

    fn layer(&self, lower: &Path, name: &str, target: PathBuf) -> Mount {
        match self.copying {
            Copying::Overlay => Mount::Overlay {
                lower: lower.to_owned(),
                upper: Some(UpperLayer {
                    upper: self.path.join(format!("{name}.upper")),
                    work: self.path.join(format!("{name}.work")),
                }),
                target,
            },
            Copying::Plain => Mount::Writable {
                source: self.path.join(name),
                target,
            },
        }
    }

    fn environment_mount(&self, number: usize, mounted: &Mounted) -> Option<Mount> {
        let target = disk::at(&self.snapshot.root, &mounted.path);
        let run = &self.snapshot.run;
        match (mounted.kind, self.copying) {
            // A folder that the user has removed meanwhile is not there for the attempt either.
            (MountedKind::Folder, _) => target
                .is_dir()
                .then(|| self.layer(&target, &format!("env-{number}"), target.clone())),
            (MountedKind::File, Copying::Overlay) => target.is_file().then(|| Mount::ReadOnly {
                source: target.clone(),
                target,
            }),
            (MountedKind::HiddenFile, Copying::Overlay) => target.exists().then(|| Mount::ReadOnly {
                source: run.join("empty"),
                target,
            }),
            (MountedKind::HiddenFolder, Copying::Overlay) => target.exists().then(|| Mount::ReadOnly {
                source: run.join("empty.d"),
                target,
            }),
            // The copies hold the file, and lack what is hidden.
            (_, Copying::Plain) => None,
        }
    }

    fn environment_folders(&self) -> impl Iterator<Item = (String, &Mounted)> {
        let all = self.snapshot.mounted.iter().enumerate();
        all.filter(|(_, mounted)| mounted.kind == MountedKind::Folder)
            .map(|(number, mounted)| (format!("env-{number}"), mounted))
    }

    fn make_layers(&self) -> Result<(), WorkspaceError> {
        let names = self.environment_folders().map(|(name, _)| name);
        for name in ["tree".to_owned(), "git".to_owned()].into_iter().chain(names) {
            for half in ["upper", "work"] {
                let folder = self.path.join(format!("{name}.{half}"));
                std::fs::create_dir(&folder).map_err(WorkspaceError::io("making", &folder))?;
            }
        }
        // Where `.git` is mounted: git sees the mount, the snapshot's tree stays without it.
        let place = self.path.join("tree.upper/.git");
        std::fs::create_dir(&place).map_err(WorkspaceError::io("making", &place))
    }

    fn make_copies(&self) -> Result<(), WorkspaceError> {
        let run = &self.snapshot.run;
        copy(&run.join("tree"), &self.path.join("tree"), &|_, _, _| false)?;
        copy(&run.join("gitdir"), &self.path.join("git"), &|_, _, _| false)?;
        let place = self.path.join("tree/.git");
        std::fs::create_dir(&place).map_err(WorkspaceError::io("making", &place))?;
        for (name, mounted) in self.environment_folders() {
            let source = disk::at(&self.snapshot.root, &mounted.path);
            copy(&source, &self.path.join(name), &environment::skip)?;
        }
        for mounted in self
            .snapshot
            .mounted
            .iter()
            .filter(|mounted| mounted.kind == MountedKind::File)
        {
            self.copy_file(mounted)?;
        }
        self.write_manifest()
    }

    /// Copies one large file of the environment over the empty one that marks its place.
    fn copy_file(&self, mounted: &Mounted) -> Result<(), WorkspaceError> {
        let tree = self.path.join("tree");
        let path = disk::at(&tree, &mounted.path);
        let work = || {
            let mut from = disk::Parents::new(&self.snapshot.root, false)?;
            let mut to = disk::Parents::new(&tree, false)?;
            let (source, name) = from.of(&mounted.path)?;
            let (target, _) = to.of(&mounted.path)?;
            rustix::fs::unlinkat(target, name, AtFlags::empty())?;
            match disk::copy_entry(source, target, name) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                other => other.map(drop),
            }
        };
        work().map_err(WorkspaceError::io("copying", &path))
    }

    /// The snapshot's manifest with the `stat` of this copy's files.
    fn write_manifest(&self) -> Result<(), WorkspaceError> {
        let mut manifest = snapshot::read_manifest(&self.snapshot.manifest())?;
        let tree = self.path.join("tree");
        for (path, recorded) in &mut manifest.entries {
            recorded.stat = None;
            if recorded.checkout == Checkout::Absent || recorded.mode == FileMode::Gitlink {
                continue;
            }
            let at = disk::at(&tree, path);
            let stat = rustix::fs::statat(CWD, &at, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(WorkspaceError::io("reading", &at))?;
            recorded.stat = Some(StatKey::of(&stat));
        }
        snapshot::write_manifest(&self.path.join("manifest"), &manifest)
    }

    /// For a plain copy that is used where it lies: links its tree to its git folder, and tells where the tree is.
    pub fn link_git(&self) -> Result<PathBuf, WorkspaceError> {
        let tree = self.path.join("tree");
        let link = tree.join(".git");
        // The empty folder for a mount that is not made.
        match std::fs::remove_dir(&link) {
            Err(error) if error.kind() != std::io::ErrorKind::NotADirectory => {
                return Err(WorkspaceError::io("removing", &link)(error));
            }
            _ => {}
        }
        disk::write(&link, b"gitdir: ../git\n")?;
        Ok(tree)
    }

    /// Disk space that this attempt takes beyond the snapshot, in bytes.
    pub fn disk_usage(&self) -> Result<u64, WorkspaceError> {
        disk::usage(&self.path).map_err(WorkspaceError::io("measuring", &self.path))
    }

    /// Removes the attempt's copy. Its sandbox must be gone.
    pub fn remove(self) -> Result<(), WorkspaceError> {
        disk::remove_tree(&self.path).map_err(WorkspaceError::io("removing", &self.path))
    }
}

/// Copies a folder to a new one.
fn copy(from: &Path, to: &Path, skip: Skip<'_>) -> Result<(), WorkspaceError> {
    let work = || {
        let source = disk::open_root(from)?;
        std::fs::create_dir(to)?;
        let target = disk::open_root(to)?;
        let stat = rustix::fs::fstat(source.as_fd())?;
        disk::copy_tree(source, target.try_clone()?, skip)?;
        rustix::fs::futimens(&target, &disk::times_of(&stat))?;
        Ok::<_, std::io::Error>(())
    };
    work().map_err(WorkspaceError::io("copying", to))
}
