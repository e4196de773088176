//! The machine as the doctor reads it: files below a root (the real one, or a folder laid out by a test),
//! and the environment's search path.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::Environment;

/// The most that is read of one of the kernel's files.
const READ_LIMIT: u64 = 1 << 20;

/// Where the doctor looks.
pub(crate) struct System<'a> {
    /// `/`, but for tests.
    pub(crate) root: PathBuf,
    /// Variables such as PATH and HOME.
    pub(crate) environment: &'a Environment,
}

impl System<'_> {
    /// Where an absolute path lies below the root.
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// A file's text without the white space around it, if it can be read.
    pub(crate) fn read(&self, absolute: &str) -> Option<String> {
        let mut bytes = Vec::new();
        fs::File::open(self.path(absolute))
            .ok()?
            .take(READ_LIMIT)
            .read_to_end(&mut bytes)
            .ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A file that holds one number.
    pub(crate) fn number(&self, absolute: &str) -> Option<u64> {
        self.read(absolute)?.parse().ok()
    }

    /// Whether a path exists.
    pub(crate) fn exists(&self, absolute: &str) -> bool {
        self.path(absolute).exists()
    }

    /// The value of a `Name:  value` line, as in `/proc/meminfo` and `/proc/self/status`.
    pub(crate) fn field(&self, absolute: &str, name: &str) -> Option<String> {
        let text = self.read(absolute)?;
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    }

    /// Whether this process may do what `CAP_SYS_ADMIN` allows.
    pub(crate) fn is_administrator(&self) -> bool {
        const CAP_SYS_ADMIN: u64 = 1 << 21;
        let capabilities = self.field("/proc/self/status", "CapEff");
        capabilities
            .and_then(|hex| u64::from_str_radix(&hex, 16).ok())
            .unwrap_or(0)
            & CAP_SYS_ADMIN
            != 0
    }

    /// Whether this process runs inside a container, as engines mark theirs.
    pub(crate) fn is_container(&self) -> bool {
        self.exists("/.dockerenv")
            || self.exists("/run/.containerenv")
            || self.environment.get("container").is_some()
            || self.environment.get("KUBERNETES_SERVICE_HOST").is_some()
    }

    /// An executable on the search path.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let executable = |path: &PathBuf| {
            fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        std::env::split_paths(self.environment.get("PATH")?)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(executable)
    }
}

/// What a program prints on stdout when it succeeds within the time.
pub(crate) fn output_of(program: &Path, arguments: &[&str], patience: Duration) -> Option<String> {
    // A file, not a pipe: a grandchild that keeps a pipe open would hold us up.
    let mut output = tempfile::tempfile().ok()?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone().ok()?)
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let deadline = Instant::now() + patience;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
            Ok(None) | Err(_) => {
                // Already gone, or not ours to end: either way there is nothing to read.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    };
    let mut text = String::new();
    std::io::Seek::rewind(&mut output).ok()?;
    output.take(READ_LIMIT).read_to_string(&mut text).ok()?;
    status.success().then(|| text.trim().to_owned())
}

/// What a check says of a machine of which only these files are there: for tests.
#[cfg(test)]
pub(crate) fn check_on(
    files: &[(&str, &str)],
    check: impl FnOnce(&System) -> crate::cli::doctor::check::Check,
) -> crate::cli::doctor::check::Check {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    check(&System {
        root: folder.path().to_owned(),
        environment: &Environment::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> (Option<String>, Duration) {
        let start = Instant::now();
        (
            output_of(Path::new("/bin/sh"), &["-c", script], patience),
            start.elapsed(),
        )
    }

    #[test]
    fn a_program_is_heard_when_it_succeeds_in_time_and_given_up_when_not() {
        let long = Duration::from_secs(20);
        assert_eq!(
            shell("echo '  1.2 '; echo noise >&2", long).0.as_deref(),
            Some("1.2")
        );
        assert_eq!(shell("echo 1.2; exit 1", long).0, None);
        assert_eq!(output_of(Path::new("/nowhere"), &[], long), None);

        let (heard, time) = shell("echo 1.2; exec sleep 30", Duration::from_millis(100));
        assert_eq!(heard, None);
        assert!(time < long, "{time:?}");
    }

    #[test]
    fn a_grandchild_that_keeps_the_output_open_holds_nothing_up() {
        let (heard, time) = shell("sleep 5 & echo 1.2", Duration::from_secs(20));
        assert_eq!(heard.as_deref(), Some("1.2"));
        assert!(time < Duration::from_secs(4), "{time:?}");
    }
}
