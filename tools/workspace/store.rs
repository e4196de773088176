//! A run's object store: one pack that holds what the base commit reaches, and nothing else.
//!
//! The user's `git` writes it in one pass, its object folder pointed at the store and the user's folder given as an
//! alternate, so that even its temporary files land in the run; deltas are reused and none are searched for. Where
//! there is no `git`, libgit2 does it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::disk;
use super::error::{Note, WorkspaceError};
use super::git_command;

/// What is needed to pack, apart from the repository that is open on another thread.
pub(crate) struct Packing {
    pub(crate) root: PathBuf,
    pub(crate) gitdir: PathBuf,
    /// The user's objects.
    pub(crate) objects: PathBuf,
    /// The store's folder, `objects` and all made by [`make`].
    pub(crate) store: PathBuf,
    pub(crate) commit: git2::Oid,
    pub(crate) partial: bool,
}

/// How the packing went.
pub(crate) struct Packed {
    pub(crate) duration: Duration,
    pub(crate) notes: Vec<Note>,
}

/// Makes the folders of an empty store.
pub(crate) fn make(store: &Path) -> Result<(), WorkspaceError> {
    disk::make_folders(&store.join("objects/pack"))?;
    disk::make_folders(&store.join("objects/info"))
}

impl Packing {
    /// Packs what the commit reaches.
    pub(crate) fn run(&self) -> Result<Packed, WorkspaceError> {
        let start = Instant::now();
        let mut notes = Vec::new();
        match self.with_command(&[]) {
            Ok(output) if output.status.success() => {}
            Ok(_) if self.partial => {
                let output = self
                    .with_command(&["--missing=allow-promisor"])
                    .map_err(|error| self.failed(&error))?;
                if !output.status.success() {
                    return Err(self.failed(&String::from_utf8_lossy(&output.stderr).trim()));
                }
                notes.push(Note::PartialHistory);
            }
            Ok(output) => return Err(self.failed(&String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.with_library()?;
                notes.push(Note::NoGitCommand);
            }
            Err(error) => return Err(self.failed(&error)),
        }
        Ok(Packed {
            duration: start.elapsed(),
            notes,
        })
    }

    fn with_command(&self, more: &[&str]) -> io::Result<Output> {
        let mut command = git_command::reading(&self.gitdir);
        command
            .env("GIT_OBJECT_DIRECTORY", self.store.join("objects"))
            .env(
                "GIT_ALTERNATE_OBJECT_DIRECTORIES",
                git_command::alternate(&self.objects),
            )
            .args(["-c", "pack.packSizeLimit=0", "-c", "pack.writeReverseIndex=false"])
            .args([
                "pack-objects",
                "-q",
                "--revs",
                "--delta-base-offset",
                "--window=0",
            ])
            .args(more)
            .arg(self.store.join("objects/pack/pack"))
            .stdin(Stdio::piped());
        feed(&mut command, format!("{}\n", self.commit).as_bytes())
    }

    /// The same without a `git` command.
    pub(crate) fn with_library(&self) -> Result<(), WorkspaceError> {
        let library = super::source::open_at(&self.gitdir)?;
        let mut walk = library.revwalk()?;
        walk.push(self.commit)?;
        let mut builder = library.packbuilder()?;
        builder.insert_walk(&mut walk)?;
        builder.write(&self.store.join("objects/pack"), 0o444)?;
        Ok(())
    }

    fn failed(&self, message: &dyn std::fmt::Display) -> WorkspaceError {
        let message = message.to_string();
        WorkspaceError::Git {
            command: "pack-objects".into(),
            path: self.root.clone(),
            message,
        }
    }
}

/// Runs a command whose whole input is a few bytes.
fn feed(command: &mut Command, input: &[u8]) -> io::Result<Output> {
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input) {
            // It ended early; its error output says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
    }
    child.wait_with_output()
}
