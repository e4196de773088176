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
