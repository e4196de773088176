//! Real repositories made with the system's git, and what must hold for every snapshot of them.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::workspace::{Snapshot, SnapshotOptions, WorkspaceError};

/// A temporary folder with a user's repository in `repo` and an empty run in `run`.
pub(super) struct Fixture {
    pub(super) folder: TempDir,
    pub(super) repo: PathBuf,
    pub(super) run: PathBuf,
}

/// `git` as a user with neat settings runs it.
pub(super) fn git_command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "4")
        .envs([("GIT_CONFIG_KEY_0", "user.name"), ("GIT_CONFIG_VALUE_0", "User")])
        .envs([
            ("GIT_CONFIG_KEY_1", "user.email"),
            ("GIT_CONFIG_VALUE_1", "user@example.org"),
        ])
        .envs([
            ("GIT_CONFIG_KEY_2", "init.defaultBranch"),
            ("GIT_CONFIG_VALUE_2", "main"),
        ])
        .envs([
            ("GIT_CONFIG_KEY_3", "protocol.file.allow"),
            ("GIT_CONFIG_VALUE_3", "always"),
        ]);
    command
}

pub(super) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = git_command(folder, arguments).output().unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

pub(super) fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

impl Fixture {
    /// A repository without a commit.
    pub(super) fn empty() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let base = std::fs::canonicalize(folder.path()).unwrap();
        let (repo, run) = (base.join("repo"), base.join("run"));
        std::fs::create_dir(&repo).unwrap();
        std::fs::create_dir(&run).unwrap();
        git(&repo, &["init", "-q"]);
        Fixture { folder, repo, run }
    }

    /// Two commits on `main`, files in folders, an executable, links, odd names.
    pub(super) fn new() -> Fixture {
        let fixture = Fixture::empty();
        let repo = &fixture.repo;
        write(&repo.join("README"), "one\n");
        git(repo, &["add", "."]);
        git(repo, &["commit", "-qm", "first"]);
        write(&repo.join("src/lib.py"), "def f():\n    return 1\n");
        write(&repo.join("src-x"), "sorts between src and src/\n");
        write(&repo.join("run.sh"), "#!/bin/sh\n");
        std::fs::set_permissions(repo.join("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("src/lib.py", repo.join("link")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", repo.join("outside")).unwrap();
        write(&repo.join("odd/a b\n\"c\"\\d\u{e9}"), "odd\n");
        write(&repo.join("empty"), "");
        write(&repo.join("binary"), [0, 159, 146, 150, 13, 10]);
        git(repo, &["add", "."]);
        git(repo, &["commit", "-qm", "second"]);
        fixture
    }

    pub(super) fn git(&self, arguments: &[&str]) -> String {
        git(&self.repo, arguments)
    }

    pub(super) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        write(&self.repo.join(path), content);
    }

    pub(super) fn commit(&self, message: &str) {
        self.git(&["add", "."]);
        self.git(&["commit", "-qm", message]);
    }

    /// A snapshot whose `.git` works on the host, checked in every way that holds for all.
    pub(super) fn snapshot(&self, options: &SnapshotOptions) -> Snapshot {
        self.snapshot_of(&self.repo, options).unwrap()
    }

    pub(super) fn snapshot_of(
        &self,
        repo: &Path,
        options: &SnapshotOptions,
    ) -> Result<Snapshot, WorkspaceError> {
        let before = picture(self.folder.path(), &self.run);
        let made = Snapshot::create_with_store_at(repo, &self.run, options, &self.run.join("store"));
        assert_untouched(&before, &picture(self.folder.path(), &self.run));
        let snapshot = made?;
        check(&snapshot, &self.run);
        Ok(snapshot)
    }

    /// `git` on the snapshot, as an attempt would run it.
    pub(super) fn inside(&self, arguments: &[&str]) -> String {
        inside(&self.run, arguments)
    }
}

pub(super) fn inside_command(run: &Path, arguments: &[&str]) -> Command {
    let mut command = git_command(&run.join("tree"), arguments);
    command
        .env("GIT_DIR", run.join("gitdir"))
        .env("GIT_WORK_TREE", run.join("tree"))
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_CONFIG_COUNT", "0");
    command
}

pub(super) fn inside(run: &Path, arguments: &[&str]) -> String {
    let output = inside_command(run, arguments).output().unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// What holds for every snapshot.
fn check(snapshot: &Snapshot, run: &Path) {
    let base = snapshot.base_commit.to_string();
    assert_eq!(inside(run, &["rev-parse", "HEAD"]), base);
    assert_eq!(
        inside(run, &["status", "--porcelain", "--untracked-files=no"]),
        ""
    );
    assert_eq!(inside(run, &["diff", "HEAD", "--stat"]), "");
    for silent in [
        &["stash", "list"][..],
        &["reflog"],
        &["tag"],
        &["remote"],
        &["for-each-ref", "--no-contains", "HEAD"],
    ] {
        assert_eq!(inside(run, silent), "", "{silent:?}");
    }
    // All objects of the store are reachable from the base, and all that is reachable is there.
    let mut there: Vec<String> = inside(
        run,
        &["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"],
    )
    .lines()
    .map(str::to_owned)
    .collect();
    let listed = inside(run, &["rev-list", "--objects", "--no-object-names", "HEAD"]);
    let mut reachable: Vec<String> = listed.lines().map(str::to_owned).collect();
    there.sort();
    reachable.sort();
    reachable.dedup();
    assert_eq!(there, reachable);
    assert!(!run.join("tree/.git").exists());
    let reopened = Snapshot::open(run).unwrap();
    assert_eq!(
        (reopened.root, reopened.base_commit),
        (snapshot.root.clone(), snapshot.base_commit)
    );
    assert_eq!(
        (reopened.cost, reopened.notes),
        (snapshot.cost.clone(), snapshot.notes.clone())
    );
}

/// Nothing differs between two pictures; else says what does.
pub(super) fn assert_untouched(before: &Picture, after: &Picture) {
    let keys = before.keys().chain(after.keys());
    let changed: Vec<_> = keys
        .filter(|path| before.get(*path) != after.get(*path))
        .collect();
    assert!(changed.is_empty(), "the user's files changed: {changed:?}");
}

/// Mode, modification and change times, content.
pub(super) type Picture = BTreeMap<PathBuf, (u32, i64, i64, i64, i64, Vec<u8>)>;

/// Every file below a folder but for one: kind, mode, times, content. Reading times alone may differ.
pub(super) fn picture(folder: &Path, but: &Path) -> Picture {
    let mut seen = BTreeMap::new();
    let mut waiting = vec![std::fs::canonicalize(folder).unwrap()];
    while let Some(path) = waiting.pop() {
        if path == but {
            continue;
        }
        let stat = std::fs::symlink_metadata(&path).unwrap();
        let content = if stat.is_dir() {
            waiting.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            Vec::new()
        } else if stat.is_symlink() {
            std::fs::read_link(&path)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes()
        } else {
            std::fs::read(&path).unwrap()
        };
        let times = (stat.mtime(), stat.mtime_nsec(), stat.ctime(), stat.ctime_nsec());
        seen.insert(path, (stat.mode(), times.0, times.1, times.2, times.3, content));
    }
    seen
}
