//! `cwm::suite` runs chosen tests of real suites, and says when it could not.

use std::collections::BTreeSet;
use std::time::Duration;

use cwm::suite::{RunEnding, RunOptions, Status, TestCommand, TestRun, compare, run};
use cwm_tools::session::Session;

use super::runs::{PYTEST, UNITTEST, ran, statuses};
use super::{python_workshop, workshop, write};
use crate::session::harness::need;

use Status::{Errored, Failed, Passed};

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn chosen(session: &mut Session, command: &str, tests: &[&str]) -> TestRun {
    let options = RunOptions {
        timeout: Duration::from_secs(120),
        tests: set(tests),
        ..RunOptions::default()
    };
    run(session, &TestCommand::given(command), &options).unwrap()
}

/// Only these ran, and the run says so.
#[track_caller]
fn assert_only(run: &TestRun, tests: &[(&str, Status)]) {
    assert_eq!(statuses(run), tests, "{}", run.output);
    let names: Vec<&str> = tests.iter().map(|(name, _)| *name).collect();
    assert_eq!(run.selected, set(&names));
    assert!(run.is_partial() && !run.all_pass());
}

/// Everything ran, as without a choice.
#[track_caller]
fn assert_whole(run: &TestRun, whole: &TestRun) {
    assert_eq!(statuses(run), statuses(whole), "{}", run.output);
    assert_eq!((&run.ending, run.exit_code), (&whole.ending, whole.exit_code));
    assert!(!run.is_partial());
}

const ADD: &str = "tests/test_adder.py::test_add[1]";
const ODD: &str = "tests/test_adder.py::test_odd[\\xfc\\n]";
const FIXTURE: &str = "tests/test_adder.py::test_fixture";

#[test]
fn pytest_runs_chosen_tests_by_their_exact_names() {
    let (mut inside, environment) = python_workshop();
    write(&inside, PYTEST);
    let pytest = format!("{}/bin/python -m pytest", environment.display());
    write(&inside, &[("Makefile", &format!("test:\n\t{pytest} -q\n"))]);
    let session = &mut inside.session;
    let before = ran(session, &pytest);
    let few = chosen(session, &pytest, &[ADD, ODD, FIXTURE]);
    assert_only(&few, &[(ADD, Failed), (FIXTURE, Errored), (ODD, Passed)]);
    assert_eq!(few.exit_code, Some(1));
    let changes = compare(&before, &few);
    assert!(!changes.breaks() && changes.still_passing == 1, "{changes:?}");
    // Through what runs it, too; and a command of several does not end where none of its tests is wanted.
    assert_only(&chosen(session, "make test", &[ADD]), &[(ADD, Failed)]);
    let two = format!("{pytest} tests/test_loud.py && {pytest} tests/test_adder.py");
    assert_only(&chosen(session, &two, &[ODD]), &[(ODD, Passed)]);
    // Within what the user has chosen; where nothing is left of that, the user's own choice runs.
    let quiet = format!("{pytest} -k 'not odd'");
    let narrow = chosen(session, &quiet, &[ADD, ODD]);
    assert_eq!(statuses(&narrow), [(ADD, Failed)], "{}", narrow.output);
    assert!(narrow.is_partial());
    assert_whole(&chosen(session, &quiet, &[ODD]), &ran(session, &quiet));
    // What is not there, what is no test, and where our module does not come.
    assert_whole(
        &chosen(session, &pytest, &["tests/test_gone.py::test_gone"]),
        &before,
    );
    assert_whole(&chosen(session, &pytest, &["(exit status 1)", &pytest]), &before);
    let without = format!("env -u PYTHONPATH {pytest} -v");
    assert_whole(&chosen(session, &without, &[ADD]), &ran(session, &without));
    assert_eq!(inside.ok("ls /tmp | grep suite- || true"), "");
}

#[test]
fn pytest_that_cannot_collect_chooses_nothing() {
    let (mut inside, environment) = python_workshop();
    let pytest = format!("{}/bin/python -m pytest", environment.display());
    write(
        &inside,
        &[
            ("test_a.py", "import gone\ndef test_a(): pass\n"),
            ("test_b.py", "def test_b(): pass\ndef test_c(): assert 0\n"),
        ],
    );
    let before = ran(&mut inside.session, &pytest);
    let run = chosen(&mut inside.session, &pytest, &["test_b.py::test_c"]);
    assert_whole(&run, &before);
    assert!(matches!(run.ending, RunEnding::NotStarted { .. }));
    let all = format!("{pytest} --continue-on-collection-errors");
    let run = chosen(&mut inside.session, &all, &["test_b.py::test_c"]);
    assert_eq!(
        statuses(&run),
        [("test_a.py", Errored), ("test_b.py::test_c", Failed)]
    );
    assert!(run.is_partial());
    // Of a module that could not be loaded and now can, every test is wanted.
    write(&inside, &[("gone.py", "")]);
    let run = chosen(&mut inside.session, &pytest, &["test_a.py", "test_b.py::test_c"]);
    assert_eq!(
        statuses(&run),
        [("test_a.py::test_a", Passed), ("test_b.py::test_c", Failed)]
    );
}

