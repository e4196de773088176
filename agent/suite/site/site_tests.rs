//! Where test files go, which test is shown with them, and how they are run alone.

use std::path::Path;

use super::*;

/// A tree of files.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// The only place for a command in a tree.
fn site_of(files: &[(&str, &str)], command: &str, about: &str) -> Option<Site> {
    let tree = tree(files);
    let commands = [TestCommand::given(command)];
    let mut found = sites(tree.path(), Path::new(""), &commands, about);
    assert!(found.len() < 2);
    found.pop()
}

#[track_caller]
fn assert_place(files: &[(&str, &str)], command: &str, about: &str, path: &str, run: &str) -> Site {
    let site = site_of(files, command, about).unwrap();
    assert_eq!((site.path.as_str(), site.command.as_str()), (path, run));
    site
}

const PACKAGE: &str = "[package]\nname = \"tiny-sum\"\n";
const RUST_TEST: &str = "use tiny_sum::add;\n\n#[test]\nfn adds() { assert_eq!(add(1, 1), 2); }\n";
const NODE: &str = "{\"scripts\": {\"test\": \"node --test\"}}";
const JS_TEST: &str = "const test = require('node:test');\ntest('adds', () => {});\n";

#[test]
fn cargo_has_a_program_of_tests_beside_the_others() {
    let files = [
        ("Cargo.toml", PACKAGE),
        ("src/lib.rs", "pub fn add() {}\n"),
        ("tests/adds.rs", RUST_TEST),
    ];
    let site = assert_place(
        &files,
        "cargo test",
        "src/lib.rs",
        "tests/issue.rs",
        "cargo test --test issue",
    );
    assert_eq!(
        (site.head.as_str(), site.language),
        ("use tiny_sum::*;\n", "rust")
    );
    assert_eq!(site.example.unwrap().path, "tests/adds.rs");
    // Neither a file nor a program in a folder is replaced.
    let more = [
        &files[..],
        &[
            ("tests/issue.rs", RUST_TEST),
            ("tests/issue_2/main.rs", RUST_TEST),
        ],
    ]
    .concat();
    assert_eq!(site_of(&more, "cargo test", "").unwrap().path, "tests/issue_3.rs");
    // Without a library there is nothing that such a program could use.
    let program = [("Cargo.toml", PACKAGE), ("src/main.rs", "fn main() {}\n")];
    assert_eq!(site_of(&program, "cargo test", "src/main.rs"), None);
    let closed = [
        ("Cargo.toml", "[package]\nname = \"a\"\nautotests = false\n"),
        ("src/lib.rs", ""),
    ];
    assert_eq!(site_of(&closed, "cargo test", "src/lib.rs"), None);
}

#[test]
fn cargo_finds_the_package_that_the_issue_is_about() {
    let files = [
        ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\"]\n"),
        ("a/Cargo.toml", "[package]\nname = \"one\"\n"),
        ("a/src/lib.rs", ""),
        (
            "b/Cargo.toml",
            "[package]\nname = \"two\"\n[lib]\nname = \"other\"\n",
        ),
        ("b/src/deep/part.rs", ""),
    ];
    let run = "cargo test --offline -p two --test issue";
    let command = "cargo test --workspace --offline -- --nocapture";
    let site = assert_place(&files, command, "b/src/deep/part.rs", "b/tests/issue.rs", run);
    assert_eq!(site.head, "use other::*;\n");
    // In the workspace itself there is no package, but a way to run a file.
    let workspace = tree(&files);
    let commands = [TestCommand::given(command)];
    assert_eq!(
        dialects(workspace.path(), Path::new(""), &commands),
        [Dialect::Cargo]
    );
    assert_eq!(site_of(&files, command, ""), None);
}

#[test]
fn go_tests_stand_in_the_package_and_are_chosen_by_name() {
    let files = [
        ("go.mod", "module tiny\n"),
        ("main.go", "package main\n"),
        ("sum/sum.go", "// Sums.\npackage sum\n"),
        (
            "sum/sum_test.go",
            "package sum\n\nimport \"testing\"\n\nfunc TestAdd(t *testing.T) {}\n",
        ),
    ];
    let run = "go test -race -count 1 ./sum";
    let command = "go test -race -count 1 -run Old ./...";
    let site = assert_place(&files, command, "sum/sum.go", "sum/issue_test.go", run);
    assert_eq!(site.head, "package sum\n");
    let tree = tree(&files);
    let commands = [TestCommand::given(command)];
    let text =
        "package sum\n\nfunc TestOne(t *testing.T) {}\nfunc helper() {}\nfunc TestTwo(t *testing.T) {}\n";
    let (found, dialect, _) = alone(tree.path(), Path::new(""), &commands, &site.path, text).unwrap();
    assert_eq!(dialect, Dialect::Go);
    assert_eq!(
        found.command,
        "go test -race -count 1 -run '^(TestOne|TestTwo)$' ./sum"
    );
}

