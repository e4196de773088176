//! A user's repository made with the system's git, with `cwm sandbox` run on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::cli::context::{TestContext, binary};

/// A repository in a folder of its own, beside the home of the runs.
pub(crate) struct Repository {
    pub(crate) context: TestContext,
    pub(crate) root: PathBuf,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Done {
    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The same, of a command that must have gone well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.text(), self.stderr);
        self.text()
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status;
        Done {
            code: status
                .code()
                .or(status.signal().map(|signal| 128 + signal))
                .unwrap(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What a change of a file would show in.
pub(crate) type Picture = BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)>;

impl Repository {
    /// A repository made by a shell script in its root, everything committed.
    pub(crate) fn new(script: &str) -> Repository {
        let context = TestContext::new()
            .with("GIT_CONFIG_NOSYSTEM", "1")
            .with("GIT_CONFIG_COUNT", "3")
            .with("GIT_CONFIG_KEY_0", "user.name")
            .with("GIT_CONFIG_VALUE_0", "Tester")
            .with("GIT_CONFIG_KEY_1", "user.email")
            .with("GIT_CONFIG_VALUE_1", "tester@example.com")
            .with("GIT_CONFIG_KEY_2", "protocol.file.allow")
            .with("GIT_CONFIG_VALUE_2", "always");
        // The real path: the sandbox shows the copy there.
        let root = fs::canonicalize(context.folder()).unwrap().join("repository");
        fs::create_dir(&root).unwrap();
        let repository = Repository { context, root };
        repository.shell("git init -q -b main").ok();
        repository.shell(script).ok();
        repository.shell("git add -A && git commit -qm base").ok();
        repository
    }

    /// Runs a script of the user's in the repository.
    pub(crate) fn shell(&self, script: &str) -> Done {
        self.shell_in(&self.root, script)
    }

    /// Runs a script of the user's in another folder.
    pub(crate) fn shell_in(&self, folder: &Path, script: &str) -> Done {
        let mut command = self.context.command("bash");
        command
            .args(["-euc", script])
            .current_dir(folder)
            .env("CWM", binary());
        command.output().unwrap().into()
    }

    /// `cwm sandbox OPTIONS -- bash -euc SCRIPT` in the repository.
    pub(crate) fn sandbox(&self, options: &[&str], script: &str) -> Done {
        self.sandbox_in(&self.root, options, script)
    }

    /// The same, called from another folder.
    pub(crate) fn sandbox_in(&self, folder: &Path, options: &[&str], script: &str) -> Done {
        let mut command = self.context.command(binary());
        command.arg("sandbox").args(options);
        command.args(["--", "bash", "-euc", script]).current_dir(folder);
        command.output().unwrap().into()
    }

    /// What a script changes in a copy, as `--diff` has it.
    #[track_caller]
    pub(crate) fn diff(&self, options: &[&str], script: &str) -> Vec<u8> {
        let options: Vec<&str> = options.iter().copied().chain(["--diff"]).collect();
        let done = self.sandbox(&options, script);
        assert_eq!(done.code, 0, "{}\n{}", done.text(), done.stderr);
        done.stdout
    }

    /// A fresh clone of the last commit, in a folder beside the repository.
    pub(crate) fn clone_at(&self, name: &str) -> PathBuf {
        let path = self.root.with_file_name(name);
        self.shell(&format!(
            "rm -rf '{0}' && git clone -q --no-hardlinks . '{0}'",
            path.display()
        ))
        .ok();
        path
    }

    /// The tree that a patch makes of the last commit, in git's own hands.
    #[track_caller]
    pub(crate) fn tree_after(&self, patch: &[u8]) -> String {
        let clone = self.clone_at("applied");
        let file = self.root.with_file_name("patch.diff");
        fs::write(&file, patch).unwrap();
        if !patch.is_empty() {
            let done = self.shell_in(&clone, "git apply --index ../patch.diff");
            assert_eq!(
                done.code,
                0,
                "{}\n{}",
                done.stderr,
                String::from_utf8_lossy(&patch[..patch.len().min(5000)])
            );
        }
        self.shell_in(&clone, "git write-tree").ok()
    }

    /// Nothing of the repository differs from the picture taken before.
    #[track_caller]
    pub(crate) fn assert_untouched(&self, before: &Picture, of: &str) {
        assert_same(&self.picture(), before, of);
    }

    /// Every file, `.git` included.
    pub(crate) fn picture(&self) -> Picture {
        picture(&self.root)
    }
}

/// Nothing of the two pictures differs. Names what does, not whole pictures.
#[track_caller]
pub(crate) fn assert_same(found: &Picture, before: &Picture, of: &str) {
    let paths: BTreeSet<&PathBuf> = found.keys().chain(before.keys()).collect();
    let other: Vec<_> = paths
        .into_iter()
        .filter(|&path| found.get(path) != before.get(path))
        .collect();
    assert!(other.is_empty(), "{of}: these are not as they were: {other:?}");
}

/// Every file of a folder, with what a change of it would show in.
pub(crate) fn picture(folder: &Path) -> Picture {
    let mut found = Picture::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let content = match metadata.file_type() {
                kind if kind.is_file() => fs::read(&path).unwrap(),
                kind if kind.is_symlink() => fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes(),
                kind if kind.is_fifo() || kind.is_socket() || kind.is_dir() => Vec::new(),
                kind => panic!("{}: {kind:?}", path.display()),
            };
            found.insert(
                path.clone(),
                (metadata.mode(), metadata.ctime(), metadata.ctime_nsec(), content),
            );
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}
