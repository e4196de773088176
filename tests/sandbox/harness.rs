//! Runs each test twice where it can: as the superuser, and as an ordinary user with a home of its own.
//!
//! What enters is a closure that gets a [`World`]: a folder with a home full of secrets, a repository, and
//! the layers of a copy of it. When the tests run as the superuser, the test's own binary is started again as an ordinary user
//! for the second half. When they run as an ordinary user there is no first half, and that is written to standard error.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use cwm_tools::sandbox::machine::MachineView;
use cwm_tools::sandbox::policy::{Mount, Policy, UpperLayer};
use cwm_tools::sandbox::{Ending, Sandbox};
use cwm_tools::session::{CommandResult, Session, SessionOptions};
use tempfile::TempDir;

/// Says to a started-again test binary that it is the ordinary user's half, and where its tools are.
const AGAIN: &str = "CWM_TEST_ORDINARY_USER";
/// The user and group `nobody` everywhere.
const ORDINARY: u32 = 65534;
/// Where the attacks in C are seen inside.
pub(super) const ATTACK: &str = "/run/attack";

pub(super) fn is_superuser() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs `test` as whoever this is, and as an ordinary user too where this is the superuser.
pub(super) fn both<F: Fn(&World)>(test: F) {
    let name = std::any::type_name::<F>();
    let name = name.strip_suffix("::{{closure}}").unwrap_or(name);
    let (_, name) = name
        .split_once("::")
        .expect("a test's path begins with its crate");
    test(&World::new());
    if is_superuser() {
        run_again_as_ordinary_user(name);
    } else if std::env::var_os(AGAIN).is_none() {
        // Not `eprintln!`, which the test runner keeps to itself when the test passes.
        let _ = writeln!(
            std::io::stderr(),
            "note: {name} ran as an ordinary user only; its superuser's half was not tested"
        );
    }
}

fn run_again_as_ordinary_user(name: &str) {
    // Not below TMPDIR, which the ordinary user may not be able to reach.
    let place = tempfile::Builder::new()
        .prefix("cwm-ordinary-")
        .tempdir_in("/tmp")
        .unwrap();
    allow_all(place.path());
    let own = place.path().join("own");
    fs::create_dir(&own).unwrap();
    std::os::unix::fs::chown(&own, Some(ORDINARY), Some(ORDINARY)).unwrap();
    for (file, source) in [
        ("test", std::env::current_exe().unwrap()),
        ("cwm", program()),
        ("attack", attack_program()),
    ] {
        let to = place.path().join(file);
        if fs::hard_link(&source, &to).is_err() {
            fs::copy(&source, &to).unwrap();
        }
        allow_all(&to);
    }
    let output = Command::new(place.path().join("test"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(AGAIN, place.path())
        .env("HOME", &own)
        .env("TMPDIR", &own)
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .current_dir(&own)
        .uid(ORDINARY)
        .gid(ORDINARY)
        .output()
        .expect("start the tests as an ordinary user");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{name} as an ordinary user: {}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

fn allow_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn given_tools() -> Option<PathBuf> {
    std::env::var_os(AGAIN).map(PathBuf::from)
}

/// The `cwm` binary.
pub(super) fn program() -> PathBuf {
    given_tools().map_or_else(|| env!("CARGO_BIN_EXE_cwm").into(), |tools| tools.join("cwm"))
}

/// The attacks in C, compiled once a process.
pub(super) fn attack_program() -> PathBuf {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    if let Some(tools) = given_tools() {
        return tools.join("attack");
    }
    COMPILED
        .get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
            let built = folder.join(format!("attack-{}", std::process::id()));
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox/attack.c");
            let status = Command::new("cc")
                .args(["-O1", "-o"])
                .args([&built, &source])
                .status()
                .expect("the attacks need a C compiler called `cc`");
            assert!(status.success(), "cc could not compile {}", source.display());
            let program = folder.join("attack");
            fs::rename(built, &program).unwrap();
            program
        })
        .clone()
}

/// A made-up user's machine, as far as it is made up: the rest is the real one.
pub(super) struct World {
    pub(super) base: TempDir,
    before: BTreeMap<PathBuf, String>,
}

/// Files with a secret each, below the home folder.
pub(super) const SECRETS: &[&str] = &[
    ".ssh/id_ed25519",
    ".aws/credentials",
    ".netrc",
    ".config/gh/hosts.yml",
    ".docker/config.json",
    ".gnupg/private-keys-v1.d/key",
    ".cargo/credentials.toml",
    ".bash_history",
    "documents/private.txt",
];
/// What each of them holds.
pub(super) const SECRET: &str = "the-word-nobody-may-see";

impl World {
    fn new() -> World {
        let base = tempfile::Builder::new().prefix("cwm-world-").tempdir().unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let at = |path: &str| base.path().join(path);
        for secret in SECRETS {
            let path = at("home").join(secret);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, SECRET).unwrap();
        }
        for folder in [
            "home/.cargo/bin",
            "sibling",
            "layers/upper",
            "layers/work",
            "snapshot/src",
        ] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("sibling/canary"), SECRET).unwrap();
        fs::write(at("snapshot/src/main.txt"), "one\ntwo\nthree\n").unwrap();
        fs::create_dir(at("project")).unwrap();
        fs::write(at("project/user.txt"), "the user's own\n").unwrap();
        let mut world = World {
            base,
            before: BTreeMap::new(),
        };
        world.remember();
        world
    }

    /// Takes what is there now for what must be there in the end.
    pub(super) fn remember(&mut self) {
        self.before = self.everything();
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.base.path().join(below)
    }

    /// The repository's path, outside and inside.
    pub(super) fn project(&self) -> PathBuf {
        self.path("project")
    }

    /// What `cwm` would allow here, with a copy of the repository at its own path.
    pub(super) fn policy(&self) -> Policy {
        self.policy_with([])
    }

    /// The same for a user with more environment.
    pub(super) fn policy_with<const N: usize>(&self, more: [(&str, &str); N]) -> Policy {
        let mut environment: BTreeMap<OsString, OsString> = more
            .iter()
            .map(|&(name, value)| (name.into(), value.into()))
            .collect();
        environment.insert("HOME".into(), self.path("home").into());
        environment.insert(
            "PATH".into(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
        );
        let mut policy = MachineView::look(environment).policy(&BTreeMap::new());
        policy.mounts.push(Mount::Overlay {
            lower: self.path("snapshot"),
            upper: Some(UpperLayer {
                upper: self.path("layers/upper"),
                work: self.path("layers/work"),
            }),
            target: self.project(),
        });
        policy.mounts.push(Mount::ReadOnly {
            source: attack_program(),
            target: ATTACK.into(),
        });
        policy.working_directory = self.project();
        policy
    }

    /// A session under the usual policy.
    pub(super) fn inside(&self) -> Inside {
        Inside::start(self.policy())
    }

    /// Every file outside of the copy's own layers: kind, mode, owner, time of change and contents.
    fn everything(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.base.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap();
                let metadata = entry.metadata().unwrap();
                if entry.path() == self.path("layers") {
                    continue;
                }
                let contents = if metadata.is_dir() {
                    folders.push(entry.path());
                    Vec::new()
                } else if metadata.is_file() {
                    fs::read(entry.path()).unwrap()
                } else {
                    format!("{:?}", fs::read_link(entry.path())).into_bytes()
                };
                let (mode, owner, changed) = (metadata.mode(), metadata.uid(), metadata.mtime_nsec());
                let state = format!(
                    "{mode:o} {owner} {changed} {:?}",
                    String::from_utf8_lossy(&contents)
                );
                found.insert(entry.path(), state);
            }
        }
        found
    }

    /// Nothing that is the user's has changed.
    pub(super) fn assert_untouched(&self) {
        assert_eq!(
            self.everything(),
            self.before,
            "the sandbox reached the user's files"
        );
    }

    /// Runs the attacks in C outside, to show that they work where nothing stops them.
    pub(super) fn attack_outside(&self, words: &[&str]) -> BTreeMap<String, String> {
        let output = Command::new(attack_program()).args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        answers(&String::from_utf8_lossy(&output.stdout))
    }
}