#[test]
fn files_of_javascript_are_named_as_the_others_are() {
    let with = |more: &[(&'static str, &'static str)]| [&[("package.json", NODE)], more].concat();
    let files = with(&[("src/sum.js", ""), ("spec/sum.spec.mjs", JS_TEST)]);
    assert_place(
        &files,
        "npm test",
        "src/sum.js",
        "spec/issue.spec.mjs",
        "npm test -- spec/issue.spec.mjs",
    );
    let none = with(&[("src/sum.js", "")]);
    assert_place(
        &none,
        "npm test",
        "src/sum.js",
        "issue.test.js",
        "npm test -- issue.test.js",
    );
    let near = with(&[
        ("a/test/x.js", JS_TEST),
        ("b/test/y.js", JS_TEST),
        ("b/src/sum.js", ""),
    ]);
    assert_place(
        &near,
        "node --test",
        "b/src/sum.js",
        "b/test/issue.js",
        "node --test b/test/issue.js",
    );
    // Where the script has files of its own, it is run without them.
    let own = [
        (
            "package.json",
            "{\"scripts\": {\"test\": \"node --test test/*.js\"}}",
        ),
        ("test/a.test.js", JS_TEST),
    ];
    let run = "export PATH=\"$PWD/node_modules/.bin:$PATH\"; node --test test/issue.test.js";
    assert_place(&own, "npm test", "", "test/issue.test.js", run);
    for (script, dialect) in [
        ("jest --ci", Dialect::Jest),
        ("vitest run", Dialect::Vitest),
        ("mocha", Dialect::Mocha),
    ] {
        let package = format!("{{\"scripts\": {{\"test\": \"{script}\"}}}}");
        let files = [("package.json", package.as_str()), ("test/a.test.js", JS_TEST)];
        let site = site_of(&files, "npm run test", "").unwrap();
        assert_eq!(
            (site.dialect, site.path.as_str()),
            (dialect, "test/issue.test.js")
        );
        assert_eq!(site.command, "npm run test -- test/issue.test.js");
    }
}

#[test]
fn python_has_both_frameworks() {
    let pytest = [(
        "tests/test_a.py",
        "import a\n\n\ndef test_a():\n    assert a.one() == 1\n",
    )];
    let run = "python -m pytest -q -p no:cacheprovider tests/test_issue.py";
    let command = "python -m pytest -q -k old -p no:cacheprovider tests";
    assert_place(&pytest, command, "a.py", "tests/test_issue.py", run);
    let unittest = [(
        "test_a.py",
        "import unittest\n\nclass A(unittest.TestCase):\n    def test_a(self): pass\n",
    )];
    assert_place(
        &unittest,
        "python3 -m unittest -v test_a",
        "",
        "test_issue.py",
        "python3 -m unittest -v test_issue",
    );
    let found = [("tests/test_a.py", unittest[0].1)];
    let run = "python3 -m unittest discover -s tests -p test_issue.py";
    assert_place(
        &found,
        "python3 -m unittest discover -s tests",
        "",
        "tests/test_issue.py",
        run,
    );
}

#[test]
fn options_that_hide_tests_or_leave_them_out_are_not_kept() {
    let rust = [("Cargo.toml", PACKAGE), ("src/lib.rs", "")];
    let javascript = [("package.json", NODE)];
    let python = [(
        "test_a.py",
        "import unittest\n\nclass A(unittest.TestCase):\n    def test_a(self): pass\n",
    )];
    let run = "cargo test --release --test issue -- --test-threads=1";
    assert_place(
        &rust,
        "cargo test -q --lib --release -- --test-threads=1 old",
        "",
        "tests/issue.rs",
        run,
    );
    let run = "mocha --timeout 5000 test/issue.test.js";
    assert_place(
        &javascript,
        "mocha -R dot --bail --timeout 5000 test/a.js",
        "",
        "test/issue.test.js",
        run,
    );
    let run = "node --import tsx --test issue.test.js";
    assert_place(
        &javascript,
        "node --import tsx --test --test-reporter=dot a.js",
        "",
        "issue.test.js",
        run,
    );
    let run = "python -m unittest -b test_issue";
    assert_place(
        &python,
        "python -m unittest -q -f -b test_a",
        "",
        "test_issue.py",
        run,
    );
}

