//! The host's side of the way into a container: a Unix socket in a fresh folder, of which only an inner folder is mounted inside, read-only.
//!
//! Exactly one connection is taken, and it comes from the helper, for nothing of the image has run by then. The socket is gone before
//! the first program starts. On the host the outer folder keeps other users away; the inner one lets in whatever user
//! the image runs as.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

use super::owner::Owner;

/// Where the folder appears inside.
pub(super) const INSIDE: &str = "/run/cwm/control";
/// The socket's name in it.
pub(super) const SOCKET: &str = "socket";
/// How often the container is asked whether it still runs, while the connection is awaited.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct Control {
    folder: TempDir,
    listener: Option<UnixListener>,
}

/// Why nobody connected.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoConnection {
    #[error("{0}")]
    System(#[from] io::Error),
    #[error("its container ended at once ({0})")]
    Ended(String),
    #[error("nothing came from it within {} seconds", .0.as_secs())]
    Late(Duration),
}

impl Control {
    pub(super) fn new(owner: &Owner) -> io::Result<Control> {
        let folder = tempfile::Builder::new()
            .prefix(&owner.folder_prefix())
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let inner = folder.path().join("control");
        fs::create_dir(&inner)?;
        fs::set_permissions(&inner, Permissions::from_mode(0o755))?;
        fs::create_dir(folder.path().join("empty-folder"))?;
        fs::set_permissions(folder.path().join("empty-folder"), Permissions::from_mode(0o555))?;
        File::create(folder.path().join("empty-file"))?.set_permissions(Permissions::from_mode(0o444))?;
        let socket = inner.join(SOCKET);
        let listener = UnixListener::bind(&socket)?;
        fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
        listener.set_nonblocking(true)?;
        Ok(Control {
            folder,
            listener: Some(listener),
        })
    }

    /// The folder to mount inside.
    pub(super) fn shown(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    /// An empty folder or file that nobody writes, to mount over what shall look empty.
    pub(super) fn empty(&self, folder: bool) -> PathBuf {
        let name = if folder { "empty-folder" } else { "empty-file" };
        self.folder.path().join(name)
    }

    /// Takes the one connection, and closes the way in. `ended` says how the container ended, if it did.
    pub(super) fn accept(
        &mut self,
        patience: Duration,
        mut ended: impl FnMut() -> Option<String>,
    ) -> Result<UnixStream, NoConnection> {
        let listener = self
            .listener
            .take()
            .ok_or_else(|| io::Error::other("its connection was taken before"))?;
        let end = Instant::now() + patience;
        let accepted = loop {
            let wait = Timespec {
                tv_sec: LOOK.as_secs().cast_signed(),
                tv_nsec: 0,
            };
            let _ = poll(&mut [PollFd::new(&listener, PollFlags::IN)], Some(&wait));
            match listener.accept() {
                Ok((stream, _)) => break Ok(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => break Err(error.into()),
            }
            if let Some(how) = ended() {
                break Err(NoConnection::Ended(how));
            }
            if Instant::now() >= end {
                break Err(NoConnection::Late(patience));
            }
        };
        fs::remove_file(self.shown().join(SOCKET))?;
        drop(listener);
        let stream = accepted?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

/// Removes the folders of owners that are gone. Tells how many.
pub(super) fn remove_left_over(parent: &Path) -> usize {
    let Ok(entries) = fs::read_dir(parent) else {
        return 0;
    };
    entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .and_then(Owner::of_folder)
                .is_some_and(|owner| owner.is_gone())
        })
        // Another user's folder stays: it cannot be removed by this one.
        .filter(|entry| fs::remove_dir_all(entry.path()).is_ok())
        .count()
}
