//! Playing a driver, and launches for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use cwm_kernels::cuda::{Artefact, DevicePointer, Gpu, Kernel, MatrixLibrary, RecordedLaunch};

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
    play_prepared(test, settings, |folder| compile_driver(folder, flags), body)
}

/// The same with a library of matrix products beside the driver; that is what the flags are for.
#[track_caller]
pub(super) fn play_with_library(
    test: &str,
    flags: &[&str],
    settings: Settings,
    body: impl FnOnce(),
) -> Option<Vec<String>> {
    let prepare = |folder: &Path| {
        compile_driver(folder, &[]);
        let driver = format!("-L{}", folder.display());
        let flags = [flags, &["-O2", &driver]].concat();
        compile(
            folder,
            "matrix_library.c",
            "libcublasLt.so.13",
            &flags,
            &["-lcuda"],
        );
    };
    play_prepared(test, settings, prepare, body)
}

/// The same where no library of matrix products can be loaded, whatever the machine has.
#[track_caller]
pub(super) fn play_without_library(
    test: &str,
    settings: Settings,
    body: impl FnOnce(),
) -> Option<Vec<String>> {
    let prepare = |folder: &Path| {
        compile_driver(folder, &[]);
        for name in ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"] {
            std::fs::write(folder.join(name), "This is not a library.").unwrap();
        }
    };
    play_prepared(test, settings, prepare, body)
}

#[track_caller]
fn play_prepared(
    test: &str,
    settings: Settings,
    prepare: impl FnOnce(&Path),
    body: impl FnOnce(),
) -> Option<Vec<String>> {
    if std::env::var(PLAYING).is_ok_and(|name| name == test) {
        body();
        return None;
    }
    let folder = folder(test);
    std::fs::create_dir_all(&folder).unwrap();
    prepare(&folder);
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

fn compile_driver(folder: &Path, flags: &[&str]) {
    compile(folder, "driver.c", "libcuda.so", flags, &[]);
}

/// Once for each library and flags.
fn compile(folder: &Path, source: &str, library: &str, flags: &[&str], libraries: &[&str]) {
    static COMPILED: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    let library = folder.join(library);
    let before = COMPILED.lock().unwrap().insert(library.clone(), flags.join(" "));
    if before == Some(flags.join(" ")) {
        return;
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda/driver/fake");
    let built = Command::new("cc")
        .args(["-Wall", "-shared", "-fPIC", "-o"])
        .arg(library)
        .args(flags)
        .arg(sources.join(source))
        .args(libraries)
        .status();
    assert!(built.unwrap().success());
}

/// The device of the driver that is played.
pub(super) fn gpu() -> Gpu {
    Gpu::open(0, MatrixLibrary::Never).unwrap()
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
