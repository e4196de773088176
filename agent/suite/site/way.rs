//! How one of a repository's test commands runs a single file.
//!
//! Its words are looked at, never run: options are kept, what names other tests is left out, and the file is put behind. Where that is wrong,
//! as with an option that is not known here, no test is heard of, so that nothing is believed that should not be.

use std::path::{Component, Path};

use serde_json::Value;

use super::Dialect;
use super::cargo;
use crate::suite::find::text;
use crate::suite::narrow::{is_dotted, is_harmless, quoted};
use crate::suite::types::TestCommand;
use crate::suite::words::{Kind, Runner, Word, runner, simple_commands};

/// Options of a runner, as far as they matter where a file is put behind them.
struct Known {
    /// Those that have their value in the next word.
    valued: &'static [&'static str],
    /// Those that choose tests, end a run before its end or keep names from being told: they are left out.
    choosing: &'static [&'static str],
    /// The same, with a value in the next word.
    choosing_valued: &'static [&'static str],
}

const PYTEST: Known = Known {
    valued: &[
        "-p",
        "-c",
        "-n",
        "-o",
        "-W",
        "--tb",
        "--rootdir",
        "--durations",
        "--timeout",
        "--dist",
        "--import-mode",
        "--color",
        "--cov-config",
    ],
    choosing: &[
        "--exitfirst",
        "-x",
        "--lf",
        "--ff",
        "--last-failed",
        "--failed-first",
        "--sw",
        "--stepwise",
    ],
    choosing_valued: &[
        "--maxfail",
        "-k",
        "-m",
        "--deselect",
        "--ignore",
        "--ignore-glob",
        "--junitxml",
        "--junit-xml",
        "--basetemp",
        "--log-file",
        "--confcutdir",
    ],
};
const UNITTEST: Known = Known {
    valued: &[
        "-s",
        "--start-directory",
        "-t",
        "--top-level-directory",
        "--settings",
        "--verbosity",
        "--parallel",
    ],
    choosing: &["--failfast", "-f", "--quiet", "-q"],
    choosing_valued: &["-k", "-p", "--pattern", "--tag", "--exclude-tag"],
};
const CARGO: Known = Known {
    valued: &[
        "--features",
        "-F",
        "--manifest-path",
        "--target-dir",
        "--target",
        "--profile",
        "-j",
        "--jobs",
        "--color",
        "--config",
        "-Z",
        "--message-format",
    ],
    choosing: &[
        "--quiet",
        "-q",
        "--lib",
        "--bins",
        "--tests",
        "--doc",
        "--all-targets",
        "--examples",
        "--benches",
        "--workspace",
        "--all",
        "--no-run",
    ],
    choosing_valued: &[
        "--bin",
        "--test",
        "--example",
        "--bench",
        "-p",
        "--package",
        "--exclude",
    ],
};
const GO: Known = Known {
    valued: &[
        "-tags",
        "-timeout",
        "-count",
        "-mod",
        "-modfile",
        "-p",
        "-parallel",
        "-cpu",
        "-ldflags",
        "-gcflags",
        "-vet",
        "-covermode",
        "-coverpkg",
        "-coverprofile",
        "-shuffle",
    ],
    choosing: &["-c", "-failfast"],
    choosing_valued: &["-run", "-skip", "-bench", "-fuzz", "-list", "-o"],
};
const JAVASCRIPT: Known = Known {
    valued: &[
        "-c",
        "--config",
        "-w",
        "--maxWorkers",
        "--env",
        "--testTimeout",
        "--root",
        "--project",
        "-r",
        "--require",
        "--import",
        "--loader",
        "--timeout",
        "--ui",
        "-u",
        "--experimental-loader",
        "--test-concurrency",
        "-C",
        "--conditions",
    ],
    choosing: &[
        "-b",
        "--bail",
        "--watch",
        "--watchAll",
        "--onlyChanged",
        "-o",
        "--test-only",
    ],
    choosing_valued: &[
        "--test-reporter-destination",
        "--test-reporter",
        "--reporter",
        "-R",
        "-t",
        "--testNamePattern",
        "--testPathPattern",
        "-g",
        "--grep",
        "-f",
        "--spec",
        "--test-name-pattern",
    ],
};

/// How a command runs a file.
pub(super) struct Way<'c> {
    pub(super) command: &'c TestCommand,
    pub(super) dialect: Dialect,
    /// The folder in which it runs, relative to the root; empty for the root itself.
    pub(super) folder: String,
    words: Vec<Word>,
    found: Runner,
    script: Option<Script>,
}

