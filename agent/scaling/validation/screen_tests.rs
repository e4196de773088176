//! Which tests are chosen, from runs in a few words. What becomes of patches is tested through `cwm rank`.

use super::*;
use crate::scaling::testing::run_of;

fn tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("pkg/core.py", "def core_value():\n    return 1\n"),
        ("pkg/other.py", "def other_value():\n    return 1\n"),
        ("tests/core.py", "from pkg.core import core_value\n"),
        ("tests/other.py", "from pkg.other import other_value\n"),
        ("tests/third.py", "import json\n"),
    ] {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    tree
}

/// A run of `command` that took so many seconds, each of its tests one.
fn slow(command: &str, text: &str, seconds: f64) -> TestRun {
    let mut run = run_of(command, text);
    run.seconds = seconds;
    for case in run.tests.values_mut() {
        case.seconds = Some(1.0);
    }
    run
}

fn chosen(baseline: &[TestRun], budget: u64) -> Option<Vec<(usize, Vec<String>)>> {
    let tree = tree();
    let screen = Screen::new(tree.path().to_owned(), baseline, &[], Duration::from_secs(budget));
    let parts = screen.parts(&["pkg/core.py".to_owned()])?;
    let names = |part: Part| (part.command, part.tests.into_iter().collect());
    Some(parts.into_iter().map(names).collect())
}

const ALL: &str =
    "1 tests/core.py::a+ tests/core.py::b+ tests/other.py::a+ tests/third.py::a+ tests/third.py::broken-";

#[test]
fn what_failed_and_what_imports_the_change_comes_first() {
    let baseline = [slow("pytest", ALL, 5.0)];
    let near = |names: &[&str]| Some(vec![(0, names.iter().map(|name| (*name).to_owned()).collect())]);
    assert_eq!(chosen(&baseline, 0), near(&["tests/third.py::broken"]));
    assert_eq!(
        chosen(&baseline, 2),
        near(&["tests/core.py::a", "tests/core.py::b", "tests/third.py::broken"])
    );
    // Everything is run at once where that is no great matter.
    assert_eq!(chosen(&baseline, 3), None);
    assert_eq!(chosen(&[slow("pytest", "0 tests/core.py::a+", 1.0)], 1), None);
}

#[test]
fn what_runs_the_changed_code_is_nearer_than_what_imports_it() {
    let mut run = slow("pytest", ALL, 5.0);
    run.coverage.name(7, "pkg/core.py".to_owned());
    run.coverage.name(8, "pkg/other.py".to_owned());
    run.coverage.add("tests/other.py::a".to_owned(), vec![7, 8]);
    run.coverage.add("tests/core.py::b".to_owned(), vec![7]);
    run.coverage.add("tests/core.py::a".to_owned(), vec![8]);
    let found = chosen(&[run], 2).unwrap();
    let names = ["tests/core.py::b", "tests/other.py::a", "tests/third.py::broken"];
    assert_eq!(found, [(0, names.map(str::to_owned).to_vec())]);
}

#[test]
fn commands_without_tests_of_their_own_are_left_for_later_or_run_as_a_whole() {
    // What failed without a test of its own is run as a whole, whatever it takes.
    let baseline = [
        slow("make lint", "0 make_lint+", 50.0),
        slow("make check", "1 make_check-", 50.0),
        slow("pytest", "0 tests/core.py::a+ tests/third.py::a+", 50.0),
    ];
    let found = chosen(&baseline, 1).unwrap();
    assert_eq!(found, [(1, vec![]), (2, vec!["tests/core.py::a".to_owned()])]);
    let quick = [
        slow("make lint", "0 make_lint+", 0.5),
        slow("pytest", "0 tests/third.py::a+", 50.0),
    ];
    assert_eq!(chosen(&quick, 1).unwrap(), [(0, vec![])]);
}

#[test]
fn nothing_is_chosen_among_tests_that_did_not_end() {
    let mut run = slow("pytest", ALL, 600.0);
    run.ending = RunEnding::TimedOut;
    assert_eq!(chosen(&[run], 1), None);
}
