//! Exit codes, reports and printed text that do not agree.

use super::*;
use crate::suite::parse::pytest_report;

fn judged(command: &str, code: i32, text: &str, report: &str) -> TestRun {
    judge(Seen {
        command: &TestCommand::given(command),
        ending: &Ending::Exited(code),
        text,
        output: text.to_owned(),
        report: pytest_report::read(report),
        documents: Parsed::default(),
        selected: BTreeSet::new(),
        seconds: 0.0,
    })
}

fn statuses(run: &TestRun) -> Vec<(&str, Status)> {
    run.tests
        .iter()
        .map(|(name, case)| (name.as_str(), case.status))
        .collect()
}

const PASSES: &str = "{\"event\":\"begin\"}\n{\"event\":\"start\",\"id\":\"t.py::a\"}\n\
    {\"event\":\"test\",\"id\":\"t.py::a\",\"when\":\"call\",\"outcome\":\"passed\",\"expected\":false,\"seconds\":0.1,\"message\":\"\"}\n\
    {\"event\":\"end\",\"id\":\"t.py::a\"}\n";
const FINISHED: &str = "{\"event\":\"finish\",\"status\":0}\n";

#[test]
fn a_failing_exit_code_shows_though_every_test_passed() {
    let run = judged("pytest", 3, "1 passed in 0.1s\n", &format!("{PASSES}{FINISHED}"));
    assert_eq!(
        statuses(&run),
        [("(exit status 3)", Status::Failed), ("t.py::a", Status::Passed)]
    );
    assert!(!run.all_pass());
}

#[test]
fn a_pytest_that_never_finished_did_not_pass() {
    let run = judged("pytest", 0, "=== 7 passed in 0.10s ===\n", PASSES);
    assert_eq!(
        statuses(&run),
        [
            ("(the run broke off)", Status::Errored),
            ("t.py::a", Status::Passed)
        ]
    );
    let running = "{\"event\":\"begin\"}\n{\"event\":\"start\",\"id\":\"t.py::b\"}\n";
    let run = judged("pytest", 0, "=== 7 passed in 0.10s ===\n", running);
    assert_eq!(statuses(&run), [("t.py::b", Status::Errored)]);
    assert_eq!(run.ending, RunEnding::Ran);
}

#[test]
fn printed_words_do_not_outweigh_the_report() {
    let failing = PASSES.replace("passed", "failed") + "{\"event\":\"finish\",\"status\":1}\n";
    let run = judged(
        "pytest || true",
        0,
        "t.py::a PASSED\n=== 1 passed in 0.01s ===\n",
        &failing,
    );
    assert_eq!(statuses(&run), [("t.py::a", Status::Failed)]);
}

#[test]
fn what_keeps_tests_from_running_is_said() {
    let cases = [
        (
            "nothere",
            127,
            "bash: line 2: nothere: command not found\n",
            "a program is missing: bash: line 2: nothere: command not found",
        ),
        (
            "python3 -m pytest",
            1,
            "/usr/bin/python3: No module named pytest\n",
            "pytest is not installed for this Python",
        ),
        (
            "make test",
            2,
            "make: *** No rule to make target 'test'.  Stop.\n",
            "make cannot start: make: *** No rule to make target 'test'.  Stop.",
        ),
        (
            "npm test",
            1,
            "npm error Missing script: \"test\"\n",
            "npm cannot start: npm error Missing script: \"test\"",
        ),
        (
            "npm test",
            1,
            "\n> a@1 test\n> jest\n\nsh: 1: jest: not found\n",
            "a program is missing: sh: 1: jest: not found",
        ),
        ("pytest", 5, "\nno tests ran in 0.01s\n", "pytest found no tests"),
    ];
    for (command, code, text, expected) in cases {
        let run = judged(command, code, text, "");
        assert_eq!(
            run.ending,
            RunEnding::NotStarted {
                reason: expected.to_owned()
            },
            "{command}"
        );
        assert!(run.tests.is_empty() && !run.all_pass());
    }
}

#[test]
fn a_command_that_says_nothing_is_one_test() {
    assert_eq!(
        statuses(&judged("./check", 0, "", "")),
        [("./check", Status::Passed)]
    );
    assert_eq!(
        statuses(&judged("./check", 1, "bad\n", "")),
        [("./check", Status::Failed)]
    );
}

#[test]
fn a_module_that_cannot_be_imported_alone_is_no_run() {
    let report = "{\"event\":\"begin\"}\n\
        {\"event\":\"collect\",\"id\":\"t.py\",\"outcome\":\"failed\",\"message\":\"E   ModuleNotFoundError: No module named 'x'\"}\n\
        {\"event\":\"finish\",\"status\":2}\n";
    let run = judged("pytest", 2, "", report);
    let reason = "t.py cannot be collected: ModuleNotFoundError: No module named 'x'".to_owned();
    assert_eq!(run.ending, RunEnding::NotStarted { reason });
    assert_eq!(statuses(&run), [("t.py", Status::Errored)]);
}

