//! Work of our own code inside a sandbox, done in a forked child of the supervisor that no other program can
//! look into. What enters is a [`Task`]; what leaves is its result in postcard's encoding.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Something to do inside.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Bytes of a file.
    Read { path: PathBuf },
}

impl Task {
    pub(crate) fn run_and_write(self, to: OwnedFd) -> io::Result<()> {
        let result = match self {
            Task::Read { path } => postcard::to_allocvec(&std::fs::read(path).map_err(|error| error.to_string())),
        };
        File::from(to).write_all(&result.map_err(io::Error::other)?)
    }
}
