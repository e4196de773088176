//! pytest, unittest and Django.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{any_line, found, text};
use crate::suite::files::files;
use crate::suite::types::{Framework, TestCommand};

/// Test files that are read.
const MOST_FILES: usize = 50;

pub(super) fn find(tree: &Path) -> Option<TestCommand> {
    let python = interpreter(tree);
    if let Some(reason) = configured(tree) {
        return Some(pytest_or_unittest(tree, &python, &reason, &Looks::at(tree)));
    }
    if let Some(command) = django(tree, &python) {
        return Some(command);
    }
    let looks = Looks::at(tree);
    if let Some(reason) = looks.pytest.clone() {
        return Some(pytest_or_unittest(tree, &python, &reason, &looks));
    }
    looks
        .unittest
        .as_ref()
        .map(|reason| unittest(tree, &python, reason))
}

/// The Python of a virtual environment in the tree, else the one on the path.
fn interpreter(tree: &Path) -> String {
    for folder in [".venv", "venv", "env", ".env"] {
        // Its link leads out of the tree, so only that it is there counts.
        if tree.join(folder).join("bin/python").symlink_metadata().is_ok()
            && tree.join(folder).join("pyvenv.cfg").is_file()
        {
            return format!("{folder}/bin/python");
        }
    }
    let on_path = |program: &str| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
    };
    if !on_path("python3") && on_path("python") {
        "python"
    } else {
        "python3"
    }
    .to_owned()
}

/// What says that this repository uses pytest.
fn configured(tree: &Path) -> Option<String> {
    for name in ["pytest.ini", ".pytest.ini"] {
        if tree.join(name).is_file() {
            return Some(format!("there is a {name}"));
        }
    }
    let sections: [(&str, &[&str]); 3] = [
        ("pyproject.toml", &["[tool.pytest.ini_options]", "[tool.pytest]"]),
        ("setup.cfg", &["[tool:pytest]"]),
        ("tox.ini", &["[pytest]"]),
    ];
    for (name, headings) in sections {
        let contents = text(&tree.join(name));
        for heading in headings {
            if any_line(&contents, |line| line == *heading) {
                return Some(format!("{name} has {heading}"));
            }
        }
    }
    None
}

fn django(tree: &Path, python: &str) -> Option<TestCommand> {
    let manage = text(&tree.join("manage.py"));
    let is_django = manage.contains("execute_from_command_line") || manage.contains("DJANGO_SETTINGS_MODULE");
    is_django.then(|| {
        found(
            &format!("{python} manage.py test"),
            Framework::Unittest,
            "there is Django's manage.py",
        )
    })
}

/// pytest; or, where it is missing and all tests are of unittest, that.
fn pytest_or_unittest(tree: &Path, python: &str, reason: &str, looks: &Looks) -> TestCommand {
    if looks.needs_pytest || looks.unittest.is_none() || has_pytest(tree, python) {
        return found(&format!("{python} -m pytest"), Framework::Pytest, reason);
    }
    let reason = format!("{reason}, pytest is not installed, and the tests need only unittest");
    unittest(tree, python, &reason)
}

fn unittest(tree: &Path, python: &str, reason: &str) -> TestCommand {
    // Discovery does not enter a folder that is no package, unless it starts there.
    let start = ["tests", "test"].iter().find(|name| {
        let folder = tree.join(name);
        folder.is_dir() && !folder.join("__init__.py").is_file()
    });
    let command = match start {
        Some(folder) => format!("{python} -m unittest discover -s {folder}"),
        None => format!("{python} -m unittest discover"),
    };
    found(&command, Framework::Unittest, reason)
}

/// Whether that Python can import pytest. One in the tree is not run for it: its folders are looked at.
fn has_pytest(tree: &Path, python: &str) -> bool {
    if let Some(environment) = python.strip_suffix("/bin/python") {
        let libraries = std::fs::read_dir(tree.join(environment).join("lib"))
            .into_iter()
            .flatten()
            .flatten();
        return libraries
            .map(|entry| entry.path())
            .any(|folder| folder.join("site-packages/pytest").is_dir());
    }
    let script = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pytest') is None)";
    let mut probe = Command::new(python);
    probe
        .args(["-c", script])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// What the test files look like.
#[derive(Default)]
struct Looks {
    /// What shows tests that pytest runs.
    pytest: Option<String>,
    /// Whether nothing but pytest runs them.
    needs_pytest: bool,
    /// What shows tests of unittest.
    unittest: Option<String>,
}

impl Looks {
    fn at(tree: &Path) -> Looks {
        let mut looks = Looks::default();
        let is_test = |name: &str| {
            name.ends_with(".py")
                && (name.starts_with("test_") || name.ends_with("_test.py") || name == "conftest.py")
        };
        for path in files(tree, MOST_FILES, is_test) {
            looks.take(&path, &text(&tree.join(&path)));
        }
        looks
    }

    fn take(&mut self, file: &str, contents: &str) {
        if file.ends_with("conftest.py") {
            self.pytest.get_or_insert(format!("there is a {file}"));
            self.needs_pytest |= contents.contains("pytest");
            return;
        }
        let imports = any_line(contents, |line| {
            line == "import pytest" || line.starts_with("import pytest ") || line.starts_with("from pytest ")
        });
        let mut functions = contents
            .lines()
            .filter(|line| line.starts_with("def test") || line.starts_with("async def test"));
        if imports || functions.next().is_some() {
            let what = if imports {
                "imports pytest"
            } else {
                "has test functions"
            };
            self.pytest.get_or_insert(format!("{file} {what}"));
            self.needs_pytest = true;
        } else if contents.contains("TestCase") {
            self.unittest
                .get_or_insert(format!("{file} has tests of unittest"));
        } else if any_line(contents, |line| line.starts_with("class Test")) {
            self.pytest.get_or_insert(format!("{file} has test classes"));
            self.needs_pytest = true;
        }
    }
}
