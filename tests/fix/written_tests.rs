//! Where no test fails before anything is changed, tests that the model writes for the issue decide.

use std::process::Command;

use serde_json::{Value, json};

use super::one_shot::{RIGHT, WORSE, WRONG, script};
use super::{CALCULATOR, Desk, END, MEND, SUBMIT, WRITE, assert_says};

/// The calculator without the test that shows what is wrong with it.
fn untested() -> Desk {
    Desk::new(&format!(
        "{CALCULATOR}\nsed -i '/def test_add/,/5)/d' test_calculator.py"
    ))
}

/// What tests are asked for with.
const ASKED: &str = "Write assert statements";

/// An answer to that, behind `assert add(`.
fn asserts(text: &str) -> Value {
    json!({"when": [ASKED], "text": text})
}

fn report(desk: &Desk) -> Value {
    let [run] = &desk.runs()[..] else {
        panic!("one run")
    };
    serde_json::from_slice(&std::fs::read(run.join("report.json")).unwrap()).unwrap()
}

/// What a model that works in turns says: to what asks for a test it creates one and hands it in, and it mends what is wrong with seed 0.
pub(super) fn in_turns(asked: &str, create: &str, mend: &str) -> [String; 6] {
    let turn = |when: &str, text: &str| json!({"seed": 0, "when": [when], "text": text}).to_string();
    let add = "Now the patch.\n</think>\n<tool: bash>\ngit add -A; git diff --cached > /tmp/fix.patch; git reset -q; echo /tmp/fix.patch written\n</tool>";
    [
        json!({"when": [asked], "text": create}).to_string(),
        json!({"when": ["Created"], "text": add}).to_string(),
        turn("<issue_description>", mend),
        turn("<submission>", END),
        turn("/tmp/fix.patch written", SUBMIT),
        turn("<output>", WRITE),
    ]
}

#[test]
fn tests_of_the_model_verify_what_no_test_of_the_repository_shows() {
    let desk = untested();
    let answers = [
        asserts(
            "2, 3) == 5\nassert add(0, 4) == 4\nassert add(2, 2) == 4\nassert add(1, 1) == 3\nassert missing(1) == 1\n",
        ),
        json!({"seed": 0, "text": WRONG}),
        json!({"seed": 1, "text": RIGHT}),
        json!({"seed": 2, "text": RIGHT}),
        json!({"seed": 3, "text": WORSE}),
    ];
    let done = desk.fix(&script(&desk, &answers), &["-n", "4", "--rounds", "1"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.text().contains("+    return a + b"), "{}", done.text());
    assert_says(
        &done,
        &["passes 3 of 4 tests written for the issue", "report.html"],
    );
    desk.assert_untouched();
    let report = report(&desk);
    assert_eq!(
        (report["verified"].as_bool(), report["chosen"].as_str()),
        (Some(true), Some("attempt-2"))
    );
    let tests = report["evidence"]["tests"].as_array().unwrap();
    let cells: Vec<&str> = tests.iter().map(|test| test["cells"].as_str().unwrap()).collect();
    // The test with a mistake of its own does not count; the one that asks for the wrong thing nobody passes.
    assert_eq!(cells, ["-++-", "-++-", "+++-", "----"], "{tests:?}");
    assert_eq!(tests[0]["votes"], 4);
}

#[test]
fn attempts_that_are_not_needed_are_not_made() {
    let desk = untested();
    let mut answers = vec![
        asserts("2, 3) == 5\nassert add(0, 4) == 4\nassert add(2, 2) == 4\n"),
        json!({"seed": 0, "text": WRONG}),
    ];
    answers.extend((1..16).map(|seed| json!({"seed": seed, "text": RIGHT})));
    let model = script(&desk, &answers);
    let words = ["-n", "16", "--rounds", "1", "--parallel", "2"];
    let done = desk.fix(&model, &words);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_says(&done, &["are not needed"]);
    let made = |desk: &Desk| report(desk)["evidence"]["candidates"].as_array().unwrap().len();
    let some = made(&desk);
    assert!((3..16).contains(&some), "{some}: {}", done.stderr);
    // How many it is does not depend on which are done first.
    for parallel in ["1", "7"] {
        assert_eq!(desk.run(&["runs", "rm", "last"]).code, 0);
        let done = desk.fix(&model, &["-n", "16", "--rounds", "1", "--parallel", parallel]);
        assert_eq!((done.code, made(&desk)), (0, some), "{parallel}: {}", done.stderr);
    }
    let done = desk.fix(&model, &[&words[..], &["--all-attempts"]].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(!done.stderr.contains("are not needed"), "{}", done.stderr);
}

#[test]
fn where_nothing_else_tells_patches_apart_the_model_is_asked() {
    let desk = untested();
    let turned = RIGHT.replace("a + b", "b + a");
    let answers = |opinions: [&str; 2]| {
        let mut answers = vec![
            asserts("2, 3) == 5\nassert add(0, 4) == 4\n"),
            json!({"seed": 0, "text": RIGHT, "when": ["Here is the issue"]}),
            json!({"seed": 1, "text": turned}),
        ];
        answers.extend(opinions.map(|text| json!({ "text": text })));
        script(&desk, &answers)
    };
    let words = [
        "-n",
        "2",
        "--rounds",
        "1",
        "--all-attempts",
        "--min-evidence",
        "10",
    ];
    let done = desk.fix(&answers([" 2", " 1"]), &words);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.text().contains("+    return b + a"),
        "{} {}",
        done.text(),
        done.stderr
    );
    assert_says(&done, &["the model prefers it"]);
    // What it says of whichever is shown first is no opinion.
    let done = desk.fix(&answers([" 1", " 1"]), &words);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.text().contains("+    return a + b"),
        "{} {}",
        done.text(),
        done.stderr
    );
    assert!(!done.stderr.contains("the model prefers it"), "{}", done.stderr);
}

