//! Where code is not Python, tests for the issue are files of the repository's own framework.

use serde_json::{Value, json};

use super::one_shot::script;
use super::written_tests::in_turns;
use super::{Desk, assert_says};
use crate::copies::Done;
use crate::session::harness::need;

/// A crate whose addition subtracts; its only test looks at something else.
const CRATE: &str = r#"
cat > Cargo.toml <<'END'
[package]
name = "tiny-sum"
version = "0.1.0"
edition = "2021"
END
mkdir src tests
cat > src/lib.rs <<'END'
//! Sums.

/// Adds.
pub fn add(a: i32, b: i32) -> i32 {
    a - b
}

/// Twice a number.
pub fn twice(a: i32) -> i32 {
    a * 2
}
END
cat > tests/twice.rs <<'END'
use tiny_sum::twice;

#[test]
fn twice_two_is_four() {
    assert_eq!(twice(2), 4);
}
END
printf 'target\nCargo.lock\n' > .gitignore
"#;

/// The toolchain that this is built with, and the command that tests the crate with it.
fn cargo() -> (String, String) {
    let programs = std::path::Path::new(env!("CARGO")).parent().unwrap();
    let toolchain = programs.parent().unwrap().display().to_string();
    let test = format!(
        "env PATH={}:/usr/bin:/bin cargo test --offline",
        programs.display()
    );
    (toolchain, test)
}

/// The same for Node, without any package.
const PACKAGE: &str = r#"
echo '{"name": "tiny", "scripts": {"test": "node --test"}}' > package.json
mkdir test
cat > sum.js <<'END'
// Adds.
function add(a, b) {
  return a - b;
}

module.exports = { add };
END
cat > test/sum.test.js <<'END'
const test = require('node:test');
const assert = require('node:assert');
const { add } = require('../sum.js');

test('nothing is added', () => {
  assert.strictEqual(add(2, 0), 2);
});
END
"#;

/// An answer that changes the body of the addition.
fn edit(path: &str, old: &str, new: &str) -> String {
    format!("{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n")
}

fn rust(new: &str) -> String {
    edit("src/lib.rs", "    a - b", &format!("    {new}"))
}

/// The answer to who asks for a file of tests.
fn tests(text: &str) -> Value {
    json!({"when": ["The code is wrong, so do not go by what it does. Write the file"], "text": text})
}

/// `cwm fix` of the addition with one attempt for each answer, tested by a command.
fn fix(desk: &Desk, command: &str, answers: &[Value], attempts: usize, words: &[&str]) -> Done {
    let (model, attempts) = (script(desk, answers), attempts.to_string());
    let usual = [
        "fix",
        "-m",
        "`add` subtracts.",
        "--test",
        command,
        "--model",
        &model,
        "-n",
        &attempts,
        "--rounds",
        "1",
    ];
    desk.run(&[&usual[..], words].concat())
}

/// The tests written for the issue, as the report has them.
fn columns(desk: &Desk) -> Vec<Value> {
    let [run] = &desk.runs()[..] else {
        panic!("one run")
    };
    let text = std::fs::read(run.join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&text).unwrap();
    let tests = report["evidence"]["tests"].as_array().unwrap().clone();
    tests
        .into_iter()
        .filter(|test| test["source"] == "written")
        .collect()
}

#[test]
fn a_small_model_writes_a_file_that_cargo_runs() {
    let desk = Desk::new(CRATE);
    // Behind `use tiny_sum::*;`.
    let file = "\n#[test]\nfn two_and_three() {\n    assert_eq!(add(2, 3), 5);\n}\n\n#[test]\nfn with_zero() {\n    assert_eq!(add(2, 0), 2);\n}\n\n\
                #[test]\nfn below_zero() {\n    assert_eq!(add(-1, 4), 3);\n}\n";
    let broken = "\n#[test]\nfn one_more() {\n    assert_eq!(add(7, 1), 8);\n}\n\n#[test]\nfn two_and_three() {\n    assert_eq!(missing(2, 3), 5);\n}\n";
    let answers = [
        json!({"when": ["The code is wrong, so do not go by what it does. Write the file"], "seed": 1, "text": broken}),
        tests(file),
        json!({"seed": 0, "text": rust("a * b")}),
        json!({"seed": 1, "text": rust("a + b")}),
    ];
    let (toolchain, command) = cargo();
    let words = ["--issue-tests", "3", "--min-evidence", "40", "--read", &toolchain];
    let done = fix(&desk, &command, &answers, 2, &words);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.text().contains("+    a + b"), "{}", done.text());
    assert_says(&done, &["passes 3 of 3 tests written for the issue"]);
    desk.assert_untouched();
    // What passes before anything is changed does not count, and what does not compile neither; the other test of its file does.
    let columns = columns(&desk);
    let seen: Vec<(&str, &str, u64)> = columns
        .iter()
        .map(|test| {
            (
                test["name"].as_str().unwrap(),
                test["cells"].as_str().unwrap(),
                test["votes"].as_u64().unwrap_or(1),
            )
        })
        .collect();
    let expected = [
        ("below_zero (tests/issue.rs of tests-1)", "-+", 2),
        ("two_and_three (tests/issue.rs of tests-1)", "-+", 2),
        ("one_more (tests/issue.rs of tests-2)", "-+", 1),
    ];
    assert_eq!(seen, expected, "{}", done.stderr);
    let journal = desk.journal();
    let written: Vec<&Value> = journal
        .iter()
        .filter(|line| line["event"] == "written_tests")
        .collect();
    assert_eq!(written[0]["tests"][0]["file"]["path"], "tests/issue.rs");
    let asked = |line: &&Value| line["attempt"] == "tests-1" && line["event"] == "message";
    let asked: String = journal.iter().filter(asked).map(Value::to_string).collect();
    assert!(
        asked.contains("fn twice_two_is_four"),
        "an existing test is shown: {asked}"
    );
}

