//! What a test command's words say: which framework it runs, and where its own arguments begin.

use super::types::Framework;

/// One word of a shell command, quotes taken off, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) end: usize,
}

/// The program that runs the tests, found in one simple command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Runner {
    pub(super) framework: Framework,
    pub(super) kind: Kind,
    /// Behind which word its arguments begin.
    pub(super) at: usize,
}

/// Which program it is, as far as its options matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Unittest,
    Django,
    Cargo,
    Go,
    Jest,
    Vitest,
    Mocha,
    /// `node --test`.
    Node,
    /// `npm test` and its like, which run a script of package.json.
    Script,
    Plain,
}

/// The simple commands of a line for bash, each as its words. Rough where bash is rich: what it takes wrongly makes no command
/// run that the user did not write, since words are only looked at.
pub(super) fn simple_commands(line: &str) -> Vec<Vec<Word>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = line.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some('\''), _) => word.get_or_insert_default().push(character),
            (_, '\\') => {
                if let Some((_, next)) = characters.next()
                    && next != '\n'
                {
                    word.get_or_insert_default().push(next);
                }
            }
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => finish(&mut commands, &mut word, at),
            (None, '&' | '|' | ';' | '\n' | '(' | ')') => {
                finish(&mut commands, &mut word, at);
                // `2>&1` and `>&2` end no command.
                if !(character == '&' && line.get(..at).is_some_and(|before| before.ends_with('>'))) {
                    commands.push(Vec::new());
                }
            }
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    finish(&mut commands, &mut word, line.len());
    commands.retain(|words| !words.is_empty());
    commands
}

fn finish(commands: &mut [Vec<Word>], word: &mut Option<String>, end: usize) {
    if let (Some(text), Some(last)) = (word.take(), commands.last_mut()) {
        last.push(Word { text, end });
    }
}

/// What a command runs, the first of its simple commands that runs tests counting.
pub(super) fn framework(line: &str) -> Framework {
    let commands = simple_commands(line);
    let runners = commands.iter().filter_map(|words| runner(words));
    runners
        .map(|runner| runner.framework)
        .find(|framework| *framework != Framework::Other)
        .unwrap_or(Framework::Other)
}

/// What puts an environment around a program of Python's, when `run` stands behind it.
pub(super) const MANAGERS: [&str; 8] = ["poetry", "pipenv", "hatch", "pdm", "rye", "uv", "conda", "mamba"];

/// Which program a simple command runs the tests with.
pub(super) fn runner(words: &[Word]) -> Option<Runner> {
    let mut at = 0;
    // Each turn passes one wrapper; there are never more than words.
    for _ in 0..words.len() {
        let text = words.get(at)?.text.as_str();
        let rest = words.get(at + 1..).unwrap_or_default();
        let program = text.rsplit('/').next().unwrap_or(text);
        let next = rest.first().map_or("", |word| word.text.as_str());
        let skip = match program {
            _ if is_assignment(text) => 1,
            "{" | "if" | "then" | "!" | "exec" | "time" | "nice" | "command" | "sudo" | "xvfb-run"
            | "npx" | "bunx" | "nohup" => 1 + options(rest),
            "env" | "stdbuf" | "timeout" => 1 + options(rest) + usize::from(program == "timeout"),
            _ if next == "run" && MANAGERS.contains(&program) => {
                2 + options(rest.get(1..).unwrap_or_default())
            }
            "pnpm" | "yarn" | "npm" if matches!(next, "exec" | "dlx" | "x") => {
                2 + options(rest.get(1..).unwrap_or_default())
            }
            "yarn" | "pnpm" if matches!(next, "jest" | "vitest" | "mocha") => 1,
            "coverage" if next == "run" => {
                return python(words, at + 2);
            }
            _ => return program_runner(words, at, program, next),
        };
        at += skip;
    }
    None
}

