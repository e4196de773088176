//! The container back end, with a real engine and images made from this machine's files. `scripts/test-full` sets both up by
//! `scripts/container-fixture` and names the engine's socket in `CWM_TEST_CONTAINERS`; without it these tests fail.

mod command;
mod lives;
mod refusals;
mod session;
mod walls;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use cwm_tools::sandbox::container::ContainerOptions;
use cwm_tools::sandbox::machine::MachineView;
use cwm_tools::sandbox::policy::Policy;
use cwm_tools::sandbox::{Sandbox, SandboxError};
use cwm_tools::session::{CommandResult, Session, SessionOptions};

/// Bash, git and python3 with their libraries, and a repository in `/repo`.
const FULL: &str = "localhost/cwm-test/full:1";
/// Bash, and no C library.
const STATIC: &str = "localhost/cwm-test/static:1";
/// Neither.
const BARE: &str = "localhost/cwm-test/bare:1";

/// The program that is carried in; `CWM_TEST_PROGRAM` may name another build of it, such as that of `scripts/build-static`.
fn cwm() -> PathBuf {
    std::env::var_os("CWM_TEST_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_cwm").into(), PathBuf::from)
}

fn engine() -> PathBuf {
    let socket = std::env::var_os("CWM_TEST_CONTAINERS");
    PathBuf::from(
        socket.expect("this test needs a container engine: run scripts/test-full, which sets one up"),
    )
}

fn options(image: &str) -> ContainerOptions {
    ContainerOptions {
        image: image.to_owned(),
        engine: Some(engine().into()),
        repository: None,
    }
}

fn user_environment() -> BTreeMap<OsString, OsString> {
    std::env::vars_os().collect()
}

fn policy() -> Policy {
    MachineView::look(std::env::vars_os()).policy(&BTreeMap::new())
}

fn start(policy: Policy, options: &ContainerOptions) -> Result<Sandbox, SandboxError> {
    Sandbox::start_in_container(&cwm(), policy, options, &user_environment())
}

fn session_with(policy: Policy, options: &ContainerOptions, seconds: u64) -> Session {
    let sandbox = start(policy, options).unwrap();
    Session::new(
        sandbox,
        SessionOptions {
            command_timeout: Duration::from_secs(seconds),
            ..SessionOptions::default()
        },
    )
}

fn session(image: &str) -> Session {
    session_with(policy(), &options(image), 60)
}

/// A session in an image's own repository.
fn repository_session() -> Session {
    let options = ContainerOptions {
        repository: Some("/repo".into()),
        ..options(FULL)
    };
    session_with(policy(), &options, 60)
}

fn text(result: &CommandResult) -> String {
    let mut bytes = result.output.head.clone();
    bytes.extend(&result.output.tail);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a command prints; it has to end by itself.
fn output(session: &mut Session, command: &str) -> String {
    let result = session.run(command).unwrap();
    assert!(result.exit_code().is_some(), "{command}: {:?}", result.ending);
    text(&result)
}

/// Asks the engine with its own command line.
fn podman(arguments: &[&str]) -> String {
    let output = Command::new("podman")
        .args(["--remote", "--url"])
        .arg(format!("unix://{}", engine().display()))
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "podman {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Waits for something that takes a moment.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(std::time::Instant::now() < end, "not within 20 seconds: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
