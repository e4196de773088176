//! What the helper does differently when an engine made its container: it is PID 1 there, connects to the host by itself, and
//! takes from the image what the host could not know.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::sandbox::namespaces::{self, AtStage, SetupError};
use crate::sandbox::policy::Policy;
use crate::sandbox::system;

/// The variable that names the host's socket. Only the host sets it, for the helper alone.
pub(super) const CONTROL_VARIABLE: &str = "CWM_CONTROL_SOCKET";
/// Processes beyond the policy's that the engine's limit leaves for the supervisor's own.
pub(super) const OWN_PROCESSES: u32 = 8;
/// The step that fails in an image without bash.
pub(super) const FIND_BASH: &str = "find bash in the image";

/// The connection to the host, for a helper in a container; `None` elsewhere.
pub(crate) fn control_socket() -> Option<io::Result<UnixStream>> {
    let path = std::env::var_os(CONTROL_VARIABLE)?;
    Some(connect(Path::new(&path)))
}

fn connect(path: &Path) -> io::Result<UnixStream> {
    system::close_from(3)?;
    let socket = UnixStream::connect(path)?;
    system::detach_streams()?;
    Ok(socket)
}

/// Completes the policy with what only the image knows.
pub(crate) fn prepare(policy: &mut Policy, has_bash: bool) -> Result<(), SetupError> {
    if !has_bash {
        return Err(io::Error::from_raw_os_error(libc::ENOENT)).at(FIND_BASH);
    }
    policy.environment.entry("HOME".into()).or_insert_with(|| {
        fs::read_to_string("/etc/passwd")
            .ok()
            .and_then(|text| home_of(&text, rustix::process::getuid().as_raw()))
            .filter(|path| path.is_dir())
            .unwrap_or_else(|| PathBuf::from("/tmp"))
            .into()
    });
    policy.home = home_folder(&policy.environment);
    Ok(())
}

/// The home folder that an environment names.
pub(super) fn home_folder(environment: &BTreeMap<OsString, OsString>) -> PathBuf {
    environment
        .get(OsStr::new("HOME"))
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// A user's home folder in the text of `/etc/passwd`.
fn home_of(text: &str, user: u32) -> Option<PathBuf> {
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2).and_then(|field| field.parse().ok()) == Some(user))
        .and_then(|fields| fields.get(5).map(PathBuf::from))
        .filter(|path| path.is_absolute())
}

/// Locks this process as in the namespaces back end, but for files: an image's programs may write to the container, which is thrown away.
pub(crate) fn lock_down(policy: &Policy) -> Result<Vec<String>, SetupError> {
    let mut wide = policy.clone();
    wide.toolchains.push(PathBuf::from("/"));
    namespaces::lock_down(&wide)
}

/// Whether the engine has the kernel bound the number of processes as the policy asks.
pub(crate) fn kernel_counts(processes: u32) -> bool {
    let most = u64::from(processes) + u64::from(OWN_PROCESSES);
    // Where control groups of the second and of the first version show a container its own.
    ["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
        .any(|limit| limit <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_folder_is_the_users_own() {
        let text = "root:x:0:0:root:/root:/bin/bash\nbroken\nme:x:1000:1000::/home/me:/bin/sh\nodd:x:7:7::relative:/bin/sh\n";
        assert_eq!(home_of(text, 1000), Some(PathBuf::from("/home/me")));
        assert_eq!(home_of(text, 0), Some(PathBuf::from("/root")));
        assert_eq!(home_of(text, 7), None);
        assert_eq!(home_of(text, 8), None);
    }
}
