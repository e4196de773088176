//! `cwm::suite` on real suites in the sandbox: the exact tests, before and after a change.

use std::time::Duration;

use cwm::suite::{Framework, RunEnding, RunOptions, Status, TestCommand, TestRun, agree, compare, find, run};
use cwm_tools::session::Session;

use super::{python_workshop, workshop, write};
use crate::session::harness::{Inside, need};

pub(super) fn ran(session: &mut Session, command: &str) -> TestRun {
    ran_within(session, command, 120)
}

fn ran_within(session: &mut Session, command: &str, seconds: u64) -> TestRun {
    let options = RunOptions {
        timeout: Duration::from_secs(seconds),
        ..RunOptions::default()
    };
    run(session, &TestCommand::given(command), &options).unwrap()
}

pub(super) fn statuses(run: &TestRun) -> Vec<(&str, Status)> {
    run.tests
        .iter()
        .map(|(name, case)| (name.as_str(), case.status))
        .collect()
}

#[track_caller]
fn reason(run: &TestRun) -> &str {
    match &run.ending {
        RunEnding::NotStarted { reason } => reason,
        other => panic!("{other:?} {:#?}\n{}", run.tests, run.output),
    }
}

use Status::{Errored, ExpectedFailure, Failed, Passed, Skipped, UnexpectedPass};

pub(super) const PYTEST: &[(&str, &str)] = &[
    ("adder.py", "def add(a, b):\n    return a - b\n"),
    (
        "tests/test_adder.py",
        "import pytest\nfrom adder import add\nfrom base import Shared\n\n\
         @pytest.mark.parametrize('text', ['a - b', 'x::y', '[', 'ü\\n', 'PASSED', '/'])\ndef test_odd(text):\n    assert text\n\n\
         @pytest.mark.parametrize('a', [0, 1])\ndef test_add(a):\n    assert add(1, a) == 1 + a\n\n\
         class TestIn(Shared):\n    class TestDeep:\n        def test_deep(self): pass\n\n\
         @pytest.fixture\ndef broken():\n    raise ValueError('no')\n\n\
         def test_fixture(broken): pass\n\n\
         @pytest.mark.skip\ndef test_skip(): pass\n\n\
         @pytest.mark.xfail\ndef test_expected(): assert 0\n\n\
         @pytest.mark.xfail\ndef test_unexpected(): pass\n",
    ),
    (
        "tests/base.py",
        "class Shared:\n    def test_shared(self): pass\n",
    ),
    (
        "tests/test_loud.py",
        "def test_loud():\n    print('=== 99 passed in 0.01s ===')\n    print('tests/test_adder.py::test_add[1] PASSED')\n",
    ),
];

fn pytest_cases(add: Status) -> Vec<(&'static str, Status)> {
    vec![
        ("tests/test_adder.py::TestIn::TestDeep::test_deep", Passed),
        ("tests/test_adder.py::TestIn::test_shared", Passed),
        ("tests/test_adder.py::test_add[0]", Passed),
        ("tests/test_adder.py::test_add[1]", add),
        ("tests/test_adder.py::test_expected", ExpectedFailure),
        ("tests/test_adder.py::test_fixture", Errored),
        ("tests/test_adder.py::test_odd[/]", Passed),
        ("tests/test_adder.py::test_odd[PASSED]", Passed),
        ("tests/test_adder.py::test_odd[[]", Passed),
        ("tests/test_adder.py::test_odd[\\xfc\\n]", Passed),
        ("tests/test_adder.py::test_odd[a - b]", Passed),
        ("tests/test_adder.py::test_odd[x::y]", Passed),
        ("tests/test_adder.py::test_skip", Skipped),
        ("tests/test_adder.py::test_unexpected", UnexpectedPass),
        ("tests/test_loud.py::test_loud", Passed),
    ]
}

