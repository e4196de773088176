//! The options that choose tests, what they do to commands, and that no name gets out of its quotes.

use std::collections::BTreeMap;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::suite::prepare::{Prepared, prepare};
use crate::suite::words::{runner, simple_commands};

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn prepared(command: &str, package: &str, wanted: &[&str]) -> Prepared {
    prepare(command, "/tmp/d", package, &BTreeMap::new(), true, &set(wanted))
}

/// The command with its options, and nothing chosen beyond them.
#[track_caller]
fn assert_chosen(command: &str, wanted: &[&str], expected: &str) {
    let done = prepared(command, "", wanted);
    assert_eq!(done.command, expected, "{command}");
    assert_eq!(done.selected, set(wanted), "{command}");
}

/// The command is as it would be for all tests.
#[track_caller]
fn assert_left(command: &str, package: &str, wanted: &[&str]) {
    let done = prepared(command, package, wanted);
    assert_eq!(done.command, prepared(command, package, &[]).command);
    assert_eq!(done.selected, set(&[]), "{command}");
}

#[test]
fn what_is_no_test_chooses_nothing() {
    let names = set(&["(exit status 2)", "make test", "a", "(collection)"]);
    assert_eq!(tests("make test", &names), set(&["a"]));
}

#[test]
fn unittest_and_django_take_parts_of_names() {
    let one = &["tests.test_a.A.test_one"];
    for (command, expected) in [
        (
            "python -m unittest",
            "python -m unittest -v -k 'tests.test_a.A.test_one'",
        ),
        (
            "cd x && python3 -m unittest discover -s tests; echo done",
            "cd x && python3 -m unittest discover -v -k 'tests.test_a.A.test_one' -s tests; echo done",
        ),
        (
            "coverage run -m unittest -q tests.test_a",
            "coverage run -m unittest -k 'tests.test_a.A.test_one' -q tests.test_a",
        ),
        (
            "./manage.py test --keepdb app",
            "./manage.py test -v 2 -k 'tests.test_a.A.test_one' --keepdb app",
        ),
    ] {
        assert_chosen(command, one, expected);
    }
    assert_chosen(
        "python -m unittest",
        &[
            "a.A.setUpClass",
            "a.A.test_x",
            "a.setUpModule",
            "b.f.<locals>.B.t[1]",
            "c",
        ],
        "python -m unittest -v -k 'a.A.' -k 'a.A.test_x' -k 'a.' -k 'b.f.<locals>.B.t[[]1]' -k 'c.'",
    );
    for theirs in [
        "python -m unittest -k adds",
        "python -m unittest discover -kadds",
        "./manage.py test -k=adds",
        "unit2 discover",
        "python setup.py test",
    ] {
        assert_left(theirs, "", one);
    }
    for odd in [
        "",
        "-v",
        "--help",
        "a b",
        "a'; reboot; '",
        "a$(reboot)",
        "a\nb",
        "*",
        "a?",
    ] {
        assert_left("python -m unittest", "", &[odd]);
    }
}

#[test]
fn cargo_takes_whole_names_and_files_of_documentation() {
    let one = &["tiny src/lib.rs: tests::adds"];
    for (command, expected) in [
        (
            "cargo test -p a",
            "cargo test --no-fail-fast -p a -- --exact 'tests::adds'",
        ),
        (
            "cargo test --no-fail-fast",
            "cargo test --no-fail-fast -- --exact 'tests::adds'",
        ),
        (
            "cargo test && cargo test --doc 2>&1 | tee log",
            "cargo test --no-fail-fast -- --exact 'tests::adds' && cargo test --no-fail-fast --doc 2>&1 -- --exact 'tests::adds' | tee log",
        ),
        (
            "(cd a && cargo +nightly t adds)",
            "(cd a && cargo +nightly t --no-fail-fast adds -- --exact 'tests::adds')",
        ),
        (
            "cargo test $FLAGS -- --nocapture --test-threads 1",
            "cargo test --no-fail-fast $FLAGS -- --exact 'tests::adds' --nocapture --test-threads 1",
        ),
    ] {
        assert_chosen(command, one, expected);
    }
    assert_chosen(
        "cargo test",
        &[
            "a src/lib.rs: t::one",
            "a src/main.rs #2: t::one",
            "a doc-tests #2: src/b.rs - add #2",
            "a doc-tests: README.md -",
        ],
        "cargo test --no-fail-fast -- 'README.md' 'src/b.rs' 't::one'",
    );
    for theirs in [
        "cargo test -- --exact tests::adds",
        "cargo test -- --list",
        "cargo test --no-run",
        "cargo test $ARGUMENTS",
        "cargo test $(cat arguments)",
        "cargo test `cat arguments`",
        "cargo test # everything",
        "cargo test <<END\nEND",
        "cargo test > >(tee log)",
        "cargo build",
    ] {
        assert_left(theirs, "", one);
    }
    for odd in [
        "tests::adds",
        "a: ",
        "a: (the program)",
        "a: --list",
        "a: -h",
        "a: \0",
        "a doc-tests: -v - x",
    ] {
        assert_left("cargo test", "", &[odd]);
    }
}