#[test]
fn node_runs_a_file_and_wrong_patches_are_not_verified_by_it() {
    need("node", "nodejs");
    let desk = Desk::new(PACKAGE);
    let head = "const test = require('node:test');\nconst assert = require('node:assert');\nconst { add } = require('../sum.js');\n\n";
    let asserts = [
        "test('five', () => { assert.strictEqual(add(2, 3), 5); });",
        "test('one more', () => { assert.strictEqual(add(7, 1), 8); });",
        "test('below zero', () => { assert.strictEqual(add(-1, 3), 2); });",
        "test('twice', () => { assert.strictEqual(add(4, 4), 8); });",
        // It passes before anything is changed.
        "test('zero', () => { assert.strictEqual(add(1, 0), 1); });",
        // Its mistakes are its own.
        "test('a name of its own', () => { assert.strictEqual(sum(2, 3), 5); });",
    ];
    let file = format!("{head}{}\n", asserts.join("\n"));
    let change = |new: &str| edit("sum.js", "  return a - b;", &format!("  return {new};"));
    let patch = |seed: u64, new: &str| json!({"seed": seed, "text": change(new)});
    // Samples that agree are enough by themselves.
    let answers = [
        tests(&file),
        patch(0, "a - b * 1"),
        patch(1, "a + b"),
        patch(2, "b + a"),
        patch(3, "a"),
    ];
    let done = fix(&desk, "npm test", &answers, 4, &["--all-attempts"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_says(&done, &["passes 4 of 4 tests written for the issue"]);
    let seen = columns(&desk);
    assert_eq!(seen[0]["name"], "below zero (test/issue.test.js of tests-1)");
    let said: Vec<(&Value, &Value)> = seen.iter().map(|test| (&test["cells"], &test["votes"])).collect();
    assert_eq!(said, [(&json!("-++-"), &json!(4)); 4]);
    assert_eq!(desk.run(&["runs", "rm", "last"]).code, 0);
    // With this one nothing that passed is broken, and what is written still fails.
    let answers = [tests(&file), patch(0, "a - b * 1")];
    let done = fix(&desk, "npm test", &answers, 1, &["--min-evidence", "0"]);
    assert_eq!((done.code, done.text().as_str()), (1, ""), "{}", done.stderr);
    assert_eq!(columns(&desk)[0]["cells"], "-");
    desk.assert_untouched();
}

#[test]
fn a_model_that_works_in_turns_leaves_a_file_where_it_is_told_to() {
    need("node", "nodejs");
    let desk = Desk::new(PACKAGE);
    let create = "A test.\n</think>\n<tool: create>\ntest/issue.test.js\nconst test = require('node:test');\nconst assert = require('node:assert');\nconst { add } = require('../sum.js');\n\n\
                  test('two and three', () => assert.strictEqual(add(2, 3), 5));\ntest('zero', () => assert.strictEqual(add(1, 0), 1));\n</tool>";
    let mend = "Addition must add.\n</think>\n<tool: edit>\nsum.js\n<<<<<<< SEARCH\n  return a - b;\n=======\n  return a + b;\n>>>>>>> REPLACE\n</tool>";
    let lines = in_turns("test/issue.test.js, which node:test runs", create, mend);
    let model = desk.lines(&lines);
    let words = [
        "fix",
        "-m",
        "`add` subtracts.",
        "--test",
        "npm test",
        "--model",
        &model,
        "-n",
        "1",
    ];
    let done = desk.run(&[&words[..], &["--issue-tests", "1", "--min-evidence", "30"]].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_says(&done, &["passes 1 of 1 test written for the issue"]);
    // The file as a whole is one claim.
    let seen = columns(&desk);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["name"], "test/issue.test.js of tests-1");
    let page = std::fs::read_to_string(desk.runs()[0].join("report.html")).unwrap();
    assert!(page.contains("two and three"), "the report shows the file");
}

#[test]
fn killed_runs_go_on_with_the_files_that_were_written() {
    need("node", "nodejs");
    let desk = Desk::new(PACKAGE);
    let file = "const test = require('node:test');\nconst assert = require('node:assert');\nconst { add } = require('../sum.js');\n\n\
                test('five', () => assert.strictEqual(add(2, 3), 5));\n";
    let answers = [
        tests(file),
        json!({"text": edit("sum.js", "  return a - b;", "  return a + b;")}),
    ];
    let model = script(&desk, &answers);
    let words = [
        "fix",
        "-m",
        "`add` subtracts.",
        "--test",
        "npm test",
        "--model",
        &model,
        "-n",
        "1",
        "--rounds",
        "1",
        "--issue-tests",
        "1",
        "--min-evidence",
        "20",
    ];
    let whole = desk.run(&words);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let events: Vec<Value> = desk.journal();
    let written = events
        .iter()
        .position(|line| line["event"] == "written_tests")
        .unwrap();
    assert_eq!(desk.run(&["runs", "rm", "last"]).code, 0);
    // Before the file is there, and when it is.
    desk.assert_resumable(&words, &[written, written + 1], &whole);
}