#[test]
fn what_tests_run_with_pytest_is_not_chosen_from() {
    let (mut inside, environment) = python_workshop();
    let python = format!("{}/bin/python", environment.display());
    let nested = "pytest_plugins = 'pytester'\n\
        TEXT = 'def test_x(): pass\\ndef test_y(): pass\\n'\n\
        def test_within(pytester):\n    pytester.makepyfile(TEXT)\n    pytester.runpytest_inprocess().assert_outcomes(passed=2)\n\
        def test_beside(pytester):\n    pytester.makepyfile(TEXT)\n    pytester.runpytest_subprocess().assert_outcomes(passed=2)\n\
        def test_other(): pass\n";
    write(&inside, &[("test_nested.py", nested)]);
    let wanted = ["test_nested.py::test_beside", "test_nested.py::test_within"];
    let run = chosen(&mut inside.session, &format!("{python} -m pytest"), &wanted);
    for name in wanted {
        assert_eq!(run.tests[name].status, Passed, "{}", run.output);
    }
    assert!(run.is_partial() && !run.tests.contains_key("test_nested.py::test_other"));
}

const ONE: &str = "tests.test_adder.Adding.test_one";
const MANY: &str = "tests.test_adder.Adding.test_many";
const ZERO: &str = "tests.test_adder.Adding.test_zero";

#[test]
fn unittest_runs_chosen_tests() {
    need("python3", "python3");
    let mut inside = workshop();
    write(&inside, UNITTEST);
    write(
        &inside,
        &[
            (
                "tests/test_class.py",
                "import unittest\nclass Class(unittest.TestCase):\n    @classmethod\n    def setUpClass(cls): raise ValueError('no')\n    \
                 def test_a(self): pass\nclass Other(unittest.TestCase):\n    def test_b(self): pass\n",
            ),
            // As Python was before it could choose.
            (
                "python-of-old",
                "#!/bin/sh\ncase \" $* \" in *' -k '*) echo \"error: unrecognized arguments: -k\" >&2; exit 2;; esac\nexec python3 \"$@\"\n",
            ),
        ],
    );
    inside.ok("chmod +x python-of-old");
    let session = &mut inside.session;
    for command in [
        "python3 -m unittest",
        "python3 -m unittest discover -q",
        "cd tests && cd .. && python3 -m unittest tests.test_adder",
    ] {
        let run = chosen(session, command, &[ONE, MANY]);
        assert_only(&run, &[(MANY, Failed), (ONE, Failed)]);
    }
    assert_only(
        &chosen(session, "python3 -m unittest", &[ZERO]),
        &[(ZERO, Passed)],
    );
    // Of what passes without a name, it is known that it did.
    let quiet = chosen(session, "python3 -m unittest -q", &[ZERO]);
    assert!(quiet.is_partial() && quiet.went_well(), "{quiet:?}");
    let class = "tests.test_class.Class.setUpClass";
    assert_only(
        &chosen(session, "python3 -m unittest", &[class]),
        &[(class, Errored)],
    );
    let theirs = "python3 -m unittest -k test_many -k test_zero";
    assert_whole(&chosen(session, theirs, &[MANY]), &ran(session, theirs));
    let old = "./python-of-old -m unittest";
    let before = ran(session, old);
    assert!(before.tests.len() > 5, "{before:?}");
    assert_whole(&chosen(session, old, &[ONE]), &before);
}

