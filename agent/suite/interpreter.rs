//! Which Python a test command runs its tests with, as words for a shell that stands at the root of the tree.

use std::path::Path;

use super::narrow::quoted;
use super::site::folder;
use super::types::{Framework, TestCommand};
use super::words::{MANAGERS, Word, is_python, runner, simple_commands};

/// The Python of a test command that begins in the folder `start` of the tree: the one that it names, that of the environment in which it runs
/// pytest, or the one that pytest's file says, or lies beside, or else the usual one. None where the command does not run Python's tests.
pub fn python(command: &TestCommand, start: &Path) -> Option<String> {
    let commands = simple_commands(&command.command);
    commands.iter().enumerate().find_map(|(number, words)| {
        let found =
            runner(words).filter(|found| matches!(found.framework, Framework::Pytest | Framework::Unittest));
        let before = commands.get(..number).unwrap_or_default();
        let named = words.iter().position(|word| is_python(&word.text));
        let program = named.or(found.map(|found| found.at))?;
        let manager = words
            .iter()
            .take(program)
            .position(|word| MANAGERS.contains(&word.text.as_str()));
        let wrapper = manager.and_then(|manager| wrapper(words.get(manager..program)?));
        let own = words.get(program)?.text.as_str();
        let own = match folder(start, before) {
            Some(folder) if own.contains('/') && !own.starts_with(['/', '$', '~']) && !folder.is_empty() => {
                format!("{folder}/{own}")
            }
            _ => own.to_owned(),
        };
        let own = if own.contains('$') { own } else { quoted(&own) };
        match (named, wrapper) {
            (Some(_), Some(wrapper)) => Some(format!("{wrapper} {own}")),
            (Some(_), None) => Some(own),
            (None, Some(wrapper)) => Some(format!("{wrapper} python")),
            (None, None) if is_pytest(&own) => Some(beside(&own)),
            (None, None) => None,
        }
    })
}

/// An environment's own words, up to the program that runs in it.
fn wrapper(words: &[Word]) -> Option<String> {
    let (run, rest) = (words.get(..2)?, words.get(2..)?);
    let is_own = |word: &&Word| word.text != "coverage";
    let words = run.iter().chain(rest.iter().take_while(is_own));
    let words: Vec<String> = words.map(|word| quoted(&word.text)).collect();
    (run.get(1)?.text == "run").then(|| words.join(" "))
}

fn is_pytest(program: &str) -> bool {
    let name = program.trim_matches('\'').rsplit('/').next().unwrap_or_default();
    matches!(name, "pytest" | "py.test")
}

/// What pytest's own file says runs it, where that is a Python, or the Python beside it, or the usual one.
fn beside(pytest: &str) -> String {
    format!(
        "$(f=$(command -v {pytest}); p=$(sed -n '1s/^#! *//p' \"$f\" 2>/dev/null); \
         case \"$p\" in *python*|*pypy*) ;; *) p=${{f%/*}}/python; [ -x \"$p\" ] || p=;; esac; \
         echo \"${{p:-$(command -v python || command -v python3)}}\")"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_python_is_the_one_that_runs_the_tests() {
        for (command, expected) in [
            ("python3 -m pytest -q", Some("python3")),
            ("pypy3 -m pytest -q", Some("pypy3")),
            (
                "cd sub && .venv/bin/python3.11 -m unittest",
                Some("sub/.venv/bin/python3.11"),
            ),
            ("'/a b/bin/python' -m pytest", Some("'/a b/bin/python'")),
            ("$VENV/bin/python -m pytest", Some("$VENV/bin/python")),
            ("timeout 60 python3 -m unittest", Some("python3")),
            ("poetry run pytest -q", Some("poetry run python")),
            ("uv run --extra test pytest", Some("uv run --extra test python")),
            ("uv run coverage run -m pytest", Some("uv run python")),
            ("A=1 uv run python -m pytest", Some("uv run python")),
            ("tox -e py311", None),
            ("cargo test", None),
            ("make test", None),
            ("", None),
        ] {
            let found = python(&TestCommand::given(command), Path::new(""));
            assert_eq!(found.as_deref(), expected, "{command}");
        }
        for (command, file) in [
            ("/env/bin/pytest -rA tests", "command -v /env/bin/pytest;"),
            ("timeout 60 pytest tests", "command -v pytest;"),
            ("coverage run -m pytest", "command -v pytest;"),
            ("cd .. && .venv/bin/py.test", "command -v .venv/bin/py.test;"),
        ] {
            let found = python(&TestCommand::given(command), Path::new("sub")).unwrap();
            let file = file.replace(";", ")");
            assert!(found.contains(&file), "{command}: {found}");
        }
    }

    /// What the words for a shell come to, with a pytest in a folder of its own.
    #[test]
    fn a_shell_finds_the_python_of_a_pytest() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = place.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let found = |text: &str| {
            file("pytest", text);
            let command = TestCommand::given(&format!("{}/pytest -q", place.path().display()));
            let python = python(&command, Path::new("")).unwrap();
            let said = std::process::Command::new("bash")
                .args(["-c", &format!("echo {python}")])
                .output()
                .unwrap();
            String::from_utf8(said.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(found("#!/usr/bin/env python3\n"), "/usr/bin/env python3");
        let usual = found("#!/bin/sh\n");
        assert!(usual.contains("python"), "{usual}");
        file("python", "#!/bin/sh\n");
        assert_eq!(
            found("#!/bin/sh\n"),
            place.path().join("python").display().to_string()
        );
    }
}
