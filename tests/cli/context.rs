//! A place to run the binary in: a folder of its own, a fixed environment, and outputs with what differs
//! from machine to machine put under fixed names.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Set to 1 to write the snapshots anew instead of comparing with them.
const UPDATE: &str = "CWM_UPDATE_SNAPSHOTS";

/// A folder with a home in it, and the environment of the runs.
pub(crate) struct TestContext {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The exit code; a signal gives 128 and its number, as in a shell.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestContext {
    pub(crate) fn new() -> TestContext {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        // The caller's search path: shells, git and python lie where they do.
        let path = std::env::var("PATH").unwrap();
        let home = folder.path().join("home").to_str().unwrap().to_owned();
        let environment = [("PATH", path), ("HOME", home), ("LC_ALL", "C.UTF-8".into())];
        let environment = environment
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        TestContext { folder, environment }
    }

    /// The folder that runs start in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sets a variable for the runs to come.
    pub(crate) fn with(mut self, name: &str, value: &str) -> TestContext {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a variable away from the runs to come.
    pub(crate) fn without(mut self, name: &str) -> TestContext {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// A command in this context, for what `run` does not cover.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `cwm` with arguments.
    pub(crate) fn run<Word: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = Word>) -> Outcome {
        self.finish(self.command(binary()).args(arguments))
    }

    /// Runs a shell script in which `$CWM` is the binary.
    pub(crate) fn shell(&self, script: &str) -> Outcome {
        self.finish(self.command("bash").args(["-c", script]).env("CWM", binary()))
    }

    fn finish(&self, command: &mut Command) -> Outcome {
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        self.outcome(&output)
    }

    fn outcome(&self, output: &std::process::Output) -> Outcome {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status;
        Outcome {
            code: status
                .code()
                .or(status.signal().map(|signal| 128 + signal))
                .unwrap(),
            stdout: self.filter(&output.stdout),
            stderr: self.filter(&output.stderr),
        }
    }

    /// Names that are the same on every machine instead of this run's folder and this build's version.
    fn filter(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        text.replace(self.folder().to_str().unwrap(), "[FOLDER]")
            .replace(concat!("cwm ", env!("CARGO_PKG_VERSION")), "cwm [VERSION]")
    }
}

/// The binary under test.
pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_cwm")
}

impl Outcome {
    /// Compares exit code and streams with the snapshot of that name.
    #[track_caller]
    pub(crate) fn assert_snapshot(&self, name: &str) {
        let Outcome { code, stdout, stderr } = self;
        let found = format!("exit code: {code}\n--- stdout\n{stdout}--- stderr\n{stderr}");
        let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/cli/snapshots", name]
            .iter()
            .collect();
        if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; {UPDATE}=1 writes it", path.display()));
        assert!(
            found == expected,
            "{} differs; {UPDATE}=1 writes it anew.\n=== found\n{found}\n=== expected\n{expected}",
            path.display()
        );
    }

    /// The JSON events on stdout.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        self.stdout.lines().map(parse).collect()
    }
}