/// The script of package.json that `npm test` and its like run.
struct Script {
    text: String,
    words: Vec<Word>,
    found: Runner,
}

impl<'c> Way<'c> {
    /// The way of a command that starts in `start`; none where it is not known, or where the command does more than this can tell.
    pub(super) fn of(tree: &Path, start: &Path, command: &'c TestCommand) -> Option<Way<'c>> {
        let mut commands = simple_commands(&command.command);
        let words = commands.pop()?;
        let folder = folder(start, &commands)?;
        let found = runner(&words)?;
        let script = match found.kind {
            Kind::Script => Some(script(&tree.join(&folder), &words, &found)?),
            _ => None,
        };
        let last = script.as_ref().map_or(&found, |script| &script.found);
        let own = words.get(found.at)?.text.rsplit('/').next().unwrap_or_default();
        let dialect = match last.kind {
            Kind::Plain if own == "pytest" || own == "py.test" => Dialect::Pytest,
            Kind::Unittest | Kind::Django => Dialect::Unittest,
            Kind::Cargo => Dialect::Cargo,
            Kind::Go => Dialect::Go,
            Kind::Jest => Dialect::Jest,
            Kind::Vitest => Dialect::Vitest,
            Kind::Mocha => Dialect::Mocha,
            Kind::Node => Dialect::Node,
            Kind::Plain | Kind::Script => return None,
        };
        Some(Way {
            command,
            dialect,
            folder,
            words,
            found,
            script,
        })
    }

    /// A path within the command's folder, as seen from there.
    pub(super) fn inside<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self.folder.as_str() {
            "" => Some(path),
            folder => path.strip_prefix(folder)?.strip_prefix('/'),
        }
    }

    /// The command that runs one file alone. `path` is relative to the root, `text` is what stands in it, where that is known.
    pub(super) fn alone(&self, tree: &Path, path: &str, text: &str) -> Option<String> {
        let inside = self.inside(path)?;
        if let Some(script) = &self.script {
            return self.through_script(script, inside);
        }
        let rest = self.words.get(self.found.at + 1..)?;
        let line = self.command.command.as_str();
        let head = line.get(..self.words.get(self.found.at)?.end)?;
        let (options, file) = match self.dialect {
            Dialect::Pytest => (kept(rest, &PYTEST)?, quoted(inside)),
            Dialect::Unittest => self.unittest(rest, inside)?,
            Dialect::Cargo => cargo_words(tree, &self.folder, path, rest)?,
            Dialect::Go => go_words(inside, text, rest)?,
            Dialect::Jest | Dialect::Vitest | Dialect::Mocha | Dialect::Node => {
                (kept(rest, &JAVASCRIPT)?, quoted(inside))
            }
        };
        Some(format!("{head}{options} {file}"))
    }

    fn unittest(&self, rest: &[Word], path: &str) -> Option<(String, String)> {
        let discovers = self
            .words
            .get(self.found.at)
            .is_some_and(|word| word.text == "discover");
        let mut options = kept(rest, &UNITTEST)?;
        if discovers {
            // The first word that is no option is the folder to start in.
            if let Some(start) = first_plain(rest, &UNITTEST) {
                options.push_str(&format!(" -s {}", quoted(start)));
            }
            let name = path.rsplit('/').next()?;
            return Some((options, format!("-p {}", quoted(name))));
        }
        let module = path.strip_suffix(".py")?.replace('/', ".");
        let plain = is_dotted(&module) || is_dotted(&format!("{module}.x"));
        plain.then_some((options, module))
    }

    /// The command that runs a script with the file behind its words; where other files stand there, what the script runs itself.
    fn through_script(&self, script: &Script, path: &str) -> Option<String> {
        let line = self.command.command.trim_end();
        let rest = script.words.get(script.found.at + 1..)?;
        let file = quoted(path);
        let program = self.words.first()?.text.as_str();
        if first_plain(rest, &JAVASCRIPT).is_none() && kept(rest, &JAVASCRIPT).is_some() {
            // npm keeps options to itself, and a path it hands on.
            let given = self.words.iter().any(|word| word.text == "--");
            let dashes = if given || program != "npm" { "" } else { " --" };
            return Some(format!("{line}{dashes} {file}"));
        }
        let first = self.words.first()?;
        let before = line.get(..first.end.checked_sub(first.text.len())?)?;
        let head = script.text.get(..script.words.get(script.found.at)?.end)?;
        let options = kept(rest, &JAVASCRIPT)?;
        Some(format!(
            "{before}export PATH=\"$PWD/node_modules/.bin:$PATH\"; {head}{options} {file}"
        ))
    }
}