#[test]
fn pytest_tells_exact_tests_before_and_after_a_change() {
    let (mut inside, environment) = python_workshop();
    write(&inside, PYTEST);
    let pytest = format!("{}/bin/python -m pytest -q -s", environment.display());
    let before = ran(&mut inside.session, &pytest);
    assert_eq!(statuses(&before), pytest_cases(Failed), "{}", before.output);
    assert_eq!((&before.ending, before.exit_code), (&RunEnding::Ran, Some(1)));
    let message = &before.tests["tests/test_adder.py::test_add[1]"].message;
    assert!(
        message.contains("assert 0 == (1 + 1)")
            && message.ends_with("tests/test_adder.py:11: AssertionError"),
        "{message}"
    );
    // Of the same size and, likely, in the same second.
    write(&inside, &[("adder.py", "def add(a, b):\n    return a + b\n")]);
    let after = ran(&mut inside.session, &format!("cd . && {pytest}"));
    assert_eq!(statuses(&after), pytest_cases(Passed), "{}", after.output);
    let changes = compare(&before, &after);
    assert_eq!(changes.fixed, ["tests/test_adder.py::test_add[1]"]);
    assert_eq!(changes.still_failing, ["tests/test_adder.py::test_fixture"]);
    assert!(!changes.breaks());
    assert_eq!(changes.still_passing, 12);
    assert!(agree(&before, &after) == changes.fixed);
    // Nothing of ours is left, in the tree or beside it.
    assert_eq!(
        inside.ok("git init -q . && git status --porcelain --ignored; ls /tmp | grep suite- || true"),
        "?? adder.py\n?? tests/\n"
    );
}

#[test]
fn pytest_without_our_module_is_read_from_its_text() {
    let (mut inside, environment) = python_workshop();
    write(&inside, PYTEST);
    let python = format!("{}/bin/python", environment.display());
    // As tox does: pytest's options come through, the folder of the module does not.
    let run = ran(
        &mut inside.session,
        &format!("env -u PYTHONPATH {python} -m pytest -v"),
    );
    assert_eq!(statuses(&run), pytest_cases(Failed), "{}", run.output);
    let run = ran(
        &mut inside.session,
        &format!("env -u PYTEST_ADDOPTS {python} -m pytest -q -rA"),
    );
    for (name, status) in pytest_cases(Failed) {
        if status != Skipped {
            assert_eq!(
                run.tests.get(name).map(|case| case.status),
                Some(status),
                "{name}\n{}",
                run.output
            );
        }
    }
}

#[test]
fn pytest_that_cannot_begin_says_why() {
    let (mut inside, environment) = python_workshop();
    let python = format!("{}/bin/python", environment.display());
    let pytest = format!("{python} -m pytest");
    assert_eq!(
        reason(&ran(&mut inside.session, &pytest)),
        "pytest found no tests"
    );
    write(
        &inside,
        &[("test_a.py", "import not_there\ndef test_a(): pass\n")],
    );
    let run = ran(&mut inside.session, &pytest);
    let why = "test_a.py cannot be collected: ModuleNotFoundError: No module named 'not_there'";
    assert_eq!(reason(&run), why);
    assert_eq!(statuses(&run), [("test_a.py", Errored)]);
    // Beside others that run, it is one that broke.
    write(&inside, &[("test_b.py", "def test_b(): pass\n")]);
    let run = ran(
        &mut inside.session,
        &format!("{pytest} --continue-on-collection-errors"),
    );
    assert_eq!(run.ending, RunEnding::Ran, "{}", run.output);
    assert_eq!(
        statuses(&run),
        [("test_a.py", Errored), ("test_b.py::test_b", Passed)]
    );
    let run = ran(&mut inside.session, "python3 -S -m pytest");
    assert_eq!(reason(&run), "pytest is not installed for this Python");
    assert!(reason(&ran(&mut inside.session, "no-such-program --all")).contains("no-such-program"));
    let run = ran(&mut inside.session, &format!("{pytest} missing_folder"));
    assert!(reason(&run).contains("missing_folder"), "{}", run.output);
}

