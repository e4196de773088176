//! A command that runs some of another command's tests: what a person can be told to type.

use cwm_tools::shell_word;

use super::types::{Framework, TestCommand};
use super::words::{Kind, Word, runner, simple_commands};

/// The command that runs these tests alone, where its words and the tests' names say how. It is for people to read: where it would be
/// rough, as with options that are not known here, there is none.
pub fn narrowed(command: &TestCommand, tests: &[&str]) -> Option<String> {
    let line = command.command.as_str();
    let commands = simple_commands(line);
    // What stands behind the tests' own command is not to get their names.
    let words = commands.last()?;
    let found = runner(words)?;
    let is = |at: usize, name: &str| words.get(at).is_some_and(|word| word.text == name);
    let rest = words.get(found.at + 1..).unwrap_or_default();
    let with_names = |at: usize, options: &str, flag: &str| {
        let head = line.get(..words.get(at)?.end)?;
        let names = tests.iter().map(|test| format!(" {flag}{}", quoted(test)));
        Some(format!("{head}{options}{}", names.collect::<String>()))
    };
    match (found.framework, found.kind) {
        (Framework::Unittest, Kind::Unittest) if tests.iter().all(|test| is_dotted(test)) => {
            match plain_options(rest, &UNITTEST_FLAGS) {
                // The names count from the current folder.
                Some(options) if is(found.at, "discover") => with_names(found.at - 1, &options, ""),
                Some(options) => with_names(found.at, &options, ""),
                // They count from another folder: they are chosen among what is discovered.
                None if is(found.at, "discover") && rest.iter().all(|word| is_harmless(&word.text)) => {
                    with_names(words.len() - 1, "", "-k ")
                }
                None => None,
            }
        }
        (Framework::Pytest, Kind::Plain)
            if tests.iter().all(|test| test.contains("::"))
                && !["tox", "nox"].iter().any(|name| is(found.at, name)) =>
        {
            with_names(found.at, &plain_options(rest, &PYTEST_FLAGS)?, "")
        }
        _ => None,
    }
}

/// Options that take no value and change nothing of which tests there are.
const UNITTEST_FLAGS: [&str; 6] = ["-v", "-q", "-b", "-f", "--verbose", "--quiet"];
const PYTEST_FLAGS: [&str; 9] = ["-v", "-vv", "-q", "-qq", "-x", "-s", "-l", "--verbose", "--quiet"];

/// The options among a program's arguments; none when there are others than these. What is no option says which tests are run, and is
/// left out.
fn plain_options(arguments: &[Word], known: &[&str]) -> Option<String> {
    let mut options = String::new();
    for word in arguments {
        let text = word.text.as_str();
        if known.contains(&text) {
            options.push(' ');
            options.push_str(text);
        } else if text.starts_with('-') || !is_harmless(text) {
            return None;
        }
    }
    Some(options)
}

/// Whether a shell reads a word as it stands.
pub(super) fn is_harmless(text: &str) -> bool {
    let plain = |character: char| character.is_alphanumeric() || "/._-+,:@%=".contains(character);
    !text.is_empty() && text.chars().all(plain)
}

/// Whether it is a name of Python's, through its module.
pub(super) fn is_dotted(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|character| character == '_' || character.is_alphanumeric())
    };
    name.contains('.') && name.split('.').all(part)
}

/// A word as a shell takes it, without quotes where it needs none.
pub fn quoted(text: &str) -> String {
    if is_harmless(text) {
        return text.to_owned();
    }
    shell_word::quoted(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_named_where_the_command_takes_their_names() {
        let (dotted, node) = ("test_a.ATest.test_x", "tests/test_a.py::test_x[1 2]");
        for (command, test, narrow) in [
            (
                "python3 -m unittest -v test_a",
                dotted,
                Some("python3 -m unittest -v test_a.ATest.test_x"),
            ),
            (
                "cd sub && python -m unittest discover",
                dotted,
                Some("cd sub && python -m unittest test_a.ATest.test_x"),
            ),
            (
                "python3 -m unittest discover -s tests",
                dotted,
                Some("python3 -m unittest discover -s tests -k test_a.ATest.test_x"),
            ),
            (
                "A=1 python -m pytest -q tests",
                node,
                Some("A=1 python -m pytest -q 'tests/test_a.py::test_x[1 2]'"),
            ),
            ("pytest", node, Some("pytest 'tests/test_a.py::test_x[1 2]'")),
            // It is not known what these options do, or what the names are.
            ("pytest -c other.ini", node, None),
            ("pytest $OPTIONS", node, None),
            ("pytest -q > log", node, None),
            ("pytest | tee log", node, None),
            ("tox -e py311", node, None),
            ("python3 -m unittest", "(what broke)", None),
            ("pytest", "test_x", None),
            ("python manage.py test", dotted, None),
            ("cargo test", "tests::adds", None),
            ("make test", "make test", None),
            ("", "", None),
        ] {
            let found = narrowed(&TestCommand::given(command), &[test]);
            assert_eq!(found.as_deref(), narrow, "{command}");
        }
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_read_more_in_them() {
        for (text, word) in [
            ("a/b-c.d", "a/b-c.d"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(quoted(text), word);
        }
    }
}
