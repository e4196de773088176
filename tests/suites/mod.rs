//! Real test suites and build tools, run inside the sandbox: each must pass there as it does outside.

mod build;
mod python;
mod runs;
mod selection;

use std::path::{Path, PathBuf};
use std::process::Command;

use cwm_tools::sandbox::policy::Mount;

use crate::session::harness::{Inside, patient};

/// A session that may take its time.
fn workshop() -> Inside {
    Inside::with(|_| {}, patient(120))
}

/// The virtual environment of real packages; fetched when it is not there yet.
pub(crate) fn fetched_python() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fetch-fixtures");
    let output = Command::new(&script).output().unwrap();
    assert!(
        output.status.success(),
        "{} failed: {}",
        script.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// A session that sees that environment, and cannot write to it.
fn python_workshop() -> (Inside, PathBuf) {
    let environment = fetched_python();
    let shown = environment.parent().unwrap().to_owned();
    let inside = Inside::with(
        |policy| {
            policy.mounts.push(Mount::ReadOnly {
                source: shown.clone(),
                target: shown,
            });
        },
        patient(120),
    );
    (inside, environment)
}

/// Writes files below the session's folder.
fn write(inside: &Inside, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = inside.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// Runs a suite that must pass, prints how long it took, and returns what it printed.
#[track_caller]
fn pass(inside: &mut Inside, name: &str, command: &str) -> String {
    let done = inside.run(command);
    eprintln!("{name}: {:?}", done.result.wall_time);
    done.exited(0)
}