fn program_runner(words: &[Word], at: usize, program: &str, next: &str) -> Option<Runner> {
    let found = |framework, kind, at| Some(Runner { framework, kind, at });
    match program {
        "pytest" | "py.test" | "tox" | "nox" => found(Framework::Pytest, Kind::Plain, at),
        "unit2" => found(Framework::Unittest, Kind::Unittest, at),
        "manage.py" | "django-admin" if next == "test" => found(Framework::Unittest, Kind::Django, at + 1),
        "cargo" => {
            let toolchain = usize::from(next.starts_with('+'));
            let task = words.get(at + 1 + toolchain)?.text.as_str();
            matches!(task, "test" | "t").then_some(())?;
            found(Framework::Cargo, Kind::Cargo, at + 1 + toolchain)
        }
        "go" if next == "test" => found(Framework::Go, Kind::Go, at + 1),
        "jest" => found(Framework::Jest, Kind::Jest, at),
        "react-scripts" if next == "test" => found(Framework::Jest, Kind::Jest, at + 1),
        "vitest" => found(
            Framework::Jest,
            Kind::Vitest,
            at + usize::from(matches!(next, "run" | "related")),
        ),
        "mocha" | "_mocha" => found(Framework::Other, Kind::Mocha, at),
        "node" if words.iter().skip(at).any(|word| word.text == "--test") => {
            found(Framework::Other, Kind::Node, at)
        }
        "npm" | "yarn" | "pnpm" => {
            let named = words.get(at + 2).map_or("", |word| word.text.as_str());
            if matches!(next, "test" | "t" | "tst") {
                found(Framework::Other, Kind::Script, at + 1)
            } else if matches!(next, "run" | "run-script") && named.starts_with("test") {
                found(Framework::Other, Kind::Script, at + 2)
            } else {
                None
            }
        }
        // Where a program stands, one of a name that begins so is one too.
        _ if program.starts_with("python") || program.starts_with("pypy") => python(words, at + 1),
        _ => None,
    }
}

/// Whether a word, wherever it stands, is the name of a Python of any version.
pub(super) fn is_python(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or_default();
    let rest = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
    rest.is_some_and(|rest| rest.chars().all(|sign| sign.is_ascii_digit() || sign == '.'))
}

/// What Python runs, from its arguments on.
fn python(words: &[Word], mut at: usize) -> Option<Runner> {
    while let Some(word) = words.get(at) {
        let text = word.text.as_str();
        let next = words.get(at + 1).map_or("", |word| word.text.as_str());
        match text {
            "-m" => {
                return match next {
                    "pytest" | "py.test" | "tox" | "nox" => Some(Runner {
                        framework: Framework::Pytest,
                        kind: Kind::Plain,
                        at: at + 1,
                    }),
                    "unittest" => {
                        let discover = words.get(at + 2).is_some_and(|word| word.text == "discover");
                        let at = at + 1 + usize::from(discover);
                        Some(Runner {
                            framework: Framework::Unittest,
                            kind: Kind::Unittest,
                            at,
                        })
                    }
                    "django" if words.get(at + 2).is_some_and(|word| word.text == "test") => Some(Runner {
                        framework: Framework::Unittest,
                        kind: Kind::Django,
                        at: at + 2,
                    }),
                    "coverage" => python(words, at + 3),
                    _ => None,
                };
            }
            "-W" | "-X" => at += 2,
            _ if text.starts_with('-') => at += 1,
            _ => {
                let file = text.rsplit('/').next().unwrap_or(text);
                let django = file == "manage.py" && next == "test";
                if django {
                    return Some(Runner {
                        framework: Framework::Unittest,
                        kind: Kind::Django,
                        at: at + 1,
                    });
                }
                let unittest = file == "setup.py" && next == "test";
                return unittest.then_some(Runner {
                    framework: Framework::Unittest,
                    kind: Kind::Plain,
                    at: at + 1,
                });
            }
        }
    }
    None
}

/// How many words of options a wrapper has before the command that it runs.
fn options(words: &[Word]) -> usize {
    let mut count = 0;
    while let Some(word) = words.get(count) {
        let text = word.text.as_str();
        let takes_value = matches!(
            text,
            "-n" | "--with"
                | "--extra"
                | "--group"
                | "--python"
                | "-p"
                | "--package"
                | "-u"
                | "--env"
                | "-k"
                | "-s"
                | "-C"
                | "--name"
                | "-E"
        );
        if takes_value {
            count += 2;
        } else if text.starts_with('-') || is_assignment(text) {
            count += 1;
        } else {
            break;
        }
    }
    count
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