/// A sandbox with a shell in it.
pub(super) struct Inside {
    pub(super) session: Session,
}

impl Inside {
    pub(super) fn start(policy: Policy) -> Inside {
        Inside::start_with(policy, Duration::from_secs(30))
    }

    pub(super) fn start_with(policy: Policy, command_timeout: Duration) -> Inside {
        let sandbox = Sandbox::start(&program(), policy).expect("this machine must let sandboxes be made");
        let options = SessionOptions {
            command_timeout,
            ..SessionOptions::default()
        };
        Inside {
            session: Session::new(sandbox, options),
        }
    }

    pub(super) fn run(&mut self, command: &str) -> CommandResult {
        self.session.run(command).expect("the sandbox stands")
    }

    /// The output of a command that must come to its own end.
    pub(super) fn sh(&mut self, command: &str) -> String {
        let result = self.run(command);
        let text = shown(&result);
        assert!(
            matches!(result.ending, Ending::Exited(_)),
            "{:?}: {command}\n{text}",
            result.ending
        );
        text
    }

    /// The output of a command that must succeed.
    pub(super) fn ok(&mut self, command: &str) -> String {
        let result = self.run(command);
        let text = shown(&result);
        assert_eq!(result.ending, Ending::Exited(0), "{command}\n{text}");
        text
    }

    /// Runs one of the attacks in C.
    pub(super) fn attack(&mut self, words: &str) -> BTreeMap<String, String> {
        answers(&self.ok(&format!("{ATTACK} {words}")))
    }
}

/// A command's output as text.
pub(super) fn shown(result: &CommandResult) -> String {
    let mut bytes = result.output.head.clone();
    bytes.extend(&result.output.tail);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn answers(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, answer)| (name.to_owned(), answer.to_owned()))
        .collect()
}

/// Each attack was made, and none of them went through.
pub(super) fn assert_all_denied(answers: &BTreeMap<String, String>, at_least: usize) {
    assert!(answers.len() >= at_least, "only these attacks ran: {answers:?}");
    let through: Vec<_> = answers
        .iter()
        .filter(|(_, answer)| *answer == "OK" || *answer == "NOFORK" || answer.starts_with("SIGNAL"))
        .collect();
    assert!(through.is_empty(), "these attacks went through: {through:?}");
}

/// Runs a program outside; it must be there and succeed.
pub(super) fn outside(program: &str, arguments: &[&str], folder: &Path) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed by this test: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    output
}
