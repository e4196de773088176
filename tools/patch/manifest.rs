//! What a base tree looked like when it was laid out on disk: for each path its git mode and blob, and the
//! `stat` fields that prove that a file was not touched since. A scan that finds the same `stat` need not read the file.
//!
//! Written once a run by `workspace`, read by every scan of an attempt. The change time cannot be set by a
//! program, so a file rewritten with its old size and modification time is still seen as changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bytes_path::RepoPath;

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