#[test]
fn commands_that_run_no_single_file_have_no_place() {
    let files = [
        ("Cargo.toml", PACKAGE),
        ("src/lib.rs", ""),
        ("package.json", NODE),
        ("a/b.test.js", JS_TEST),
    ];
    for command in [
        "make test",
        "tox",
        "cargo test > log",
        "cargo test $ARGS",
        "./check",
        "",
    ] {
        assert_eq!(site_of(&files, command, ""), None, "{command}");
    }
    // The command's own folder counts.
    let inside = [("sub/Cargo.toml", PACKAGE), ("sub/src/lib.rs", "")];
    let run = "cd sub && cargo test --test issue";
    assert_place(
        &inside,
        "cd sub && cargo test",
        "sub/src/lib.rs",
        "sub/tests/issue.rs",
        run,
    );
    assert_eq!(site_of(&inside, "cd .. && cargo test", ""), None);
}

#[test]
fn an_example_is_near_and_short_and_no_link() {
    let long = format!("{JS_TEST}\n{}", "// A remark.\n".repeat(400));
    let other = "const test = require('node:test');\n\ntest('shorter', () => {});\n";
    let files = [
        ("package.json", NODE),
        ("a/code.js", ""),
        ("a/long.test.js", long.as_str()),
        ("a/short.test.js", other),
        ("b/shortest.test.js", JS_TEST),
        (
            "a/helper.test.js",
            "// There is no test at all in this file.\nmodule.exports = {};\n",
        ),
    ];
    let shown = |files: &[(&str, &str)]| {
        site_of(files, "node --test", "a/code.js")
            .unwrap()
            .example
            .unwrap()
    };
    let example = shown(&files);
    assert_eq!((example.path.as_str(), example.whole), ("a/short.test.js", true));
    let example = shown(&files[..3]);
    assert!(
        !example.whole && example.text.len() < 2500,
        "{}",
        example.text.len()
    );
    // A link leads to what is nobody's to show.
    let linked = tree(&files[..2]);
    std::fs::write(linked.path().join("secret"), JS_TEST).unwrap();
    std::os::unix::fs::symlink("../secret", linked.path().join("a/link.test.js")).unwrap();
    let commands = [TestCommand::given("node --test")];
    let found = sites(linked.path(), Path::new(""), &commands, "a/code.js");
    assert_eq!(found[0].example, None);
}

#[test]
fn a_mistake_of_the_tests_own_is_told_from_a_failure() {
    for (dialect, message, own) in [
        (
            Dialect::Pytest,
            "E  assert 1 == 2\n\ntests/test_issue.py:4: AssertionError",
            false,
        ),
        (
            Dialect::Pytest,
            "E  NameError: x\n\ntests/test_issue.py:4: NameError",
            true,
        ),
        (
            Dialect::Pytest,
            "E  Failed: DID NOT RAISE\n\ntests/test_issue.py:4: Failed",
            false,
        ),
        (Dialect::Pytest, "E  KeyError: x\n\nsrc/a.py:9: KeyError", false),
        (
            Dialect::Unittest,
            "  File \"/r/tests/test_issue.py\", line 3, in test\nNameError: name 'x' is not defined",
            true,
        ),
        (
            Dialect::Unittest,
            "  File \"/r/tests/test_issue.py\", line 3, in test\nAssertionError: 1 != 2",
            false,
        ),
        (
            Dialect::Unittest,
            "  File \"/r/a.py\", line 3, in f\nValueError: no",
            false,
        ),
        (
            Dialect::Node,
            "error: 'foo is not defined'\nname: 'ReferenceError'",
            true,
        ),
        (Dialect::Node, "error: '1 == 2'\ncode: 'ERR_ASSERTION'", false),
        (Dialect::Cargo, "thread panicked: it is not defined", false),
    ] {
        assert_eq!(
            dialect.is_own_mistake("tests/test_issue.py", message),
            own,
            "{message}"
        );
    }
}