/// A test that prints that all is well and then ends its program with 0.
#[test]
fn a_runner_that_never_summed_up_did_not_pass() {
    let broken_off = [
        ("python -m unittest -v", "test_a (t.A.test_a) ... ok\n"),
        ("make test", "test_a (t.A.test_a) ... ok\n"),
        // The first of two ended in order.
        (
            "python -m unittest -v t && python -m unittest -v u",
            "test_a (t.A.test_a) ... ok\n\nRan 1 test in 0.001s\n\nOK\ntest_b (u.B.test_b) ... ok\n",
        ),
        ("go test -v ./...", "=== RUN   TestA\n--- PASS: TestA (0.00s)\n"),
        (
            "go test -json ./...",
            "{\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"TestA\"}\n{\"Action\":\"pass\",\"Package\":\"p\",\"Test\":\"TestA\"}\n",
        ),
    ];
    for (command, text) in broken_off {
        let run = judged(command, 0, text, "");
        assert_eq!(
            run.tests.get(BROKE_OFF).map(|case| case.status),
            Some(Status::Errored),
            "{command}"
        );
        assert!(!run.all_pass(), "{command}");
    }
    let run = judged("cargo test", 0, "running 2 tests\ntest a ... ok\n", "");
    assert!(!run.all_pass());
    // These came to their end.
    for (command, text) in [
        (
            "python -m unittest -v",
            "test_a (t.A.test_a) ... ok\n\nRan 1 test in 0.001s\n\nOK\n",
        ),
        (
            "trial t",
            "test_a (t.A.test_a) ... ok\n\nRan 1 tests in 0.001s\n\nPASSED (successes=1)\n",
        ),
        (
            "./p.test -test.v",
            "=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\n",
        ),
        (
            "go test -v",
            "=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\nok  \tp\t0.003s\n",
        ),
        (
            "cargo test",
            "running 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed\n",
        ),
    ] {
        assert!(judged(command, 0, text, "").all_pass(), "{command}");
    }
}

/// What fails before is in a package that no longer compiles, or whose program a panic ends before the test.
#[test]
fn a_go_package_that_failed_vouches_for_nothing() {
    let before =
        "--- FAIL: TestX (0.00s)\n    x_test.go:3: no\nFAIL\nFAIL\tp\t0.003s\nok  \tq\t0.002s\nFAIL\n";
    let before = judged("go test ./... | cat", 1, before, "");
    for after in [
        "# p [p.test]\n./x.go:4:9: undefined: c\nFAIL\tp [build failed]\nok  \tq\t0.002s\nFAIL\n",
        "--- FAIL: TestA (0.00s)\npanic: no [recovered]\n\tpanic: no\nFAIL\tp\t0.003s\nok  \tq\t0.002s\nFAIL\n",
    ] {
        let after = judged("go test ./... | cat", 1, after, "");
        let changes = crate::suite::compare(&before, &after);
        assert_eq!(changes.fixed, [""; 0], "{after:?}");
        assert_eq!(changes.still_failing, ["p.TestX"]);
        assert_eq!(changes.new_failing.len(), 1);
    }
    // Alone it does not even pass unnamed.
    let alone = judged(
        "go test",
        1,
        "--- FAIL: TestA (0.00s)\nFAIL\nFAIL\tp\t0.003s\n",
        "",
    );
    assert!(!alone.tests.contains_key(UNNAMED));
    let fixed = judged("go test ./... | cat", 0, "ok  \tp\t0.003s\nok  \tq\t0.002s\n", "");
    assert_eq!(crate::suite::compare(&before, &fixed).fixed, ["p.TestX"]);
}

#[test]
fn a_run_of_chosen_tests_says_nothing_of_others() {
    let text = "running 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed;\n";
    let skipped = "PASS a.test.js\n  \u{2713} x\n  \u{25cb} skipped y\n  \u{25cb} skipped z\nTests: 2 skipped, 1 passed, 3 total\n";
    let chosen = |command: &str, code: i32, text: &str, names: &[&str]| {
        judge(Seen {
            command: &TestCommand::given(command),
            ending: &Ending::Exited(code),
            text,
            output: text.to_owned(),
            report: Report::default(),
            documents: Parsed::default(),
            selected: names.iter().map(|&name| name.to_owned()).collect(),
            seconds: 0.0,
        })
    };
    let run = chosen("cargo test", 0, text, &["tests: a"]);
    assert!(run.is_partial() && run.went_well() && !run.all_pass());
    // What was not chosen was not skipped; what was chosen can have been.
    let run = chosen("npx jest", 0, skipped, &["a.test.js > x", "a.test.js > y"]);
    let expected = [
        ("a.test.js > x", Status::Passed),
        ("a.test.js > y", Status::Skipped),
    ];
    assert_eq!(statuses(&run), expected);
    // What cannot be built says the same of all.
    let broken =
        "error[E0425]: cannot find value\nerror: could not compile `tiny` (lib) due to 1 previous error\n";
    let run = chosen("cargo test", 101, broken, &["tests: a"]);
    assert!(
        matches!(run.ending, RunEnding::NotStarted { .. }) && !run.is_partial(),
        "{run:?}"
    );
}

#[test]
fn the_plugin_says_whether_it_chose() {
    let chose = format!("{{\"event\":\"select\"}}\n{PASSES}{FINISHED}");
    assert!(pytest_report::read(&chose).selected);
    assert!(!pytest_report::read(&format!("{PASSES}{FINISHED}")).selected);
}
