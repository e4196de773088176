//! Repositories of a given size, the same on every run, and walls as `cwm sandbox` builds them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use cwm_tools::isolated::{Backend, Walls};
use cwm_tools::sandbox::machine::MachineView;
use cwm_tools::session::SessionOptions;
use cwm_tools::workspace::{Snapshot, SnapshotOptions};
use tempfile::TempDir;

/// A repository, a folder for runs, and a folder for git's worktrees, on one file system.
pub(crate) struct Fixture {
    // Removed with all in it when dropped.
    _folder: TempDir,
    pub(crate) repository: PathBuf,
}

/// How large a repository is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) files: usize,
    pub(crate) bytes: usize,
    pub(crate) commits: usize,
}

/// A handful of files.
pub(crate) const SMALL: Size = Size {
    files: 20,
    bytes: 60_000,
    commits: 3,
};
/// 5,000 files of 8 KB on average.
pub(crate) const MIDDLE: Size = Size {
    files: 5_000,
    bytes: 40 << 20,
    commits: 20,
};
/// 50,000 files of 2 KB on average.
pub(crate) const LARGE: Size = Size {
    files: 50_000,
    bytes: 100 << 20,
    commits: 2,
};

/// A small generator whose numbers are the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap_or(0) % bound.max(1)
    }
}

impl Fixture {
    /// Makes a repository in the folder for temporary files.
    pub(crate) fn new(size: Size) -> anyhow::Result<Fixture> {
        let folder = tempfile::Builder::new().prefix("cwm-bench-").tempdir()?;
        // The real path: what is mounted where must not go through links.
        let repository = fs::canonicalize(folder.path())?.join("repository");
        fs::create_dir(&repository)?;
        let fixture = Fixture {
            _folder: folder,
            repository,
        };
        fixture.fill(size)?;
        Ok(fixture)
    }

    fn fill(&self, size: Size) -> anyhow::Result<()> {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let mean = size.bytes / size.files;
        git(&self.repository, &["init", "-q", "-b", "main"])?;
        git(&self.repository, &["config", "gc.auto", "0"])?;
        for number in 0..size.files {
            let path = self.file(number);
            fs::create_dir_all(path.parent().context("a file has a folder")?)?;
            // Between a quarter and seven quarters of the mean.
            let length = mean / 4 + numbers.below(mean * 3 / 2);
            fs::write(path, text(&mut numbers, length))?;
        }
        git(&self.repository, &["add", "-A"])?;
        git(&self.repository, &["commit", "-qm", "commit 0"])?;
        for commit in 1..size.commits {
            for _ in 0..10 {
                let path = self.file(numbers.below(size.files));
                let mut content = fs::read(&path)?;
                content.extend(text(&mut numbers, 100));
                fs::write(&path, content)?;
            }
            git(&self.repository, &["commit", "-qam", &format!("commit {commit}")])?;
        }
        git(&self.repository, &["repack", "-qad"])?;
        // Entries as new as the index have to be compared by content; a repository that is in use has few of them.
        std::thread::sleep(Duration::from_millis(1100));
        git(&self.repository, &["update-index", "-q", "--really-refresh"])?;
        Ok(())
    }

    /// The path of a file by its number.
    pub(crate) fn file(&self, number: usize) -> PathBuf {
        self.repository.join(file_name(number))
    }

    /// A new folder beside the repository.
    pub(crate) fn beside(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.repository.with_file_name(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A snapshot in a new run's folder.
    pub(crate) fn snapshot(&self, run: &str) -> anyhow::Result<Snapshot> {
        let run = self.beside(run)?;
        Ok(Snapshot::create(
            &self.repository,
            &run,
            &SnapshotOptions::default(),
        )?)
    }
}

/// The name of a file by its number: 50 to a folder, as in source trees.
pub(crate) fn file_name(number: usize) -> String {
    format!("part{}/module{}/file{number}.py", number / 1000, number / 50)
}

fn text(numbers: &mut Numbers, length: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "def ", "return ", "self.", "value", "for ", "index", " in ", "range", "(", ")", " = ", "None",
        "class ", "import ", "result", "\n    ",
    ];
    let mut text = Vec::with_capacity(length + 24);
    while text.len() < length {
        let word = WORDS.get(numbers.below(WORDS.len())).copied().unwrap_or_default();
        text.extend_from_slice(word.as_bytes());
        if numbers.below(8) == 0 {
            text.extend_from_slice(format!("{:x}\n", numbers.next() & 0xffff_ffff).as_bytes());
        }
    }
    text.push(b'\n');
    text
}

/// The system's git, with settings that do not depend on who runs the benchmark.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=Bench",
            "-c",
            "user.email=bench@example.com",
            "-c",
            "advice.detachedHead=false",
        ])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!(
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}

/// The walls that `cwm sandbox` builds without options.
pub(crate) fn walls() -> Walls {
    Walls {
        backend: Backend::Namespaces,
        program: PathBuf::from(env!("CARGO_BIN_EXE_cwm")),
        policy: MachineView::look(std::env::vars_os()).policy(&std::collections::BTreeMap::new()),
        shown: Vec::new(),
    }
}

/// Options of a session that takes as long as a benchmark may.
pub(crate) fn options() -> SessionOptions {
    SessionOptions::default()
}
