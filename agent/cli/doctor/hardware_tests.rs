//! Memory and disk.

use std::fs;

use super::*;
use crate::cli::Environment;
use crate::cli::doctor::check::Status;
use crate::cli::doctor::system::check_on;

#[test]
fn memory_is_read_in_gibibytes_and_little_of_it_warns() {
    let plenty = check_on(
        &[(
            "proc/meminfo",
            "MemTotal: 16777216 kB\nMemAvailable: 8912896 kB\n",
        )],
        memory,
    );
    assert_eq!(plenty, Check::ok("memory", "8.5 GiB of 16.0 GiB available"));
    let little = check_on(
        &[("proc/meminfo", "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n")],
        memory,
    );
    assert_eq!(
        (little.status, little.found.as_str()),
        (Status::Warn, "0.5 GiB of 1.0 GiB available")
    );
    assert_eq!(check_on(&[], memory).status, Status::Warn);
}

#[test]
fn the_disk_is_that_of_the_nearest_folder_there_is() {
    let nowhere = check_on(&[], disk);
    assert_eq!(nowhere.status, Status::Fail);

    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("not/yet/there");
    let environment: Environment = [("XDG_STATE_HOME", &state)].into_iter().collect();
    let found = disk(&System {
        root: "/".into(),
        environment: &environment,
    });
    assert_ne!(found.status, Status::Fail, "{found:?}");
    assert!(
        found
            .found
            .ends_with(&format!(" free for {}/cwm", state.display())),
        "{found:?}"
    );
    assert!(!state.exists(), "looking makes no folder");

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let environment: Environment = [("XDG_STATE_HOME", &file)].into_iter().collect();
    let closed = disk(&System {
        root: "/".into(),
        environment: &environment,
    });
    assert_eq!(closed.status, Status::Fail, "{closed:?}");
    assert_eq!(closed.found, format!("{} is not a folder", file.display()));
}