/// A suite of which a slow test without imports looks at another file.
const FAR: &str = r#"
printf 'def shout(text):\n    return text.upper()\n' > text.py
cat > test_far.py <<'END'
import time
import unittest


class FarTest(unittest.TestCase):
    def test_text(self):
        time.sleep(1.3)
        self.assertIn("upper", open("text.py").read())

    def test_nothing(self):
        time.sleep(1.3)
END
"#;

#[test]
fn a_run_does_not_end_early_with_a_patch_that_a_slow_test_refuses() {
    let desk = Desk::new(&format!(
        "{CALCULATOR}\nsed -i '/def test_add/,/5)/d' test_calculator.py\n{FAR}"
    ));
    let far = "text.py\n<<<<<<< SEARCH\n    return text.upper()\n=======\n    return text.lower()\n>>>>>>> REPLACE\n";
    let mut answers = vec![asserts(
        "2, 3) == 5\nassert add(0, 4) == 4\nassert add(2, 2) == 4\n",
    )];
    answers.extend((0..3).map(|seed| json!({"seed": seed, "text": format!("{RIGHT}\n{far}")})));
    answers.extend((3..10).map(|seed| json!({"seed": seed, "text": RIGHT})));
    let model = script(&desk, &answers);
    let test = "python3 -m unittest -v test_calculator test_far";
    let words = [
        "-m",
        super::ISSUE,
        "--model",
        &model,
        "--test",
        test,
        "--test-budget",
        "1s",
    ];
    let more = ["-n", "10", "--rounds", "1", "--min-evidence", "60"];
    let done = desk.run(&[&["fix"], &words[..], &more].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(!done.text().contains("text.lower"), "{}", done.text());
    let report = report(&desk);
    let chosen: usize = report["chosen"]
        .as_str()
        .unwrap()
        .trim_start_matches("attempt-")
        .parse()
        .unwrap();
    assert!(chosen >= 4, "{chosen}: {}", done.stderr);
    let partial = |candidate: &&Value| candidate["partial"] == true;
    let candidates = report["evidence"]["candidates"].as_array().unwrap();
    let first = candidates
        .iter()
        .find(|candidate| candidate["name"] == report["chosen"]);
    assert!(
        first.is_some() && first.filter(partial).is_none(),
        "{candidates:?}"
    );
}

#[test]
fn thin_evidence_keeps_the_patch_back() {
    let desk = untested();
    let answers = [asserts("2, 3) == 5\n"), json!({"text": RIGHT})];
    let model = script(&desk, &answers);
    let words = ["-n", "1", "--rounds", "1"];
    let done = desk.fix(&model, &[&words[..], &["--min-evidence", "100"]].concat());
    assert_eq!((done.code, done.text().as_str()), (1, ""), "{}", done.stderr);
    assert!(desk.runs()[0].join("patch.diff").is_file());
    // Without tests written there is none at all.
    let done = desk.fix(&model, &[&words[..], &["--issue-tests", "0"]].concat());
    assert_eq!((done.code, done.text().as_str()), (1, ""), "{}", done.stderr);
}

#[test]
fn a_patch_that_breaks_something_is_not_verified_by_written_tests() {
    let desk = untested();
    let both = "calculator.py\n<<<<<<< SEARCH\ndef add(a, b):\n    return a - b\n\n\ndef subtract(a, b):\n    return a - b\n=======\ndef add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    return a + b\n>>>>>>> REPLACE\n";
    let answers = [asserts("2, 3) == 5\n"), json!({"text": both})];
    let done = desk.fix(&script(&desk, &answers), &["-n", "1", "--rounds", "1"]);
    assert_eq!((done.code, done.text().as_str()), (1, ""), "{}", done.stderr);
    assert_says(&done, &["conflicts with 1 test"]);
}

#[test]
fn a_model_that_works_in_turns_writes_a_script() {
    let desk = untested();
    let create = "A script.\n</think>\n<tool: create>\ntest_issue.py\nfrom calculator import add\ntry:\n    print(\"Issue resolved\" if add(2, 3) == 5 else \"Issue reproduced\")\nexcept Exception:\n    print(\"Other issues\")\n</tool>";
    let lines = in_turns("Write the test that tells", create, MEND);
    let done = desk.fix(
        &desk.lines(&lines),
        &["-n", "1", "--issue-tests", "1", "--min-evidence", "30"],
    );
    let journal = desk.journal();
    let written: Vec<&Value> = journal
        .iter()
        .filter(|line| line["event"] == "written_tests")
        .collect();
    assert_eq!(written.len(), 1, "{}", done.stderr);
    assert_eq!(written[0]["attempt"], "tests-1");
    assert!(
        written[0]["tests"][0]["script"]
            .as_str()
            .unwrap()
            .contains("Issue resolved"),
        "{written:?} {}",
        done.stderr
    );
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_says(&done, &["passes 1 of 1 test written for the issue"]);
}

#[test]
fn a_model_that_works_in_turns_may_leave_a_file_for_unittest() {
    let desk = untested();
    let create = "A test.\n</think>\n<tool: create>\ntest_adding.py\nimport unittest\n\nfrom calculator import add\n\n\nclass AddingTest(unittest.TestCase):\n    def test_two_and_three(self):\n        self.assertEqual(add(2, 3), 5)\n</tool>";
    let lines = in_turns("Write the test that tells", create, MEND);
    let words = ["-n", "1", "--issue-tests", "1", "--min-evidence", "30"];
    let done = desk.fix(&desk.lines(&lines), &words);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_says(&done, &["passes 1 of 1 test written for the issue"]);
    let report = report(&desk);
    assert_eq!(
        report["evidence"]["tests"][0]["name"],
        "test_adding.py of tests-1"
    );
}

#[test]
#[ignore = "needs Chromium (full tier)"]
fn a_browser_shows_the_report() {
    let desk = untested();
    let answers = [
        asserts("2, 3) == 5\nassert add(0, 4) == 4\nassert add(2, 2) == 4\n"),
        json!({"seed": 0, "text": WRONG}),
        json!({"seed": 1, "text": RIGHT}),
        json!({"seed": 2, "text": WORSE}),
    ];
    let done = desk.fix(&script(&desk, &answers), &["-n", "3", "--rounds", "1"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let root = env!("CARGO_MANIFEST_DIR");
    let picture = format!("{root}/target/report.png");
    let checked = Command::new(format!("{root}/scripts/check-report"))
        .arg(desk.runs()[0].join("report.html"))
        .args(["--screenshot", &picture])
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    assert!(std::fs::metadata(picture).unwrap().len() > 10_000);
}
