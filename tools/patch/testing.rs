//! What the tests of this room share: system git as the judge, and trees laid out on disk.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::apply::FileState;
use super::manifest::{Checkout, FileMode, Manifest, ObjectId, Recorded};
use crate::bytes_path::{join, to_path};

/// A tree in memory.
pub(super) type Files = BTreeMap<Vec<u8>, FileState>;

/// Runs git without anyone's configuration; fails the test when git fails.
pub(super) fn git<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Vec<u8> {
    git_with(folder, arguments, &[], b"").unwrap_or_else(|error| panic!("{error}"))
}

/// The same with variables and an input; an error holds what git said.
pub(super) fn git_with<S: AsRef<OsStr>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = S>,
    variables: &[(&str, &Path)],
    input: &[u8],
) -> Result<Vec<u8>, String> {
    let mut child = Command::new("git")
        .args([
            "-c",
            "core.autocrlf=false",
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
        ])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("git must be installed");
    let mut pipe = child.stdin.take().expect("stdin is piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(pipe.write_all(&input)));
    let output = child.wait_with_output().expect("git runs");
    writer.join().expect("the writer ends");
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("git failed: {}", String::from_utf8_lossy(&output.stderr)))
}

/// One trimmed line of git's answer.
pub(super) fn git_line<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> String {
    String::from_utf8_lossy(&git(folder, arguments)).trim().to_owned()
}

/// Writes one file or symlink with its folders.
pub(super) fn write(root: &Path, path: &[u8], file: &FileState) {
    let at = join(root, path);
    fs::create_dir_all(at.parent().expect("a parent")).expect("folders");
    if file.mode == FileMode::Symlink {
        symlink(to_path(&file.content), &at).expect("symlink");
        return;
    }
    fs::write(&at, &file.content).expect("write");
    let mode = if file.mode == FileMode::Executable {
        0o755
    } else {
        0o644
    };
    fs::set_permissions(&at, fs::Permissions::from_mode(mode)).expect("mode");
}

/// Brings a folder that holds `from` to hold `to`, touching nothing else.
pub(super) fn change(root: &Path, from: &Files, to: &Files) {
    for path in from
        .iter()
        .filter(|(path, file)| to.get(*path) != Some(file))
        .map(|(path, _)| path)
    {
        let at = join(root, path);
        fs::remove_file(&at).expect("remove");
        let mut folder = at.parent();
        while let Some(at) = folder.filter(|at| *at != root && fs::remove_dir(at).is_ok()) {
            folder = at.parent();
        }
    }
    for (path, file) in to.iter().filter(|(path, file)| from.get(*path) != Some(file)) {
        write(root, path, file);
    }
}

/// A git repository with one commit of the given files.
pub(super) fn repository(root: &Path, files: &Files) {
    fs::create_dir_all(root).expect("folder");
    git(root, ["init", "-q", "--template="]);
    change(root, &Files::new(), files);
    git(root, ["add", "-A", "-f"]);
    git(root, ["commit", "-q", "--allow-empty", "-m", "base"]);
}

/// The manifest of a repository's HEAD, without any `stat`.
pub(super) fn manifest(repository: &Path) -> Manifest {
    let mut manifest = Manifest::default();
    let listing = git(repository, ["ls-tree", "-r", "-z", "HEAD"]);
    for line in listing.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let tab = line.iter().position(|byte| *byte == b'\t').expect("a tab");
        let words = String::from_utf8_lossy(&line[..tab]).into_owned();
        let mut words = words.split(' ');
        let bits = u32::from_str_radix(words.next().expect("a mode"), 8).expect("octal");
        let oid = git2::Oid::from_str(words.nth(1).expect("an id")).expect("hexadecimal");
        let recorded = Recorded {
            mode: FileMode::from_bits(bits).expect("a known mode"),
            id: ObjectId::from(oid),
            checkout: Checkout::Exact,
            stat: None,
        };
        manifest.entries.insert(line[tab + 1..].to_vec(), recorded);
    }
    manifest
}

/// The tree id that git gives to what lies in `worktree`, everything included.
pub(super) fn tree_of(repository: &Path, worktree: &Path, scratch: &Path) -> String {
    let index: PathBuf = scratch.join("truth-index");
    let _none_yet = fs::remove_file(&index);
    let variables = [("GIT_INDEX_FILE", index.as_path()), ("GIT_WORK_TREE", worktree)];
    let git_dir = repository.join(".git");
    let run = |arguments: &[&str]| {
        let git_dir = format!("--git-dir={}", git_dir.display());
        let all = std::iter::once(git_dir.as_str()).chain(arguments.iter().copied());
        git_with(worktree, all, &variables, b"").unwrap_or_else(|error| panic!("{error}"))
    };
    run(&["add", "-A", "-f"]);
    String::from_utf8_lossy(&run(&["write-tree"])).trim().to_owned()
}

/// Everything in a folder but `.git`, as files.
pub(super) fn read_tree(root: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![Vec::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(join(root, &folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = std::os::unix::ffi::OsStringExt::into_vec(entry.file_name());
            if name == b".git" {
                continue;
            }
            let path = if folder.is_empty() {
                name
            } else {
                [folder.as_slice(), b"/", &name].concat()
            };
            let kind = entry.file_type().expect("a type");
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path()).expect("a target");
                let content = std::os::unix::ffi::OsStringExt::into_vec(target.into_os_string());
                files.insert(
                    path,
                    FileState {
                        mode: FileMode::Symlink,
                        content,
                    },
                );
            } else {
                let run = entry.metadata().expect("metadata").permissions().mode() & 0o100 != 0;
                let mode = if run {
                    FileMode::Executable
                } else {
                    FileMode::Regular
                };
                files.insert(
                    path,
                    FileState {
                        mode,
                        content: fs::read(entry.path()).expect("content"),
                    },
                );
            }
        }
    }
    files
}

/// Numbers that look random and are the same every time (xorshift).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % limit.max(1) as u64) as usize
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
