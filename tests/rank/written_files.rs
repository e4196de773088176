//! Tests for the issue that are given as files of the repository's own framework.

use serde_json::{Value, json};

use super::Bench;
use crate::session::harness::need;

/// A package whose addition subtracts, which its test does not see.
const PACKAGE: &str = r#"
echo '{"name": "tiny", "scripts": {"test": "node --test"}}' > package.json
mkdir test
printf 'module.exports.add = (a, b) => a - b;\n' > sum.js
cat > test/sum.test.js <<'END'
const test = require('node:test');
const assert = require('node:assert');
const { add } = require('../sum.js');

test('nothing is added', () => assert.strictEqual(add(2, 0), 2));
END
"#;
const HEAD: &str = "const test = require('node:test');\nconst assert = require('node:assert');\nconst { add } = require('../sum.js');\n";

fn written(evidence: &std::path::Path) -> Vec<Value> {
    let known: Value = serde_json::from_slice(&std::fs::read(evidence).unwrap()).unwrap();
    let tests = known["tests"].as_array().unwrap().iter();
    tests
        .filter(|test| test["source"] == "written")
        .cloned()
        .collect()
}

#[test]
fn a_file_for_the_repositorys_framework_verifies_and_is_replayed() {
    need("node", "nodejs");
    let bench = Bench::new(PACKAGE);
    let right = bench.patch("right.diff", "sed -i 's/a - b/a + b/' sum.js");
    let wrong = bench.patch("wrong.diff", "sed -i 's/a - b/a - b * 1/' sum.js");
    // What a patch puts where the test goes is not what is run.
    let cheat = bench.patch(
        "cheat.diff",
        "sed -i 's/a - b/a - 1 * b/' sum.js; printf \"require('node:test')('two and three', () => {});\\n\" > test/issue.test.js",
    );
    let exits = bench.patch(
        "exits.diff",
"printf '%s\n' 'console.log(`TAP version 13\nok 1 - two and three\n1..1`); process.exit(0);' >> sum.js",
    );
    let text = format!("{HEAD}test('two and three', () => assert.strictEqual(add(2, 3), 5));\n");
    let (file, evidence) = (bench.file("new.test.js", &text), bench.file("evidence.json", ""));
    let words = [
        "--test",
        "npm test",
        "--min-evidence",
        "30",
        "--issue-test",
        file.to_str().unwrap(),
        "--evidence",
        evidence.to_str().unwrap(),
    ];
    let patches = [
        exits.to_str().unwrap(),
        cheat.to_str().unwrap(),
        wrong.to_str().unwrap(),
        right.to_str().unwrap(),
    ];
    let told = bench.rank(&[&words[..], &patches].concat());
    assert_eq!((told.code, told.order()[0]), (0, "right.diff"), "{}", told.stderr);
    assert_eq!(told.of("right.diff")["proof"], "written_tests");
    let tests = written(&evidence);
    assert_eq!(tests.len(), 1, "{tests:?}");
    assert_eq!(tests[0]["cells"], "---+");
    let again = bench.rank(&["--replay", evidence.to_str().unwrap()]);
    let order = &again.all("rank.replay")[0]["order"];
    assert!(order[0].as_str().unwrap().ends_with("right.diff"), "{order}");
}

#[test]
fn files_that_do_not_show_the_issue_do_not_count() {
    need("node", "nodejs");
    let bench = Bench::new(PACKAGE);
    let right = bench.patch("right.diff", "sed -i 's/a - b/a + b/' sum.js");
    let mut words = vec!["--test", "npm test"];
    let tests = [
        (
            "passes.test.js",
            format!("{HEAD}test('zero', () => assert.strictEqual(add(1, 0), 1));\n"),
        ),
        (
            "breaks.test.js",
            format!("{HEAD}test('two', () => assert.strictEqual(sum(1, 1), 2));\n"),
        ),
        ("no.test.js", "require('../not-there.js');\n".to_owned()),
        ("cannot.test.js", "test('two', () => {\n".to_owned()),
    ];
    let files: Vec<_> = tests.iter().map(|(name, text)| bench.file(name, text)).collect();
    for file in &files {
        words.extend(["--issue-test", file.to_str().unwrap()]);
    }
    words.push(right.to_str().unwrap());
    let told = bench.rank(&words);
    assert_eq!(told.code, 1, "{}", told.stderr);
    assert!(told.stderr.contains("none counts"), "{}", told.stderr);
    // A test in another language is for a framework that is not there.
    let other = bench.file("issue.rs", "#[test]\nfn a() {}\n");
    let words = [
        "--test",
        "npm test",
        "--issue-test",
        other.to_str().unwrap(),
        right.to_str().unwrap(),
    ];
    let told = bench.rank(&words);
    assert_eq!(told.code, 2, "{}", told.stderr);
    assert_eq!(json!(told.all("rank.patch").len()), 0);
    assert!(told.stderr.contains("issue.rs alone"), "{}", told.stderr);
}
