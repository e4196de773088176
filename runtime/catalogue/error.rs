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
    },
    /// No source gave it; a line for each.
    #[error("{name} could not be fetched from anywhere: {}", reasons.join("; "))]
    Nowhere {
        /// The model.
        name: String,
        /// What each source said.
        reasons: Vec<String>,
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
            CatalogueError::Source { .. } | CatalogueError::WrongHash { .. }
        )
    }
}