#[test]
fn cargo_runs_chosen_tests_of_every_program() {
    need("cargo", "a Rust toolchain");
    let mut inside = workshop();
    let library = "/// Adds.\n///\n/// ```\n/// assert_eq!(tiny::add(1, 2), 3);\n/// ```\npub fn add(a: i32, b: i32) -> i32 { a - b }\n\n\
        /// ```\n/// assert!(true);\n/// ```\npub fn other() {}\n\n\
        #[cfg(test)]\nmod tests {\n    #[test]\n    fn adds() { assert_eq!(super::add(2, 2), 4); }\n    #[test]\n    fn adds_nothing() {}\n}\n";
    write(
        &inside,
        &[
            (
                "Cargo.toml",
                "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[[test]]\nname = \"own\"\nharness = false\n",
            ),
            ("src/lib.rs", library),
            ("tests/whole.rs", "#[test]\nfn adds() {}\n#[test]\nfn more() {}\n"),
            // A program of tests that takes no options.
            (
                "tests/own.rs",
                "fn main() { assert_eq!(std::env::args().count(), 1); }\n",
            ),
        ],
    );
    let session = &mut inside.session;
    let unit = "tiny src/lib.rs: tests::adds";
    let whole = "whole tests/whole.rs: more";
    let run = chosen(session, "cargo test --offline --lib --test whole", &[unit, whole]);
    assert_only(&run, &[(unit, Failed), (whole, Passed)]);
    // What fails for being given a choice is not what was chosen.
    let run = chosen(session, "cargo test --offline", &[unit]);
    assert_eq!(
        run.tests.get(unit).map(|case| case.status),
        Some(Failed),
        "{}",
        run.output
    );
    assert_eq!(run.selected, set(&[unit]));
    assert!(!run.tests.contains_key(whole));
    let documentation = "tiny doc-tests: src/lib.rs - add";
    let run = chosen(
        session,
        "cargo test --offline --doc -- --test-threads 1",
        &[documentation],
    );
    let expected = [
        (documentation, Failed),
        ("tiny doc-tests: src/lib.rs - other", Passed),
    ];
    assert_eq!(statuses(&run), expected, "{}", run.output);
    assert_eq!(run.selected, set(&[documentation]));
    write(&inside, &[("src/lib.rs", &library.replace("a - b", "a + c"))]);
    let broken = chosen(&mut inside.session, "cargo test --offline", &[unit]);
    assert!(matches!(broken.ending, RunEnding::NotStarted { .. }) && !broken.is_partial());
}

#[test]
fn node_runs_everything() {
    need("node", "nodejs");
    let mut inside = workshop();
    write(
        &inside,
        &[
            ("package.json", "{\"scripts\": {\"test\": \"node --test\"}}\n"),
            (
                "a.test.js",
                "const { test } = require('node:test');\nconst assert = require('node:assert');\n\
                 test('works', () => {});\ntest('fails', () => assert.equal(1, 2));\n",
            ),
        ],
    );
    let before = ran(&mut inside.session, "npm test");
    assert_whole(&chosen(&mut inside.session, "npm test", &["fails"]), &before);
}

#[test]
fn pytest_tells_which_files_of_code_each_test_runs() {
    let (mut inside, environment) = python_workshop();
    write(
        &inside,
        &[
            ("adder.py", "def add(a, b):\n    return a + b\n"),
            ("other/text.py", "def shout(text):\n    return text.upper()\n"),
            (
                "test_all.py",
                "import cProfile\nimport adder\nfrom other.text import shout\n\n\
                 def test_add():\n    assert adder.add(1, 2) == 3\n\n\
                 def test_both():\n    assert shout(str(adder.add(1, 2))) == '3'\n\n\
                 def test_neither(): pass\n\n\
                 def test_profile():\n    profile = cProfile.Profile()\n    profile.enable()\n    shout('')\n    profile.disable()\n",
            ),
        ],
    );
    let session = &mut inside.session;
    let options = RunOptions {
        coverage: Some(session.sandbox().policy().working_directory.clone()),
        ..RunOptions::default()
    };
    let command = TestCommand::given(&format!("{}/bin/python -m pytest -q", environment.display()));
    let run = run(session, &command, &options).unwrap();
    assert!(run.all_pass() && run.tests.len() == 4, "{}", run.output);
    let of = |path: &str| -> Vec<String> {
        let tests = run.coverage.of(&[path.to_owned()]);
        tests.into_keys().map(str::to_owned).collect()
    };
    assert_eq!(
        of("adder.py"),
        ["test_all.py::test_add", "test_all.py::test_both"]
    );
    let texts = of("other/text.py");
    assert!(texts.contains(&"test_all.py::test_both".to_owned()), "{texts:?}");
    assert!(
        !texts.contains(&"test_all.py::test_neither".to_owned()),
        "{texts:?}"
    );
    assert_eq!(of("absent.py"), [""; 0]);
    // Few files before many: what a test is about.
    let touched = run.coverage.of(&["adder.py".to_owned()]);
    assert!(
        touched["test_all.py::test_add"] < touched["test_all.py::test_both"],
        "{touched:?}"
    );
}
