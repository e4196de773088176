//! Playing a driver, and launches for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use cwm_kernels::cuda::{Artefact, DevicePointer, Gpu, Kernel, RecordedLaunch};

/// Says in which test a program is that plays.
const PLAYING: &str = "FAKE_TEST";
/// The kernel of most tests: puts a byte at the end of a list.
pub(super) const PUSH: Kernel = Kernel {
    artefact: Artefact::Elementwise,
    name: "push",
};
/// The same under another name, in another artefact.
pub(super) const PUSH_TOO: Kernel = Kernel {
    artefact: Artefact::Norm,
    name: "push_too",
};

/// Variables of the environment.
pub(super) type Settings<'a> = &'a [(&'a str, &'a str)];

/// Plays a test: `body` runs in a program of its own that finds the driver. Returns what the driver has logged; `None` in that program.
/// `test` is the test's name, with its module.
#[track_caller]
pub(super) fn play(test: &str, settings: Settings, body: impl FnOnce()) -> Option<Vec<String>> {
    play_with(test, &[], settings, body)
}

/// The same with a driver that is compiled with those flags.
#[track_caller]
pub(super) fn play_with(
    test: &str,
    flags: &[&str],
    settings: Settings,
    body: impl FnOnce(),
) -> Option<Vec<String>> {
    if std::env::var(PLAYING).is_ok_and(|name| name == test) {
        body();
        return None;
    }
    let folder = folder(test);
    compile(&folder, flags);
    let log = folder.join("log");
    std::fs::write(&log, "").unwrap();
    let outcome = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(PLAYING, test)
        .env("LD_LIBRARY_PATH", &folder)
        .env("FAKE_LOG", &log)
        .env("FAKE_KERNELS", "push=32,push_too=32")
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(
        outcome.status.success() && said.contains("1 passed"),
        "{settings:?}: {said}{}",
        String::from_utf8_lossy(&outcome.stderr)
    );
    let log = std::fs::read_to_string(&log).unwrap();
    let faults: Vec<&str> = log.lines().filter(|line| line.starts_with("fault")).collect();
    assert!(faults.is_empty(), "{settings:?}: {faults:?}");
    Some(log.lines().map(str::to_owned).collect())
}

fn folder(test: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("fake-driver")
        .join(test.replace("::", "-"))
}

/// Once for each folder and flags.
fn compile(folder: &Path, flags: &[&str]) {
    static COMPILED: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    let before = COMPILED
        .lock()
        .unwrap()
        .insert(folder.to_owned(), flags.join(" "));
    if before == Some(flags.join(" ")) {
        return;
    }
    std::fs::create_dir_all(folder).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda/driver/fake/driver.c");
    let built = Command::new("cc")
        .args(["-Wall", "-shared", "-fPIC", "-o"])
        .arg(folder.join("libcuda.so"))
        .args(flags)
        .arg(source)
        .status();
    assert!(built.unwrap().success());
}

/// The device of the driver that is played.
pub(super) fn gpu() -> Gpu {
    Gpu::open(0).unwrap()
}

/// A launch that puts a byte at the end of the list at an address.
pub(super) fn push(kernel: Kernel, list: DevicePointer, value: u8) -> RecordedLaunch {
    RecordedLaunch {
        kernel,
        grid: [3, 2, 1],
        threads: 128,
        shared_bytes: 0,
        argument: vec![list.0, u64::from(value), 0x0123_4567_89ab_cdef, u64::MAX],
    }
}

/// The log's line for a launch that has run.
pub(super) fn run_line(launch: &RecordedLaunch) -> String {
    let [x, y, z] = launch.grid;
    let mut line = format!(
        "run {} {x},{y},{z} {} {} ",
        launch.kernel.name, launch.threads, launch.shared_bytes
    );
    for byte in launch.argument.iter().flat_map(|word| word.to_ne_bytes()) {
        write!(line, "{byte:02x}").unwrap();
    }
    line
}

/// Asserts that the driver was left with nothing.
#[track_caller]
pub(super) fn assert_nothing_left(log: &[String]) {
    let left: Vec<&String> = log.iter().filter(|line| line.starts_with("left")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(log.last().map(String::as_str), Some("released"), "{log:?}");
}

/// How many of the log's lines begin so.
pub(super) fn lines(log: &[String], start: &str) -> usize {
    log.iter().filter(|line| line.starts_with(start)).count()
}