#[test]
fn a_test_that_hangs_is_named_and_a_test_that_leaves_fakes_nothing() {
    let (mut inside, environment) = python_workshop();
    let pytest = format!("{}/bin/python -m pytest", environment.display());
    write(
        &inside,
        &[(
            "test_a.py",
            "import time\ndef test_a(): pass\ndef test_b(): time.sleep(600)\n",
        )],
    );
    let run = ran_within(&mut inside.session, &pytest, 6);
    assert_eq!(run.ending, RunEnding::TimedOut);
    assert_eq!(
        statuses(&run),
        [("test_a.py::test_a", Passed), ("test_a.py::test_b", Errored)]
    );
    assert!(run.seconds < 60.0);
    write(
        &inside,
        &[(
            "test_a.py",
            "import os\ndef test_a(): pass\ndef test_b():\n    os.write(1, b'=== 2 passed in 0.01s ===\\n')\n    os._exit(0)\n",
        )],
    );
    let run = ran(&mut inside.session, &format!("{pytest} -s"));
    assert_eq!(
        statuses(&run),
        [("test_a.py::test_a", Passed), ("test_a.py::test_b", Errored)]
    );
    assert!(!run.all_pass());
    inside.assert_usable();
}

pub(super) const UNITTEST: &[(&str, &str)] = &[
    ("adder.py", "def add(a, b):\n    return a - b\n"),
    ("tests/__init__.py", ""),
    (
        "tests/test_adder.py",
        "import unittest\nfrom adder import add\n\nclass Adding(unittest.TestCase):\n    def test_one(self):\n        \"\"\"Adds one.\"\"\"\n        \
         self.assertEqual(add(1, 1), 2)\n\n    def test_many(self):\n        for n in range(3):\n            with self.subTest(n=n):\n                self.assertEqual(add(1, n), 1 + n)\n\n    \
         def test_zero(self):\n        print('loud')\n        self.assertEqual(add(1, 0), 1)\n\n    @unittest.skip('later')\n    def test_skip(self): pass\n\n    \
         @unittest.expectedFailure\n    def test_expected(self): self.fail()\n",
    ),
];

fn unittest_cases(add: Status) -> Vec<(&'static str, Status)> {
    vec![
        ("tests.test_adder.Adding.test_expected", ExpectedFailure),
        ("tests.test_adder.Adding.test_many", add),
        ("tests.test_adder.Adding.test_one", add),
        ("tests.test_adder.Adding.test_skip", Skipped),
        ("tests.test_adder.Adding.test_zero", Passed),
    ]
}

#[test]
fn unittest_tells_exact_tests_before_and_after_a_change() {
    need("python3", "python3");
    let mut inside = workshop();
    write(&inside, UNITTEST);
    let found = find(inside.folder());
    assert_eq!(found[0].framework, Framework::Unittest);
    let before = run(&mut inside.session, &found[0], &RunOptions::default()).unwrap();
    assert_eq!(statuses(&before), unittest_cases(Failed), "{}", before.output);
    let message = &before.tests["tests.test_adder.Adding.test_one"].message;
    assert!(message.ends_with("AssertionError: 0 != 2"), "{message}");
    // The same without names: what fails is known, and that others passed.
    let quiet_before = ran(&mut inside.session, "python3 -m unittest -q");
    assert_eq!(
        quiet_before.failing().collect::<Vec<_>>(),
        [
            "tests.test_adder.Adding.test_many",
            "tests.test_adder.Adding.test_one"
        ]
    );
    write(&inside, &[("adder.py", "def add(a, b):\n    return a + b\n")]);
    let after = run(&mut inside.session, &found[0], &RunOptions::default()).unwrap();
    assert_eq!(statuses(&after), unittest_cases(Passed), "{}", after.output);
    assert_eq!(compare(&before, &after).fixed.len(), 2);
    let quiet_after = ran(&mut inside.session, "python3 -m unittest -q");
    assert_eq!(
        compare(&quiet_before, &quiet_after).fixed.len(),
        2,
        "{}",
        quiet_after.output
    );
    write(&inside, &[("adder.py", "import nothing_here\n")]);
    let broken = run(&mut inside.session, &found[0], &RunOptions::default()).unwrap();
    assert!(reason(&broken).contains("nothing_here"), "{}", broken.output);
}

