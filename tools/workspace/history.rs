//! What earlier commits changed together, and what they say of it.

use std::io::Read;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use super::error::WorkspaceError;
use super::{git_command, source};

/// Output beyond this is not read.
const MOST_BYTES: u64 = 32 << 20;

/// A commit of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCommit {
    /// What its author says of it.
    pub message: String,
    /// The paths that it changed, as far as they are UTF-8.
    pub paths: Vec<String>,
}

/// A repository, for reading its history.
pub struct History {
    repository: source::UserRepository,
}

impl History {
    /// The history of the repository that a path lies in.
    ///
    /// # Errors
    ///
    /// When there is no repository, or no commit.
    pub fn open(path: &Path) -> Result<History, WorkspaceError> {
        let repository = source::UserRepository::open_for_commits(path)?;
        Ok(History { repository })
    }

    /// The commit that `HEAD` is.
    #[must_use]
    pub fn head(&self) -> String {
        self.repository.head_commit.to_string()
    }

    /// The newest commits up to `HEAD`, merges left out, newest first; none when git takes longer than `timeout`, so that what is found
    /// never depends on how busy the machine is.
    #[must_use]
    pub fn newest(&self, most: usize, timeout: Duration) -> Option<Vec<PastCommit>> {
        let mut command = git_command::reading(&self.repository.gitdir);
        command
            .args(["log", "-z", "--no-merges", "--no-renames", "--name-only"])
            .args(["--no-ext-diff", "--no-textconv", "--no-show-signature"])
            .arg(format!("-n{most}"))
            .arg("--format=%x00%ct%n%B")
            .arg(self.head())
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().ok()?;
        let mut stdout = child.stdout.take()?;
        let (sender, receiver) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.by_ref().take(MOST_BYTES).read_to_end(&mut bytes);
            // Nobody listens any more when it took too long.
            let _ = sender.send(read.map(|_| bytes));
        });
        let output = receiver.recv_timeout(timeout);
        let _ = child.kill();
        let _ = child.wait();
        let _ = reader.join();
        Some(parse(&output.ok()?.ok()?))
    }
}

/// `NUL time NL message NUL NL path NUL path NUL` for each commit, as git writes it.
fn parse(output: &[u8]) -> Vec<PastCommit> {
    let mut commits: Vec<PastCommit> = Vec::new();
    let mut begins = false;
    for field in output.split(|&byte| byte == 0) {
        if field.is_empty() {
            begins = true;
        } else if begins {
            begins = false;
            let text = String::from_utf8_lossy(field);
            let (_, message) = text.split_once('\n').unwrap_or_default();
            commits.push(PastCommit {
                message: message.trim().to_owned(),
                paths: Vec::new(),
            });
        } else if let (Some(commit), Ok(path)) = (commits.last_mut(), std::str::from_utf8(field)) {
            commit.paths.push(path.trim_start_matches('\n').to_owned());
        }
    }
    commits
}
