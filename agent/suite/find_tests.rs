//! Small trees, and the commands that they give away.

use super::*;

fn commands(files: &[(&str, &str)]) -> Vec<(String, Framework)> {
    let tree = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        let path = tree.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }
    find(tree.path())
        .into_iter()
        .map(|command| (command.command, command.framework))
        .collect()
}

fn one(files: &[(&str, &str)]) -> (String, Framework) {
    let mut all = commands(files);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

const FUNCTION: (&str, &str) = ("tests/test_a.py", "def test_a():\n    assert True\n");
const CASE: (&str, &str) = (
    "tests/test_b.py",
    "import unittest\nclass B(unittest.TestCase):\n    def test_b(self): pass\n",
);

#[test]
fn pytest_is_told_from_its_configuration_and_from_test_files() {
    let pytest = ("python3 -m pytest".to_owned(), Framework::Pytest);
    for (name, contents) in [
        ("pytest.ini", "[pytest]\n"),
        ("pyproject.toml", "[tool.pytest.ini_options]\n"),
        ("setup.cfg", "[metadata]\n[tool:pytest]\n"),
        ("tox.ini", "[tox]\n[pytest]\n"),
        ("README", ""),
    ] {
        assert_eq!(one(&[(name, contents), FUNCTION]), pytest, "{name}");
    }
    assert_eq!(
        one(&[("test_c.py", "import pytest\nclass TestC:\n    pass\n")]),
        pytest
    );
    assert_eq!(one(&[("a/conftest.py", "import pytest\n")]), pytest);
}

#[test]
fn a_virtual_environment_in_the_tree_is_taken() {
    let command = one(&[(".venv/pyvenv.cfg", ""), (".venv/bin/python", ""), FUNCTION]);
    assert_eq!(command.0, ".venv/bin/python -m pytest");
    // One that has no pytest is of no use, if unittest will do.
    let bare = [
        (".venv/pyvenv.cfg", ""),
        (".venv/bin/python", ""),
        ("pytest.ini", ""),
        CASE,
    ];
    assert_eq!(one(&bare).0, ".venv/bin/python -m unittest discover -s tests");
    let whole = [
        bare.as_slice(),
        &[(".venv/lib/python3.11/site-packages/pytest/__init__.py", "")],
    ]
    .concat();
    assert_eq!(one(&whole).0, ".venv/bin/python -m pytest");
}

#[test]
fn unittest_and_django_have_their_own_runners() {
    assert_eq!(
        one(&[CASE]),
        (
            "python3 -m unittest discover -s tests".to_owned(),
            Framework::Unittest
        )
    );
    assert_eq!(
        one(&[CASE, ("tests/__init__.py", "")]).0,
        "python3 -m unittest discover"
    );
    let manage = (
        "manage.py",
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'x')\n",
    );
    assert_eq!(
        one(&[manage, FUNCTION]),
        ("python3 manage.py test".to_owned(), Framework::Unittest)
    );
    assert_eq!(one(&[manage, ("pytest.ini", ""), FUNCTION]).1, Framework::Pytest);
}

#[test]
fn other_ecosystems() {
    assert_eq!(
        one(&[("Cargo.toml", "[package]\n")]),
        ("cargo test".to_owned(), Framework::Cargo)
    );
    assert_eq!(
        one(&[("Cargo.toml", "[workspace]\n[package]\n")]).0,
        "cargo test --workspace"
    );
    assert_eq!(
        one(&[("go.mod", "module x\n")]),
        ("go test ./...".to_owned(), Framework::Go)
    );
    let jest = ("package.json", r#"{"scripts": {"test": "jest --ci"}}"#);
    assert_eq!(one(&[jest]), ("npm test".to_owned(), Framework::Jest));
    assert_eq!(one(&[jest, ("yarn.lock", "")]).0, "yarn test");
    assert_eq!(one(&[jest, ("pnpm-lock.yaml", "")]).0, "pnpm test");
    assert_eq!(
        one(&[("package.json", r#"{"scripts": {"test": "mocha"}}"#)]).1,
        Framework::Other
    );
    assert_eq!(
        one(&[("Makefile", "all:\n\ncheck: all\n\t./x\n")]),
        ("make check".to_owned(), Framework::Other)
    );
    assert_eq!(one(&[("pom.xml", ""), ("mvnw", "")]).0, "./mvnw -B test");
    assert_eq!(one(&[("build.gradle.kts", "")]).0, "gradle test");
    assert!(one(&[("CMakeLists.txt", "")]).0.contains("ctest"));
}

#[test]
fn several_ecosystems_give_several_commands_and_none_gives_none() {
    let all = commands(&[FUNCTION, ("Cargo.toml", "[package]\n"), ("Makefile", "test:\n")]);
    let names: Vec<&str> = all.iter().map(|(command, _)| command.as_str()).collect();
    assert_eq!(names, ["python3 -m pytest", "cargo test"]);
    assert!(commands(&[("README.md", "# x\n")]).is_empty());
    assert!(commands(&[("package.json", "{")]).is_empty());
    assert!(
        commands(&[(
            "package.json",
            r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#
        )])
        .is_empty()
    );
    assert!(commands(&[("Makefile", "test := 1\nX=test: y\n")]).is_empty());
}
