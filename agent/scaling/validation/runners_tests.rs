//! Which changes change how tests are run.

use super::*;

#[test]
fn changes_of_how_tests_are_run_are_told_from_others() {
    let made = |path: &str| says_how(None, Some(path.as_bytes()), b"", b"x", &["pytest -q"]);
    for path in [
        "pytest.py",
        "src/unittest/__init__.py",
        "a/sitecustomize.py",
        "x.pth",
        "tox.ini",
        ".cargo/config.toml",
    ] {
        assert!(made(path), "{path}");
    }
    for path in [
        "src/adder.py",
        "pytest.md",
        "unittest/readme.md",
        "Makefile",
        "config.toml",
    ] {
        assert!(!made(path), "{path}");
    }
    let changed = |path: &str, before: &str, after: &str, command: &str| {
        let name = Some(path.as_bytes());
        says_how(name, name, before.as_bytes(), after.as_bytes(), &[command])
    };
    // A project whose product is called so.
    assert!(!changed("src/pytest/__init__.py", "a", "b", "pytest"));
    assert!(changed("Makefile", "a", "b", "make test"));
    assert!(!changed("Makefile", "a", "b", "cargo test"));
    let scripts = |test: &str, version: &str| {
        format!("{{\"version\": \"{version}\", \"scripts\": {{\"test\": \"{test}\"}}}}")
    };
    assert!(changed(
        "package.json",
        &scripts("a", "1"),
        &scripts("true", "1"),
        "npm test"
    ));
    assert!(changed("package.json", &scripts("a", "1"), "{", "npm test"));
    assert!(!changed(
        "package.json",
        &scripts("a", "1"),
        &scripts("a", "2"),
        "npm test"
    ));
    assert!(!changed(
        "package.json",
        &scripts("a", "1"),
        &scripts("b", "1"),
        "cargo test"
    ));
    let project = |version: &str, options: &str| {
        format!("[project]\nversion = {version}\n[tool.pytest.ini_options]\naddopts = {options}\n")
    };
    assert!(changed(
        "pyproject.toml",
        &project("1", "a"),
        &project("1", "b"),
        "pytest"
    ));
    assert!(changed(
        "pyproject.toml",
        "[project]\n",
        &project("1", "b"),
        "pytest"
    ));
    assert!(!changed(
        "pyproject.toml",
        &project("1", "a"),
        &project("2", "a"),
        "pytest"
    ));
    assert!(changed(
        "setup.cfg",
        "[tool:pytest]\na=1\n",
        "[tool:pytest]\n",
        "pytest"
    ));
}
