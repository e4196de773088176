//! The runs' folders: locks, clean-up, resuming, races.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::workspace::WorkspaceError;
use crate::workspace::runs::{Removed, Runs, state_folder};

#[test]
fn the_state_folder_follows_the_standard() {
    let of =
        |state: Option<&str>, home: Option<&str>| state_folder(state.map(OsStr::new), home.map(OsStr::new));
    assert_eq!(of(Some("/s"), Some("/h")).as_deref(), Some(Path::new("/s/cwm")));
    assert_eq!(
        of(Some("relative"), Some("/h")).as_deref(),
        Some(Path::new("/h/.local/state/cwm"))
    );
    assert_eq!(
        of(None, Some("/h")).as_deref(),
        Some(Path::new("/h/.local/state/cwm"))
    );
    assert_eq!(of(None, None), None);
}

#[test]
fn dead_runs_go_and_living_and_resumable_ones_stay() {
    let state = tempfile::tempdir().unwrap();
    let runs = Runs::open(state.path()).unwrap();
    let living = runs.begin().unwrap();
    let dead = runs.begin().unwrap();
    let kept = runs.begin().unwrap();
    assert_eq!(
        std::fs::metadata(&living.path).unwrap().permissions().mode() & 0o777,
        0o700
    );
    std::fs::create_dir_all(dead.path.join("a/b/c")).unwrap();
    std::fs::write(dead.path.join("a/b/file"), "x").unwrap();
    kept.keep_for_resume().unwrap();
    let (dead_id, kept_id) = (dead.id.clone(), kept.id.clone());
    assert!(
        matches!(runs.resume(&kept_id), Err(WorkspaceError::NoSuchRun(_))),
        "held by a living run"
    );
    drop((dead, kept));
    assert_eq!(
        Runs::open(state.path()).unwrap().clean_up().unwrap(),
        [Removed { id: dead_id.clone() }]
    );
    assert!(living.path.is_dir());
    assert_eq!(runs.resumable().unwrap(), std::slice::from_ref(&kept_id));
    let resumed = runs.resume(&kept_id).unwrap();
    assert!(matches!(runs.resume(&dead_id), Err(WorkspaceError::NoSuchRun(_))));
    resumed.forget_resume().unwrap();
    resumed.remove().unwrap();
    living.remove().unwrap();
    assert_eq!(std::fs::read_dir(state.path().join("runs")).unwrap().count(), 0);
}

#[test]
fn ids_sort_by_time() {
    let state = tempfile::tempdir().unwrap();
    let runs = Runs::open(state.path()).unwrap();
    let now = || {
        let output = std::process::Command::new("date")
            .args(["-u", "+%Y%m%dT%H%M%SZ"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let before = now();
    let run = runs.begin().unwrap();
    assert!(
        before.as_str() <= &run.id[..before.len()] && run.id[..before.len()] <= *now(),
        "{} {before}",
        run.id
    );
}

#[test]
fn processes_that_start_at_once_leave_each_other_alone() {
    let state = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let runs = Runs::open(state.path()).unwrap();
                for round in 0..25 {
                    runs.clean_up().unwrap();
                    let run = runs.begin().unwrap();
                    let file = run.path.join("mine");
                    std::fs::write(&file, "x").unwrap();
                    std::thread::yield_now();
                    assert!(file.exists(), "a living run was taken for a dead one");
                    if round % 3 == 0 {
                        run.remove().unwrap();
                    }
                }
            });
        }
    });
    Runs::open(state.path()).unwrap().clean_up().unwrap();
    assert_eq!(std::fs::read_dir(state.path().join("runs")).unwrap().count(), 0);
}

#[test]
fn a_removal_that_was_cut_short_is_finished() {
    let state = tempfile::tempdir().unwrap();
    let runs = Runs::open(state.path()).unwrap();
    let run = runs.begin().unwrap();
    let aside = run.path.with_file_name(format!(".removing-{}", run.id));
    std::fs::rename(&run.path, &aside).unwrap();
    std::fs::write(aside.join("rest"), "x").unwrap();
    drop(run);
    assert_eq!(runs.clean_up().unwrap().len(), 1);
    assert!(!aside.exists());
}
