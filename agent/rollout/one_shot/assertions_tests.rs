//! What models write, read as assertions, and the scripts made of them, run by Python.

use std::process::Command;

use super::*;

fn read(answer: &str) -> Vec<(String, String)> {
    assertions(answer)
        .into_iter()
        .map(|one| (one.statement, one.asks))
        .collect()
}

#[test]
fn assertions_are_told_from_everything_else() {
    let answer = "Here they are:\n```python\nimport solution\n# the examples\nassert f(1) == 2  # certain\n  assert f([1,\n      2]) == [\n 3]\nassert f(1) == 2\nassert(f('a # b') == '==')\nassert not f(\"x == y\")\nprint(f(3))\n```\nassert outside == 1";
    let statements = read(answer);
    assert_eq!(
        statements,
        [
            ("assert f(1) == 2".to_owned(), "f(1)".to_owned()),
            (
                "assert f([1,\n      2]) == [\n 3]".to_owned(),
                "f([1, 2])".to_owned()
            ),
            (
                "assert(f('a # b') == '==')".to_owned(),
                "(f('a # b') == '==')".to_owned()
            ),
            (
                "assert not f(\"x == y\")".to_owned(),
                "not f(\"x == y\")".to_owned()
            ),
        ]
    );
}

#[test]
fn what_is_cut_off_is_left_out() {
    assert_eq!(
        read("assert f(1) == 1\nassert f([1, 2"),
        [("assert f(1) == 1".to_owned(), "f(1)".to_owned())]
    );
    assert_eq!(read("assert f([1, 2\nassert f(2) == 1").len(), 1);
    assert_eq!(read("assert f('it"), []);
    assert_eq!(read("assert "), []);
    assert_eq!(
        read(")))\nassert f() is None"),
        [("assert f() is None".to_owned(), "f()".to_owned())]
    );
}

#[test]
fn assignments_stay_before_what_needs_them() {
    let found = assertions("x = [1]\ny: int = 2\nassert f(x) == 1\nz = 3\nassert f(z)");
    let setups: Vec<usize> = found.iter().map(|one| one.setup.len()).collect();
    assert_eq!(setups, [1, 2], "annotations are no plain assignments");
}

#[test]
fn a_path_is_a_module_only_where_python_can_import_it() {
    let is = |path: &str| module(path).map(|(module, folder)| format!("{folder}:{module}"));
    assert_eq!(is("solution.py").as_deref(), Some(":solution"));
    assert_eq!(is("src/parse/__init__.py").as_deref(), Some("src:parse"));
    assert_eq!(is("a/b_c.py").as_deref(), Some(":a.b_c"));
    assert_eq!(is("a-b/c.py"), None);
    assert_eq!(is("a.rs"), None);
    assert_eq!(is("1.py"), None);
}

#[test]
fn the_script_says_which_of_three_it_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("solution.py"),
        "import sys\n\ndef f(x):\n    if x == 'end':\n        sys.exit(0)\n    return [][x]\n\ndef g(x):\n    return x\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("test_solution.py"),
        "ORDER = 7\ndef g(x):\n    return 0\n",
    )
    .unwrap();
    let says = |statement: &str| {
        let assertion = &assertions(statement)[0];
        std::fs::write(
            folder.path().join("test_issue.py"),
            script(
                assertion,
                "solution",
                "",
                &["nothing_like_it".to_owned(), "test_solution".to_owned()],
            ),
        )
        .unwrap();
        let mut python = Command::new("python3");
        let done = python
            .arg("test_issue.py")
            .current_dir(folder.path())
            .output()
            .unwrap();
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(says("assert g(1) == 1"), "Issue resolved");
    assert_eq!(
        says("assert g(ORDER) == 7"),
        "Issue resolved",
        "what tests define can be used"
    );
    assert_eq!(says("assert g(1) == 2"), "Issue reproduced");
    assert_eq!(
        says("assert f(0) == 2"),
        "Issue reproduced",
        "the error comes from the code"
    );
    assert_eq!(
        says("assert f('end') == 2"),
        "Issue reproduced",
        "the code ends the process"
    );
    assert_eq!(
        says("assert missing(0) == 2"),
        "Other issues",
        "the error is the test's own"
    );
    assert_eq!(says("assert g(1)(2) == 2"), "Other issues");
}
