//! Which Python a test command runs its tests with, as words for a shell.

use super::narrow::quoted;
use super::types::TestCommand;
use super::words::{Word, runner, simple_commands};

/// The Python of a test command, with what stands before it (`poetry run`, variables): the one that it names, or the one beside the pytest that it
/// names. None where the command does not say.
pub fn python(command: &TestCommand) -> Option<String> {
    let line = command.command.as_str();
    let commands = simple_commands(line);
    commands.iter().find_map(|words| {
        let named = words.iter().position(|word| is_python(&word.text));
        if let Some(at) = named {
            return Some(joined(line, words.get(..=at)?));
        }
        let at = runner(words)?.at;
        let own = &words.get(at)?.text;
        let folder = match own.as_str() {
            "pytest" | "py.test" => None,
            own => Some(
                own.strip_suffix("/pytest")
                    .or_else(|| own.strip_suffix("/py.test"))?,
            ),
        };
        let before = words.get(..at)?;
        Some(match folder {
            Some(folder) => beside(line, before, &quoted(&format!("{folder}/python"))),
            // What a wrapper puts into the path is seen only through it.
            None if before.iter().any(|word| !word.text.contains('=')) => beside(line, before, "python"),
            None => beside(
                line,
                before,
                &format!("\"$(dirname \"$(command -v {own})\")/python\""),
            ),
        })
    })
}

fn beside(line: &str, before: &[Word], python: &str) -> String {
    let before = joined(line, before);
    format!("{before} {python}").trim_start().to_owned()
}

fn is_python(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or_default();
    let version = |rest: &str| rest.chars().all(|sign| sign.is_ascii_digit() || sign == '.');
    name.strip_prefix("python").is_some_and(version)
}

/// Words as they stood; those with quotes are quoted anew.
fn joined(line: &str, words: &[Word]) -> String {
    let plain = |word: &Word| {
        let head = line.get(..word.end).unwrap_or_default();
        let raw = head.rsplit(char::is_whitespace).next().unwrap_or_default();
        let raw = raw.trim_start_matches(['(', '{', ';', '&', '|']);
        if raw == word.text || raw.contains('$') {
            raw.to_owned()
        } else {
            quoted(&word.text)
        }
    };
    words.iter().map(plain).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_python_is_the_one_that_runs_the_tests() {
        for (command, expected) in [
            ("python3 -m pytest -q", Some("python3")),
            (
                "cd sub && .venv/bin/python3.11 -m unittest",
                Some(".venv/bin/python3.11"),
            ),
            ("'/a b/bin/python' -m pytest", Some("'/a b/bin/python'")),
            ("$VENV/bin/python -m pytest", Some("$VENV/bin/python")),
            ("/env/bin/pytest -rA tests", Some("/env/bin/python")),
            ("A=1 /env/bin/py.test", Some("A=1 /env/bin/python")),
            ("poetry run pytest -q", Some("poetry run python")),
            ("uv run --extra test pytest", Some("uv run --extra test python")),
            ("uv run python -m pytest", Some("uv run python")),
            (
                "pytest tests",
                Some("\"$(dirname \"$(command -v pytest)\")/python\""),
            ),
            (
                "A=1 pytest",
                Some("A=1 \"$(dirname \"$(command -v pytest)\")/python\""),
            ),
            ("tox -e py311", None),
            ("cargo test", None),
            ("make test", None),
            ("", None),
        ] {
            let found = python(&TestCommand::given(command));
            assert_eq!(found.as_deref(), expected, "{command}");
        }
    }
}
