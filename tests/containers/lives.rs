//! That containers end: with their sandbox, with the process that made them, and at the next start.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use cwm_tools::sandbox::container::clean_up;

use super::{FULL, STATIC, engine, eventually, output, podman, session, user_environment};

const HOLD: &str = "CWM_TEST_HOLD_A_CONTAINER";

fn containers_of(process: u32) -> String {
    podman(&["ps", "-aq", "--filter", &format!("label=cwm.pid={process}")])
}

fn control_folders_of(process: u32) -> usize {
    let prefix = format!("cwm-control-{process}-");
    std::fs::read_dir(std::env::temp_dir())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .count()
}

/// The processes of this machine that have `word` in their command line.
fn processes_with(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(word))
        .count()
}

/// Another process of this test program that holds a container and waits.
fn holder() -> std::process::Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "containers::lives::a_killed_host_leaves_nothing",
            "--ignored",
            "--nocapture",
        ])
        .env(HOLD, "1")
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().contains("holding")),
        "the child holds no container"
    );
    // The rest of its output is nobody's.
    child
}

/// In that other process.
fn hold() {
    let mut session = session(FULL);
    output(&mut session, "setsid sleep 98765 & sleep 0.2");
    println!("holding");
    session.run("setsid sleep 98764 & exec sleep 98765").unwrap();
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn a_killed_host_leaves_nothing() {
    if std::env::var_os(HOLD).is_some() {
        hold();
        return;
    }
    let mut child = holder();
    let id = child.id();
    assert_eq!(containers_of(id).lines().count(), 1);
    assert_eq!(control_folders_of(id), 1);
    eventually("the container's programs run", || processes_with("98764") > 0);
    child.kill().unwrap();
    child.wait().unwrap();
    let start = Instant::now();
    eventually("the container's processes are gone", || {
        processes_with("98765") + processes_with("98764") == 0
    });
    eventually("the container is gone", || containers_of(id).is_empty());
    println!("gone {:?} after the kill", start.elapsed());
    // The folder is the one thing that stays, until the next start.
    drop(session(STATIC));
    assert_eq!(control_folders_of(id), 0);
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn a_dropped_sandbox_leaves_nothing() {
    let mut session = session(FULL);
    let own = std::process::id();
    output(&mut session, "setsid sleep 87654 & sleep 0.2");
    let name = podman(&["ps", "-aq", "--filter", "label=cwm.pid"]);
    assert!(!name.is_empty());
    assert!(processes_with("87654") > 0);
    let container = containers_of(own);
    let mine: Vec<&str> = container.lines().collect();
    let start = Instant::now();
    drop(session);
    println!("dropped in {:?}", start.elapsed());
    assert_eq!(processes_with("87654"), 0);
    // Other tests of this process may have containers now, but one of those listed is gone.
    let left = containers_of(own);
    assert!(mine.iter().any(|id| !left.contains(id)), "{mine:?} {left}");
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn left_over_containers_of_dead_processes_are_removed_and_no_others() {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let namespace = namespace.to_str().unwrap();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let started = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .nth(19)
        .unwrap()
        .to_owned();
    let run = |process: u32, start: &str, boot: &str, namespace: &str| {
        let labels = [
            format!("cwm.pid={process}"),
            format!("cwm.start={start}"),
            format!("cwm.boot={boot}"),
            format!("cwm.pid-namespace={namespace}"),
        ];
        let mut arguments = vec!["run", "-d", "--network", "none"];
        arguments.extend(labels.iter().flat_map(|label| ["--label", label.as_str()]));
        arguments.extend([STATIC, "sleep", "1000"]);
        podman(&arguments)
    };
    let own = std::process::id();
    let (boot, elsewhere) = (boot.trim(), "pid:[1]");
    let dead = [
        run(own, "1", boot, namespace),
        run(4_194_000, &started, boot, namespace),
        run(own, &started, "another boot", elsewhere),
    ];
    let alive = [
        run(own, &started, boot, namespace),
        run(4_194_000, "1", boot, elsewhere),
    ];
    clean_up(Some(&engine().into()), &user_environment()).unwrap();
    let left = podman(&["ps", "-aq", "--no-trunc"]);
    for id in &dead {
        assert!(!left.contains(id.as_str()), "{id} is still there");
    }
    for id in &alive {
        assert!(left.contains(id.as_str()), "{id} was removed");
        podman(&["rm", "-f", "-t", "0", id]);
    }
}
