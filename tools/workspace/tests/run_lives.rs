//! The lives of runs beyond their processes: states, finding, finishing at every point of a kill, removing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::workspace::WorkspaceError;
use crate::workspace::runs::{JOURNAL, Run, RunState, Runs};

/// Names the state folder to the process that [`killed_at_any_moment_no_record_is_lost`] kills.
const VICTIM: &str = "CWM_TEST_FINISHING_RUNS_IN";

fn runs_in(state: &Path) -> Runs {
    Runs::open(state).unwrap()
}

/// Puts into a run's folder what one has: its record and its copies, one of which may not be written.
fn fill(run: &Run) {
    let path = &run.path;
    for folder in [
        "candidates",
        "outputs",
        "tree/src",
        "attempts/attempt-1/tree.upper",
    ] {
        std::fs::create_dir_all(path.join(folder)).unwrap();
    }
    for file in [
        JOURNAL,
        "patch.diff",
        "report.json",
        "report.html",
        "candidates/attempt-1.diff",
        "outputs/1.txt",
        "tree/src/lib.rs",
        "attempts/attempt-1/tree.upper/x",
        "snapshot",
    ] {
        std::fs::write(path.join(file), run.id.as_bytes()).unwrap();
    }
    std::fs::set_permissions(path.join("tree"), std::fs::Permissions::from_mode(0o500)).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const KEPT: [&str; 8] = [
    "candidates",
    "finished",
    JOURNAL,
    "lock",
    "outputs",
    "patch.diff",
    "report.html",
    "report.json",
];

fn state_of(runs: &Runs, id: &str) -> RunState {
    runs.find(id).unwrap().state
}

#[test]
fn a_run_goes_from_live_to_resumable_to_finished() {
    let state = tempfile::tempdir().unwrap();
    let runs = runs_in(state.path());
    let run = runs.begin().unwrap();
    let id = run.id.clone();
    fill(&run);
    assert_eq!(state_of(&runs, &id), RunState::Live);
    run.keep_for_resume().unwrap();
    drop(run);
    assert_eq!(state_of(&runs, &id), RunState::Resumable);
    assert_eq!(runs.clean_up().unwrap(), []);
    let run = runs.resume(&id).unwrap();
    assert_eq!(state_of(&runs, &id), RunState::Live);
    assert!(run.path.join("tree/src/lib.rs").exists());

    run.finish().unwrap();
    assert_eq!(names(&run.path), KEPT);
    assert_eq!(
        std::fs::read(run.path.join("candidates/attempt-1.diff")).unwrap(),
        id.as_bytes()
    );
    drop(run);
    assert_eq!(state_of(&runs, &id), RunState::Finished);
    assert_eq!(runs.resumable().unwrap(), Vec::<String>::new());
    let refused = runs.resume(&id).unwrap_err();
    assert!(matches!(refused, WorkspaceError::RunFinished(_)), "{refused}");
    assert_eq!(runs.clean_up().unwrap(), []);
    assert_eq!(names(&state.path().join("runs")), std::slice::from_ref(&id));
    assert_eq!(names(&runs.find(&id).unwrap().path), KEPT);

    runs.remove(&id).unwrap();
    assert_eq!(runs.all().unwrap(), []);
    assert_eq!(names(&state.path().join("runs")), Vec::<String>::new());
}

#[test]
fn a_run_without_any_record_can_finish_too() {
    let state = tempfile::tempdir().unwrap();
    let runs = runs_in(state.path());
    let run = runs.begin().unwrap();
    run.finish().unwrap();
    run.finish().unwrap();
    assert_eq!(names(&run.path), ["finished", "lock"]);
}

/// Each state in which a kill can leave a folder while it finishes, made by hand.
#[test]
fn what_a_kill_in_the_end_leaves_is_swept_and_the_record_stays() {
    let state = tempfile::tempdir().unwrap();
    let runs = runs_in(state.path());
    let begin = || {
        let run = runs.begin().unwrap();
        fill(&run);
        run.keep_for_resume().unwrap();
        run
    };
    let marked = begin();
    std::fs::write(marked.path.join("finished"), "").unwrap();
    let half_moved = begin();
    std::fs::write(half_moved.path.join("finished"), "").unwrap();
    let rest = state
        .path()
        .join(format!("runs/.removing-rest-{}-00000000", half_moved.id));
    std::fs::create_dir(&rest).unwrap();
    std::fs::rename(half_moved.path.join("attempts"), rest.join("attempts")).unwrap();
    let moved = begin();
    moved.finish().unwrap();
    std::fs::write(moved.path.join("resumable"), "").unwrap();

    let ids = [marked.id.clone(), half_moved.id.clone(), moved.id.clone()];
    // While their processes live nobody touches them.
    assert_eq!(runs.clean_up().unwrap(), []);
    assert!(marked.path.join("snapshot").exists());
    assert!(matches!(runs.remove(&ids[0]), Err(WorkspaceError::RunInUse(_))));
    drop((marked, half_moved, moved));
    for id in &ids {
        assert_eq!(state_of(&runs, id), RunState::Finished);
    }
    assert_eq!(runs.clean_up().unwrap(), []);
    let mut left = names(&state.path().join("runs"));
    left.retain(|name| !ids.contains(name));
    assert_eq!(left, Vec::<String>::new());
    for id in &ids {
        let run = runs.find(id).unwrap();
        assert_eq!(
            (run.state, names(&run.path)),
            (RunState::Finished, KEPT.map(str::to_owned).to_vec())
        );
    }
}

#[test]
fn runs_are_found_by_what_a_person_types() {
    let state = tempfile::tempdir().unwrap();
    let runs = runs_in(state.path());
    assert!(matches!(runs.find("last"), Err(WorkspaceError::NoRuns)));
    assert!(matches!(runs.find("2026"), Err(WorkspaceError::NoRuns)));
    for (id, with_journal) in [
        ("20260101T000000Z-aaaa0001", true),
        ("20260102T000000Z-aaaa0002", true),
        ("20260103T000000Z-bbbb0003", false),
    ] {
        let path = state.path().join("runs").join(id);
        std::fs::create_dir(&path).unwrap();
        if with_journal {
            std::fs::write(path.join(JOURNAL), "").unwrap();
        }
    }
    let found = |word: &str| runs.find(word).map(|run| run.id[..8].to_owned());
    assert_eq!(found("last").unwrap(), "20260102");
    assert_eq!(found("20260101T000000Z-aaaa0001").unwrap(), "20260101");
    assert_eq!(found("20260103").unwrap(), "20260103");
    assert_eq!(found("bb").unwrap(), "20260103");
    assert_eq!(found("aaaa0001").unwrap(), "20260101");
    let ambiguous = found("aaaa").unwrap_err().to_string();
    assert_eq!(
        ambiguous,
        "`aaaa` could be any of 20260101T000000Z-aaaa0001, 20260102T000000Z-aaaa0002; write more of the id"
    );
    for word in ["", "x", "000", "../runs", ".", "20260101T000000Z-aaaa0001/"] {
        let unknown = found(word).unwrap_err();
        assert!(
            matches!(unknown, WorkspaceError::UnknownRun { .. }),
            "{word}: {unknown}"
        );
        assert!(
            unknown
                .to_string()
                .contains("20260103T000000Z-bbbb0003, 20260102"),
            "{unknown}"
        );
    }
    for id in ["", ".", "..", "a/b", "x", ".removing-x"] {
        assert!(
            matches!(runs.remove(id), Err(WorkspaceError::NoSuchRun(_))),
            "{id}"
        );
    }
}

#[test]
fn a_long_list_of_known_runs_is_cut() {
    let known = (0..20).map(|number| format!("run-{number}")).collect();
    let error = WorkspaceError::UnknownRun {
        given: "x".to_owned(),
        known,
    };
    assert!(error.to_string().ends_with("run-7 and 12 more"), "{error}");
}

#[test]
fn runs_that_finish_at_once_leave_each_other_alone() {
    let state = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let runs = runs_in(state.path());
                for round in 0..12 {
                    runs.clean_up().unwrap();
                    let run = runs.begin().unwrap();
                    fill(&run);
                    run.keep_for_resume().unwrap();
                    run.finish().unwrap();
                    assert_eq!(names(&run.path), KEPT);
                    let id = run.id.clone();
                    assert!(matches!(runs.remove(&id), Err(WorkspaceError::RunInUse(_))));
                    drop(run);
                    assert_eq!(state_of(&runs, &id), RunState::Finished);
                    if round % 2 == 0 {
                        runs.remove(&id).unwrap();
                    }
                }
            });
        }
    });
    let runs = runs_in(state.path());
    runs.clean_up().unwrap();
    assert_eq!(runs.all().unwrap().len(), 36);
    assert_eq!(names(&state.path().join("runs")).len(), 36);
}

