//! What comes out: the patch, the evidence, the exit code.

use super::{BREAK, CALCULATOR, Desk, END, ISSUE, MEND, SUBMIT, TEST, WRITE, assert_says, endings, refuses};

#[test]
fn a_verified_patch_is_all_that_stdout_gets() {
    let desk = Desk::calculator();
    let done = desk.fix(&desk.script(&[MEND, WRITE, SUBMIT, END]), &[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    desk.assert_untouched();
    assert!(
        done.text()
            .starts_with("diff --git a/calculator.py b/calculator.py\n")
    );
    assert!(done.stderr.contains("1 failed, 1 passed"), "{}", done.stderr);
    // The record stays: the journal, the report, the patch.
    let [run] = &desk.runs()[..] else {
        panic!("one run")
    };
    assert_eq!(std::fs::read(run.join("patch.diff")).unwrap(), done.stdout);
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.join("report.json")).unwrap()).unwrap();
    assert_eq!(
        (report["verified"].as_bool(), report["chosen"].as_str()),
        (Some(true), Some("attempt-1"))
    );
    assert!(run.join("journal.jsonl").is_file());
    // What was only needed for the work does not.
    assert!(!run.join("tree").exists() && !run.join("attempts").exists());
}

#[test]
fn a_patch_that_breaks_tests_is_kept_and_not_printed() {
    let desk = Desk::calculator();
    let model = desk.script(&[BREAK, WRITE, SUBMIT, END]);
    let done = desk.fix(&model, &[]);
    assert_eq!((done.code, done.text().as_str()), (1, ""), "{}", done.stderr);
    let patch = desk.runs()[0].join("patch.diff");
    let said: String = done.stderr.split_whitespace().collect();
    assert!(said.contains(patch.to_str().unwrap()), "{}", done.stderr);
    assert!(std::fs::read_to_string(&patch).unwrap().contains("a * b"));
    desk.assert_untouched();
    // On the user's word the best one is printed all the same, and the exit code still tells.
    let done = desk.fix(&model, &["--accept", "best"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.text().contains("a * b"));
}

#[test]
fn the_best_of_several_attempts_wins() {
    let desk = Desk::calculator();
    let answer = |seed: u64, when: &str, text: &str| {
        serde_json::json!({ "seed": seed, "when": [when], "text": text }).to_string()
    };
    let mut lines = Vec::new();
    for (seed, first) in [(10, BREAK), (11, MEND), (12, BREAK)] {
        lines.push(answer(seed, "<issue_description>", first));
        lines.push(answer(seed, "<submission>", END));
        lines.push(answer(seed, "/tmp/fix.patch written", SUBMIT));
        lines.push(answer(seed, "<output>", WRITE));
    }
    let model = desk.lines(&lines);
    let done = desk.fix(&model, &["-n", "3", "--seed", "10"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.text().contains("+    return a + b"), "{}", done.text());
    // The same seed gives the same patch.
    assert_eq!(desk.fix(&model, &["-n", "3", "--seed", "10"]).stdout, done.stdout);
}

#[test]
fn apply_changes_the_working_tree_and_output_a_file() {
    let desk = Desk::calculator();
    let patch = desk.repository.root.with_file_name("fix.diff");
    let model = desk.script(&[MEND, WRITE, SUBMIT, END]);
    let done = desk.fix(&model, &["--apply", "-o", patch.to_str().unwrap()]);
    assert_eq!((done.code, done.text().as_str()), (0, ""), "{}", done.stderr);
    assert!(
        std::fs::read_to_string(&patch)
            .unwrap()
            .contains("+    return a + b")
    );
    let changed = desk.repository.shell("git diff").ok();
    assert_eq!(changed.as_bytes(), std::fs::read(&patch).unwrap());
}

/// The end of a run whose verified patch could not be put where it was wanted: the evidence, the reason, and where the patch lies.
#[track_caller]
fn assert_kept(desk: &Desk, done: &crate::copies::Done, code: i32, reasons: &[&str]) {
    let verdict = "makes 1 failing test pass and breaks none. It was not handed over as asked.";
    let says = [
        &["Verified: the patch of attempt-1", verdict, "after: 2 passed"][..],
        reasons,
    ]
    .concat();
    assert_eq!(done.code, code, "{}", done.stderr);
    assert_says(done, &says);
    let patch = desk.runs().pop().unwrap().join("patch.diff");
    let path = patch.to_str().unwrap();
    assert!(
        done.stderr.contains(&format!("  patch    {path}\n")),
        "{}",
        done.stderr
    );
    let hint = done
        .stderr
        .lines()
        .find(|line| line.trim_start().starts_with("hint:"));
    assert!(hint.is_some_and(|hint| hint.contains(path)), "{}", done.stderr);
    assert!(
        std::fs::read_to_string(&patch)
            .unwrap()
            .contains("+    return a + b")
    );
}

#[test]
fn a_patch_that_cannot_be_written_does_not_take_the_evidence_with_it() {
    let desk = Desk::calculator();
    let model = desk.script(&[MEND, WRITE, SUBMIT, END]);
    let done = desk.fix(&model, &["-o", "/proc/x.diff"]);
    assert_kept(&desk, &done, 3, &["error: /proc/x.diff cannot be written."]);
    assert_eq!(done.text(), "");
    desk.assert_untouched();
}

#[test]
fn a_patch_that_cannot_be_applied_does_not_take_the_evidence_with_it() {
    let desk = Desk::calculator();
    let model = endings::slow(&desk);
    let child = desk.spawn(&["fix", "-m", ISSUE, "--test", TEST, "--model", &model, "--apply"]);
    desk.wait_for_lines(3);
    desk.repository
        .shell("sed -i 's/a - b/a -  b/' calculator.py")
        .ok();
    let mine = desk.repository.picture();
    let done: crate::copies::Done = child.wait_with_output().unwrap().into();
    assert_kept(&desk, &done, 5, &["Nothing was changed", "`cwm apply --3way"]);
    assert!(
        done.text().contains("+    return a + b"),
        "it is printed all the same"
    );
    desk.repository.assert_untouched(&mine, "the repository");
}

#[test]
fn where_other_tests_fail_as_well_the_option_to_give_is_named() {
    let unrelated = "printf '\n    def test_unrelated(self):\n        self.fail()\n' >> test_calculator.py";
    let desk = Desk::new(&format!("{CALCULATOR}\n{unrelated}"));
    let model = desk.script(&[MEND, WRITE, SUBMIT, END]);
    let done = desk.fix(&model, &[]);
    let says = [
        "Not verified: the patch of attempt-1 makes 1 failing test pass and breaks none, but 1 test that failed before fails still.",
        "1 of 2 that failed before do not pass with it: test_calculator.CalculatorTest.test_unrelated",
        "Where what still fails is another matter, name the issue's own tests:",
    ];
    refuses(&done, 1, &says);
    let own = "python3 -m unittest -v test_calculator.CalculatorTest.test_add";
    let option = format!("\n    --test '{own}'\n");
    assert!(done.stderr.contains(&option), "{}", done.stderr);
    // Given so, it is verified.
    let done = desk.run(&["fix", "-m", ISSUE, "--model", &model, "--test", own]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    // A command that fails as a whole is left out as a whole.
    let done = desk.run(&[
        "fix", "-m", ISSUE, "--model", &model, "--test", own, "--test", "false",
    ]);
    assert!(done.stderr.contains(&option), "{}", done.stderr);
    assert!(!done.stderr.contains("--test false"), "{}", done.stderr);
    // Where the patch breaks something, or mends nothing, no option helps.
    let done = desk.fix(&desk.script(&[BREAK, WRITE, SUBMIT, END]), &[]);
    assert!(!done.stderr.contains("--test"), "{}", done.stderr);
}

#[test]
fn uncommitted_work_is_part_of_the_base() {
    let desk = Desk::calculator();
    desk.repository
        .shell("echo '# mine' >> calculator.py; echo 'x = 1' > new.py")
        .ok();
    let before = desk.repository.picture();
    let done = desk.fix(&desk.script(&[MEND, WRITE, SUBMIT, END]), &[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    desk.repository.assert_untouched(&before, "the repository");
    // The patch holds the fix alone, and fits the tree as it is.
    assert!(!done.text().contains("mine") && !done.text().contains("new.py"));
    std::fs::write(desk.repository.root.with_file_name("a.diff"), &done.stdout).unwrap();
    desk.repository.shell("git apply --check ../a.diff").ok();
}

#[test]
fn events_tell_the_whole_run() {
    let desk = Desk::calculator();
    let done = desk.fix(&desk.script(&[MEND, WRITE, SUBMIT, END]), &["--json"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let events: Vec<serde_json::Value> = done
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    for name in [
        "fix.run",
        "fix.baseline",
        "fix.tool",
        "fix.validation",
        "fix.result",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert_eq!(names.last(), Some(&"end"));
    let result = &events[names.iter().position(|name| *name == "fix.result").unwrap()];
    assert!(result["patch"].as_str().unwrap().contains("+    return a + b"));
    // Quiet says nothing but the patch.
    let quiet = desk.fix(&desk.script(&[MEND, WRITE, SUBMIT, END]), &["--quiet"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
}

#[test]
fn two_runs_on_one_repository_do_not_meet() {
    let desk = Desk::calculator();
    let model = desk.script(&[MEND, WRITE, SUBMIT, END]);
    let words = ["fix", "-m", ISSUE, "--test", TEST, "--model", &model];
    let both = [desk.spawn(&words), desk.spawn(&words)];
    for one in both {
        let done: crate::copies::Done = one.wait_with_output().unwrap().into();
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(done.text().contains("+    return a + b"));
    }
    assert_eq!(desk.runs().len(), 2);
    desk.assert_untouched();
}

#[test]
fn settings_come_from_files_and_flags_outrank_them() {
    let desk = Desk::calculator();
    let model = desk.script(&[MEND, WRITE, SUBMIT, END]);
    desk.repository
        .shell(&format!("printf 'tests = [\"{TEST}\"]\\n' > cwm.toml"))
        .ok();
    let done = desk.run(&["fix", "-m", ISSUE, "--model", &model]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    // A variable outranks the file, and a flag both.
    let words = ["fix", "-m", ISSUE, "--model", &model];
    let tested = |words: &[&str], variable: Option<&str>| {
        let mut command = desk.command(words);
        if let Some(value) = variable {
            command.env("CWM_TESTS", value);
        }
        let done: crate::copies::Done = command.output().unwrap().into();
        let commands = desk.journal()[0]["tests"].as_array().unwrap().clone();
        let commands = commands
            .iter()
            .map(|test| test["command"].as_str().unwrap().to_owned());
        (done, commands.collect::<Vec<_>>())
    };
    let (done, tests) = tested(&words, Some("false"));
    assert_eq!(tests, ["false"]);
    refuses(&done, 1, &["tests before any change: false: 1 failed"]);
    let flag = [&words[..], &["--issue-tests", "0", "--test", "true"]].concat();
    let (done, tests) = tested(&flag, Some("false"));
    assert_eq!(tests, ["true"]);
    refuses(&done, 1, &["tests before any change: true: 1 passed"]);
    // What the repository must not decide is refused.
    desk.repository
        .shell("echo 'network = \"host\"' >> cwm.toml")
        .ok();
    let refused = desk.run(&["fix", "-m", ISSUE, "--model", &model]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("network"), "{}", refused.stderr);
}