/// The folder that the last command of a line runs in; none where that cannot be told.
pub(in crate::suite) fn folder(start: &Path, before: &[Vec<Word>]) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut enter = |path: &Path| -> Option<()> {
        for part in path.components() {
            match part {
                Component::Normal(name) => parts.push(name.to_str()?.to_owned()),
                Component::CurDir => {}
                Component::ParentDir => drop(parts.pop()?),
                Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        Some(())
    };
    enter(start)?;
    for words in before {
        match words.first().map(|word| word.text.as_str()) {
            Some("cd") => {
                let to = words
                    .get(1)
                    .filter(|word| words.len() == 2 && is_harmless(&word.text))?;
                enter(Path::new(&to.text))?;
            }
            Some("pushd" | "popd") => return None,
            _ => {}
        }
    }
    Some(parts.join("/"))
}

fn script(folder: &Path, words: &[Word], found: &Runner) -> Option<Script> {
    let package: Value = serde_json::from_str(&text(&folder.join("package.json"))).ok()?;
    let name = match words.get(found.at)?.text.as_str() {
        "t" | "tst" => "test",
        name => name,
    };
    let text = package.get("scripts")?.get(name)?.as_str()?.to_owned();
    let mut commands = simple_commands(&text);
    let words = commands.pop()?;
    let found = runner(&words)?;
    Some(Script { text, words, found })
}

/// The options among a runner's arguments, up to two dashes; none where a shell would read more in a word than stands there.
fn kept(arguments: &[Word], known: &Known) -> Option<String> {
    let mut options = String::new();
    let mut words = arguments
        .iter()
        .map(|word| word.text.as_str())
        .take_while(|text| *text != "--");
    while let Some(text) = words.next() {
        if text == "2>&1" {
            continue;
        }
        if known.choosing_valued.contains(&text) {
            words.next();
            continue;
        }
        if !is_harmless(text) {
            // What names other tests is left out, but nothing that leads the output elsewhere.
            if text.contains(['$', '`', '<', '>', '|', '&']) || text.starts_with('-') {
                return None;
            }
            continue;
        }
        let option = text.split('=').next().unwrap_or(text);
        if !text.starts_with('-') || known.choosing.contains(&text) || known.choosing_valued.contains(&option)
        {
            continue;
        }
        options.push(' ');
        options.push_str(text);
        if known.valued.contains(&text) {
            let value = words.next().filter(|value| is_harmless(value))?;
            options.push(' ');
            options.push_str(value);
        }
    }
    Some(options)
}

/// The first argument that is no option and no option's value.
fn first_plain<'w>(arguments: &'w [Word], known: &Known) -> Option<&'w str> {
    let mut words = arguments
        .iter()
        .map(|word| word.text.as_str())
        .take_while(|text| *text != "--");
    while let Some(text) = words.next() {
        if known.valued.contains(&text) || known.choosing_valued.contains(&text) {
            words.next();
        } else if !text.starts_with('-') {
            return Some(text);
        }
    }
    None
}

/// Cargo runs a file of a package's folder `tests` by its name.
fn cargo_words(tree: &Path, folder: &str, path: &str, rest: &[Word]) -> Option<(String, String)> {
    let (package, name) = cargo::package_of_test(path)?;
    let mut options = kept(rest, &CARGO)?;
    if package != folder {
        options.push_str(&format!(
            " -p {}",
            quoted(&cargo::Package::of(tree, package)?.name)
        ));
    }
    let threads = rest.iter().find(|word| word.text.starts_with("--test-threads="));
    let threads = threads.map_or(String::new(), |word| format!(" -- {}", quoted(&word.text)));
    Some((options, format!("--test {}{threads}", quoted(name))))
}

/// Go runs packages, of which the file's own tests are chosen.
fn go_words(path: &str, text: &str, rest: &[Word]) -> Option<(String, String)> {
    let mut options = kept(rest, &GO)?;
    let tests: Vec<&str> = text.lines().filter_map(go_test).collect();
    if !tests.is_empty() {
        let expression = format!("^({})$", tests.join("|"));
        options.push_str(&format!(" -run {}", quoted(&expression)));
    }
    let package = match path.rsplit_once('/') {
        Some((folder, _)) => format!("./{folder}"),
        None => ".".to_owned(),
    };
    Some((options, quoted(&package)))
}

/// The test of a line such as `func TestName(t *testing.T) {`.
fn go_test(line: &str) -> Option<&str> {
    let name = line.strip_prefix("func ")?.split('(').next()?.trim();
    let plain = name.chars().all(|sign| sign.is_alphanumeric() || sign == '_');
    (name.starts_with("Test") && plain).then_some(name)
}