/// Not a test of its own: what the next one starts and kills.
#[test]
fn the_victim_finishes_runs_until_it_is_killed() {
    let Some(state) = std::env::var_os(VICTIM) else {
        return;
    };
    let runs = runs_in(Path::new(&state));
    loop {
        runs.clean_up().unwrap();
        let run = runs.begin().unwrap();
        fill(&run);
        run.keep_for_resume().unwrap();
        // Says that the run must not be lost from here on.
        std::fs::write(Path::new(&state).join(format!("promised-{}", run.id)), "").unwrap();
        run.finish().unwrap();
    }
}

#[test]
fn killed_at_any_moment_no_record_is_lost() {
    let state = tempfile::tempdir().unwrap();
    for round in 0..12_u64 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["the_victim_finishes_runs_until_it_is_killed"])
            .env(VICTIM, state.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // However slow the machine is, each victim has promised something before it dies.
        let promises = || {
            let promised = names(state.path()).into_iter();
            promised.filter(|name| name.starts_with("promised-")).count()
        };
        let before = promises();
        while promises() <= before {
            assert!(victim.try_wait().unwrap().is_none(), "the victim ended by itself");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(round * 17 % 61));
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    let runs = runs_in(state.path());
    runs.clean_up().unwrap();
    let all = runs.all().unwrap();
    let promised = names(state.path());
    let promised: Vec<&str> = promised
        .iter()
        .filter_map(|name| name.strip_prefix("promised-"))
        .collect();
    assert!(promised.len() >= 12, "{promised:?}");
    for id in promised {
        let run = all.iter().find(|run| run.id == id);
        let run = run.unwrap_or_else(|| panic!("run {id} is lost"));
        assert_eq!(std::fs::read(run.path.join(JOURNAL)).unwrap(), id.as_bytes());
        match run.state {
            RunState::Finished => assert_eq!(names(&run.path), KEPT),
            RunState::Resumable => assert!(run.path.join("tree/src/lib.rs").exists()),
            other => panic!("run {id} is {other:?}"),
        }
    }
    let hidden = names(&state.path().join("runs"))
        .into_iter()
        .filter(|name| name.starts_with('.'));
    assert_eq!(hidden.count(), 0);
}