#[test]
fn go_takes_one_expression_of_outer_names() {
    assert_chosen(
        "go test ./... && go test -race x",
        &[
            "example.com/x/y.TestA",
            "example.com/x/y.TestA/sub.TestB/c d",
            "gopkg.in/z.v1.ExampleT_m",
            "example.com/ü.FuzzÄ",
            "TestAlone",
        ],
        "go test -json -run '^(ExampleT_m|FuzzÄ|TestA|TestAlone)$' ./... && go test -json -run '^(ExampleT_m|FuzzÄ|TestA|TestAlone)$' -race x",
    );
    for theirs in [
        "go test -run TestA ./...",
        "go test -run=TestA",
        "go test --run TestA",
        "go test -test.run=TestA",
        "go vet",
    ] {
        assert_left(theirs, "", &["x.TestB"]);
    }
    for odd in [
        "",
        "example.com/x",
        "x.Testing",
        "x.TestA'; reboot",
        "x.TestA b",
        "x.Test$(x)",
        "x.testA",
    ] {
        assert_left("go test ./...", "", &[odd]);
    }
}

#[test]
fn jest_and_vitest_take_an_expression_of_titles() {
    assert_chosen(
        "npx jest --ci",
        &[
            "src/a.test.js > adds (1 + 2)",
            "src/a.test.js > group > it's $5 \u{1f600}",
            "src/b.test.js > adds (1 + 2)",
        ],
        "npx jest --json --outputFile=/tmp/d/jest.json -t '^ *(adds .1 . 2.|group( . | )it.s .5 ..) *$' --ci",
    );
    assert_chosen(
        "vitest run",
        &["a.test.ts > x"],
        "vitest run --reporter=default --reporter=json --outputFile.json=/tmp/d/jest.json -t '^ *(x) *$'",
    );
    for theirs in [
        "npx jest -t adds",
        "npx jest --testNamePattern=adds",
        "vitest run -t=adds",
        "mocha",
    ] {
        assert_left(theirs, "", &["a.test.js > x"]);
    }
    // A file that could not be loaded; a name that was cut.
    let long = format!("a.test.js > {}", "x".repeat(LONGEST_NAME));
    for odd in ["a.test.js", "a.test.js > ", &long] {
        assert_left("npx jest", "", &[odd]);
    }
    let package = r#"{"scripts": {"test": "tsc && jest", "test:one": "jest -t one", "test:not": "mocha"}}"#;
    let done = prepared("npm test", package, &["a.js > x"]);
    assert_eq!(
        done.command,
        "npm test -- --json --outputFile=/tmp/d/jest.json -t '^ *(x) *$'"
    );
    assert_eq!(done.selected, set(&["a.js > x"]));
    for theirs in ["npm run test:one", "npm run test:not"] {
        assert_left(theirs, package, &["a.js > x"]);
    }
}

#[test]
fn more_than_a_command_may_hold_is_not_chosen() {
    let names: Vec<String> = (0..9000)
        .map(|number| format!("a: tests::test_number_{number}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_left("cargo test", "", &names);
    assert!(prepared("cargo test", "", &names[..1000]).selected.len() == 1000);
}

/// The words that bash hands a program of this name when it runs the command.
fn words_in_bash(program: &str, command: &str) -> Vec<String> {
    let script = format!("{program}() {{ printf '%s\\0' \"$@\"; }}\n{command}");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{script:?}: {output:?}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let mut words: Vec<String> = text.split('\0').map(str::to_owned).collect();
    words.pop();
    words
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a name holds, it stays one word, and nothing else of the command changes.
    #[test]
    fn any_name_comes_through_bash_as_it_is(
        test in prop_oneof!["[^\0]{1,40}", "['\"\\\\$`!&|;()<>*?{}~# \n\t-]{1,20}"],
    ) {
        let name = format!("p src/lib.rs: {test}");
        let command = "cargo test -p x";
        let wanted = set(&[&name]);
        let words = simple_commands(command);
        let found = options(command, &words[0], &runner(&words[0]).unwrap(), &wanted);
        let done = prepared(command, "", &[&name]);
        let got = words_in_bash("cargo", &done.command);
        let mut expected = vec!["test", "--no-fail-fast", "-p", "x"];
        if found.is_some() {
            let filter = cargo_filter(&name).unwrap().0;
            prop_assert!(test.starts_with(filter));
            expected.extend(["--", "--exact", filter]);
        } else {
            prop_assert!(test.starts_with(['-', '(']) || test.starts_with(" #"), "{:?}", test);
        }
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn any_title_is_one_harmless_word(title in "\\PC{1,40}") {
        let name = format!("a.js > {title}");
        let done = prepared("jest a", "", &[&name]);
        let got = words_in_bash("jest", &done.command);
        prop_assert_eq!(got.len(), 5);
        let harmless = |sign: char| sign.is_ascii_alphanumeric() || "_.()|^$* ".contains(sign);
        prop_assert!(got[3].chars().all(harmless), "{}", got[3]);
    }
}
