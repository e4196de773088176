//! What a base tree looked like when it was laid out on disk: for each path its git mode and blob, and the
//! `stat` fields that prove that a file was not touched since. A scan that finds the same `stat` need not read the file.
//!
//! Written once a run by `workspace`, read by every scan of an attempt. The change time cannot be set by a
//! program, so a file rewritten with its old size and modification time is still seen as changed.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Stat};
use serde::{Deserialize, Serialize};

use crate::bytes_path::{self, RepoPath};

/// A git file mode, as stored in trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FileMode {
    /// `100644`
    Regular,
    /// `100755`
    Executable,
    /// `120000`
    Symlink,
    /// `160000`: a submodule's commit
    Gitlink,
}

impl FileMode {
    /// The number git writes, e.g. `0o100644`.
    pub fn bits(self) -> u32 {
        match self {
            FileMode::Regular => 0o100_644,
            FileMode::Executable => 0o100_755,
            FileMode::Symlink => 0o120_000,
            FileMode::Gitlink => 0o160_000,
        }
    }

    /// The mode of the given bits; git's historical `100664` counts as regular.
    pub fn from_bits(bits: u32) -> Option<FileMode> {
        match bits {
            0o100_644 | 0o100_664 => Some(FileMode::Regular),
            0o100_755 => Some(FileMode::Executable),
            0o120_000 => Some(FileMode::Symlink),
            0o160_000 => Some(FileMode::Gitlink),
            _ => None,
        }
    }
}

/// A git blob's (or, for a gitlink, commit's) SHA-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId(pub [u8; 20]);

impl ObjectId {
    /// The id git gives to a blob of these bytes.
    pub fn of_blob(content: &[u8]) -> Result<ObjectId, git2::Error> {
        git2::Oid::hash_object(git2::ObjectType::Blob, content).map(ObjectId::from)
    }

    /// The same id in git2's type.
    pub fn to_oid(self) -> Result<git2::Oid, git2::Error> {
        git2::Oid::from_bytes(&self.0)
    }
}

impl From<git2::Oid> for ObjectId {
    fn from(oid: git2::Oid) -> Self {
        let mut bytes = [0; 20];
        bytes.copy_from_slice(&oid.as_bytes()[..20]);
        ObjectId(bytes)
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// The `stat` fields that together prove that a file is the one recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatKey {
    /// Size in bytes.
    pub size: u64,
    /// Modification time: seconds and nanoseconds.
    pub modified: (i64, u32),
    /// Change time: seconds and nanoseconds.
    pub changed: (i64, u32),
    /// Inode number.
    pub inode: u64,
    /// Permission and type bits.
    pub mode: u32,
}

impl StatKey {
    /// The fields of one `stat` answer.
    // The widths of these fields differ between architectures, so some casts are no-ops on some of them.
    #[allow(clippy::unnecessary_cast)]
    pub fn of(stat: &Stat) -> StatKey {
        StatKey {
            size: stat.st_size as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
            inode: stat.st_ino as u64,
            mode: stat.st_mode as u32,
        }
    }
}

/// How a blob's bytes were written to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Checkout {
    /// Byte for byte.
    Exact,
    /// With `\n` turned into `\r\n` (git's line-ending conversion was on).
    CarriageReturns,
    /// Not laid out (sparse checkout): its absence is no deletion.
    Absent,
    /// A Git LFS pointer in the tree, its content on disk.
    LfsContent,
}

/// One path of the base tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Its mode in the base tree.
    pub mode: FileMode,
    /// Its blob in the base tree.
    pub id: ObjectId,
    /// How it was laid out.
    pub checkout: Checkout,
    /// Its `stat` when laid out; `None` means "read it to know".
    pub stat: Option<StatKey>,
}

/// The base tree, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Every file, symlink and gitlink of the base tree.
    pub entries: BTreeMap<RepoPath, Recorded>,
}

/// Why stored manifest bytes could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are no manifest.
    #[error("the stored manifest is damaged ({0}): delete the run's snapshot so that it is made again")]
    Damaged(postcard::Error),
    /// The manifest could not be turned into bytes.
    #[error("the manifest could not be encoded ({0})")]
    Encode(postcard::Error),
    /// Its first bytes name another version of the format.
    #[error(
        "the stored manifest is of another version of cwm: delete the run's snapshot so that it is made again"
    )]
    Version,
    /// A laid-out file could not be looked at.
    #[error("{path}: could not be looked at after it was laid out: {source}")]
    Stat {
        /// The path in the repository.
        path: String,
        /// What the system said.
        source: rustix::io::Errno,
    },
}

/// The first bytes of an encoded manifest: its name and the version of its form.
const MAGIC: &[u8] = b"cwm-manifest\x01";

impl Manifest {
    /// The manifest as bytes, to be kept in a file.
    pub fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        postcard::to_extend(self, MAGIC.to_vec()).map_err(ManifestError::Encode)
    }

    /// The manifest of bytes that [`encode`](Self::encode) made.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let body = bytes.strip_prefix(MAGIC).ok_or(ManifestError::Version)?;
        postcard::from_bytes(body).map_err(ManifestError::Damaged)
    }

    /// Records the `stat` of every laid-out file and symlink below `root`, so that later scans need not read them.
    ///
    /// Call it after the tree is complete and nothing writes to it any more. Files written so lately that another
    /// write within the clock's tick would not show are left unrecorded: a scan will read those.
    pub fn record_stats(&mut self, root: &Path) -> Result<(), ManifestError> {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        for (path, recorded) in &mut self.entries {
            recorded.stat = None;
            if recorded.checkout == Checkout::Absent || recorded.mode == FileMode::Gitlink {
                continue;
            }
            let at = bytes_path::join(root, path);
            let stat = rustix::fs::statat(CWD, &at, AtFlags::SYMLINK_NOFOLLOW).map_err(|source| {
                ManifestError::Stat {
                    path: bytes_path::display(path),
                    source,
                }
            })?;
            let key = StatKey::of(&stat);
            // The kernel's change time moves in ticks of a few milliseconds.
            if key.changed < (now.tv_sec, now.tv_nsec as u32) {
                recorded.stat = Some(key);
            }
        }
        Ok(())
    }
}
