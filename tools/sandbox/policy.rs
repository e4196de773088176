//! What a sandbox allows: plain data, made by the host, enforced by a back end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which network a sandboxed program has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Network {
    /// Not even a loopback interface that is up.
    None,
    /// A loopback interface of the sandbox's own; nothing beyond it.
    #[default]
    Loopback,
    /// The machine's own network.
    Host,
}

/// One thing that the sandbox sees at a path. Sources are paths of the host, targets paths inside.
/// Mounts are made in order of their targets' depth, so a deeper one lies on top of a shallower one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mount {
    /// The host's file or folder, not writable.
    ReadOnly {
        /// Path on the host.
        #[serde(with = "crate::bytes_path::serde_path")]
        source: PathBuf,
        /// Path inside.
        #[serde(with = "crate::bytes_path::serde_path")]
        target: PathBuf,
    },
    /// The host's file or folder, writable: what is written there is written on the host.
    Writable {
        /// Path on the host.
        #[serde(with = "crate::bytes_path::serde_path")]
        source: PathBuf,
        /// Path inside.
        #[serde(with = "crate::bytes_path::serde_path")]
        target: PathBuf,
    },
    /// A copy-on-write view: reads see `lower`, writes go to `upper`.
    Overlay {
        /// The folder below, never written.
        #[serde(with = "crate::bytes_path::serde_path")]
        lower: PathBuf,
        /// Where changes go; `None` keeps them in memory for the sandbox's life.
        upper: Option<UpperLayer>,
        /// Path inside.
        #[serde(with = "crate::bytes_path::serde_path")]
        target: PathBuf,
    },
    /// An empty folder in memory.
    Scratch {
        /// Path inside.
        #[serde(with = "crate::bytes_path::serde_path")]
        target: PathBuf,
        /// Size limit in bytes.
        bytes: u64,
    },
}

/// The writable half of an overlay: both on one file system, `work` empty and of the kernel's use only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpperLayer {
    /// Holds what was changed.
    #[serde(with = "crate::bytes_path::serde_path")]
    pub upper: PathBuf,
    /// The kernel's scratch folder.
    #[serde(with = "crate::bytes_path::serde_path")]
    pub work: PathBuf,
}

impl Mount {
    /// Where the mount appears inside.
    pub fn target(&self) -> &PathBuf {
        match self {
            Mount::ReadOnly { target, .. }
            | Mount::Writable { target, .. }
            | Mount::Overlay { target, .. }
            | Mount::Scratch { target, .. } => target,
        }
    }
}

/// Bounds on what sandboxed programs may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of all processes together, bytes.
    pub memory: u64,
    /// Processes and threads alive at once.
    pub processes: u32,
    /// Bytes that may be written to the sandbox's copy-on-write layers.
    pub disk: u64,
    /// Bytes in the private `/tmp` and the other folders in memory.
    pub scratch: u64,
    /// Size of one file, bytes.
    pub file_size: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// Processor time of one process.
    pub cpu_time: Duration,
    /// Time that the sandbox may live.
    pub wall_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory: 8 << 30,
            processes: 2048,
            disk: 16 << 30,
            scratch: 4 << 30,
            file_size: 8 << 30,
            open_files: 16_384,
            cpu_time: Duration::from_secs(4 * 3600),
            wall_time: Duration::from_secs(24 * 3600),
        }
    }
}

/// Everything that a sandbox allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What is seen where, besides the read-only system: the copy of the repository first of all.
    pub mounts: Vec<Mount>,
    /// Host files and folders that are seen, read-only, at their own paths. Absent ones are passed over.
    #[serde(with = "crate::bytes_path::serde_paths")]
    pub readable: Vec<PathBuf>,
    /// Folders of toolchains: seen at their own paths, and writable in memory only (their own caches and
    /// locks work; nothing reaches the host).
    #[serde(with = "crate::bytes_path::serde_paths")]
    pub toolchains: Vec<PathBuf>,
    /// Paths that look empty inside, whatever shows them.
    #[serde(with = "crate::bytes_path::serde_paths")]
    pub hidden: Vec<PathBuf>,
    /// The home folder inside: empty, in memory, but for the toolchains in it.
    #[serde(with = "crate::bytes_path::serde_path")]
    pub home: PathBuf,
    /// Where programs start.
    #[serde(with = "crate::bytes_path::serde_path")]
    pub working_directory: PathBuf,
    /// The network.
    pub network: Network,
    /// The whole environment of programs inside.
    pub environment: BTreeMap<OsString, OsString>,
    /// Bounds.
    pub limits: Limits,
}

impl Policy {
    /// The folders that programs inside may write to and that outlive the sandbox or matter to its user:
    /// what `edit` and `create` are confined to, besides `/tmp`.
    pub fn writable_folders(&self) -> Vec<PathBuf> {
        let own = self.mounts.iter().filter_map(|mount| match mount {
            Mount::Writable { target, .. } | Mount::Overlay { target, .. } => Some(target.clone()),
            Mount::ReadOnly { .. } | Mount::Scratch { .. } => None,
        });
        let own: Vec<PathBuf> = own.collect();
        // A mount below another writable one (the copy's `.git`) is reached through that one.
        let mut folders: Vec<PathBuf> = own
            .iter()
            .filter(|folder| {
                !own.iter()
                    .any(|other| folder.starts_with(other) && *folder != other)
            })
            .cloned()
            .collect();
        folders.extend([PathBuf::from("/tmp"), self.home.clone()]);
        folders
    }
}