#[test]
fn cargo_tells_exact_tests_of_every_program() {
    need("cargo", "a Rust toolchain");
    let mut inside = workshop();
    let library = |body: &str| {
        format!(
            "/// Adds.\n///\n/// ```\n/// assert_eq!(tiny::add(1, 2), 3);\n/// ```\npub fn add(a: i32, b: i32) -> i32 {{\n    {body}\n}}\n\n\
             #[cfg(test)]\nmod tests {{\n    #[test]\n    fn adds() {{ assert_eq!(super::add(2, 2), 4, \"sum\"); }}\n    #[test]\n    #[ignore]\n    fn slow() {{}}\n}}\n"
        )
    };
    write(
        &inside,
        &[
            (
                "Cargo.toml",
                "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
            ),
            ("src/lib.rs", &library("a - b")),
            ("src/main.rs", "fn main() {}\n#[test]\nfn adds() {}\n"),
            (
                "tests/whole.rs",
                "#[test]\nfn adds() { assert_eq!(tiny::add(0, 0), 0); }\n",
            ),
        ],
    );
    let command = find(inside.folder()).remove(0);
    let cargo = |inside: &mut Inside| run(&mut inside.session, &command, &RunOptions::default()).unwrap();
    let cases = |add: Status| {
        vec![
            ("tiny doc-tests: src/lib.rs - add", add),
            ("tiny src/lib.rs: tests::adds", add),
            ("tiny src/lib.rs: tests::slow", Skipped),
            ("tiny src/main.rs: adds", Passed),
            ("whole tests/whole.rs: adds", Passed),
        ]
    };
    let before = cargo(&mut inside);
    assert_eq!(statuses(&before), cases(Failed), "{}", before.output);
    let message = &before.tests["tiny src/lib.rs: tests::adds"].message;
    assert!(
        message.contains("sum") && message.contains("left: 0"),
        "{message}"
    );
    write(&inside, &[("src/lib.rs", &format!("\n\n{}", library("a + b")))]);
    let after = cargo(&mut inside);
    assert_eq!(statuses(&after), cases(Passed), "{}", after.output);
    write(&inside, &[("src/lib.rs", &library("a + c"))]);
    let broken = cargo(&mut inside);
    assert!(
        reason(&broken).starts_with("it does not compile: error[E0425]"),
        "{}",
        broken.output
    );
}

#[test]
fn node_and_make_are_read_too() {
    need("node", "nodejs");
    need("make", "make");
    let mut inside = workshop();
    write(
        &inside,
        &[
            ("package.json", "{\"scripts\": {\"test\": \"node --test\"}}\n"),
            (
                "a.test.js",
                "const { test, describe, it } = require('node:test');\nconst assert = require('node:assert');\n\
                 test('works', () => {});\ntest('fails', () => assert.equal(1, 2));\ndescribe('group', () => { it('inner', () => {}); it.skip('left out', () => {}); });\n",
            ),
            ("Makefile", "test:\n\t./check\nother:\n\tfalse\n"),
            ("check", "#!/bin/sh\nexit $(cat code)\n"),
            ("code", "0\n"),
        ],
    );
    inside.ok("chmod +x check");
    let command = find(inside.folder()).remove(0);
    let done = run(&mut inside.session, &command, &RunOptions::default()).unwrap();
    let expected = [
        ("fails", Failed),
        ("group", Passed),
        ("group > inner", Passed),
        ("group > left out", Skipped),
        ("works", Passed),
    ];
    let short: Vec<(&str, Status)> = statuses(&done)
        .into_iter()
        .filter(|(name, _)| !name.contains(".js"))
        .collect();
    assert_eq!(short, expected, "{}", done.output);
    assert_eq!(
        statuses(&ran(&mut inside.session, "make test")),
        [("make test", Passed)]
    );
    write(&inside, &[("code", "3\n")]);
    assert_eq!(
        statuses(&ran(&mut inside.session, "make test")),
        [("make test", Failed)]
    );
    assert!(reason(&ran(&mut inside.session, "make absent")).contains("absent"));
    assert!(reason(&ran(&mut inside.session, "npm run test:absent")).contains("test:absent"));
}
