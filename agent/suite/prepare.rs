//! How a test command is made to tell more than it would, and to run only what is wanted: options, and variables of its environment.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use serde::Deserialize;

use super::select;
use super::words::{Kind, Word, runner, simple_commands};

/// The module that pytest loads, and its text.
pub(super) const PLUGIN: &str = "cwm_pytest_report";
pub(super) const PLUGIN_TEXT: &str = include_str!("pytest_report.py");

/// The variable with the root of the tree of which the module tells what files' code tests run.
pub(super) const TOUCHING: &str = "CWM_TEST_TOUCHING";

/// A command as it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prepared {
    pub(super) command: String,
    pub(super) environment: BTreeMap<OsString, OsString>,
    /// Whether a JSON report of Jest's form was asked for, in the private folder.
    pub(super) jest_report: bool,
    /// Whether `go test` was asked for JSON, so that its output must be made plain.
    pub(super) go_json: bool,
    /// The tests that its options choose; empty when they choose none, and all run. pytest chooses by its environment.
    pub(super) selected: BTreeSet<String>,
}

/// The private folder's JSON report.
pub(super) fn jest_report(folder: &str) -> String {
    format!("{folder}/jest.json")
}

/// The private folder's report of pytest.
pub(super) fn pytest_report(folder: &str) -> String {
    format!("{folder}/pytest.jsonl")
}

/// The private folder's list of the tests that pytest is to run.
pub(super) fn pytest_selection(folder: &str) -> String {
    format!("{folder}/selection.json")
}

/// Bytes that may be added to choose tests: a command is one argument of bash, and the kernel takes 128 KiB for one.
const MOST_SELECTION: usize = 64 << 10;

/// Prepares a command. `folder` is a private one inside, `package` the text of the package.json beside the command, `own` the variables that
/// are set anyway, `wanted` the tests that are to run; all, when it is empty.
pub(super) fn prepare(
    command: &str,
    folder: &str,
    package: &str,
    own: &BTreeMap<OsString, OsString>,
    with_plugin: bool,
    wanted: &BTreeSet<String>,
) -> Prepared {
    let mut prepared = Prepared {
        command: command.to_owned(),
        environment: environment(command, folder, own, with_plugin, !wanted.is_empty()),
        jest_report: false,
        go_json: false,
        selected: BTreeSet::new(),
    };
    let commands = simple_commands(command);
    let piped = command.replace("||", "").contains('|') || command.contains('>');
    let mut insertions: Vec<(usize, String)> = Vec::new();
    let mut room = MOST_SELECTION;
    for words in &commands {
        let Some(found) = runner(words) else {
            continue;
        };
        let Some(behind) = words.get(found.at).map(|word| word.end) else {
            continue;
        };
        if found.kind == Kind::Script {
            if !piped
                && commands.len() == 1
                && let Some((options, selected)) = script_options(words, package, folder, wanted)
            {
                prepared.jest_report = true;
                prepared.selected = selected;
                insertions.push((command.trim_end().len(), options));
            }
            continue;
        }
        if let Some(options) = telling_options(found.kind, words, piped, folder, &mut prepared) {
            insertions.push((behind, options));
        }
        if let Some(selection) = select::options(command, words, &found, wanted)
            && selection.options.len() <= room
        {
            room -= selection.options.len();
            insertions.push((selection.at, selection.options));
            prepared.selected.extend(selection.tests);
        }
    }
    // At one place they stay in this order: what is behind two dashes ends the runner's own options.
    insertions.sort_by_key(|(at, _)| *at);
    for (at, text) in insertions.into_iter().rev() {
        prepared.command.insert_str(at, &text);
    }
    prepared
}

/// Options that make a runner tell more than it would.
fn telling_options(
    kind: Kind,
    words: &[Word],
    piped: bool,
    folder: &str,
    prepared: &mut Prepared,
) -> Option<String> {
    let has = |options: &[&str]| {
        let own = words.iter().take_while(|word| word.text != "--");
        own.into_iter().any(|word| {
            options
                .iter()
                .any(|option| word.text == *option || word.text.starts_with(&format!("{option}=")))
        })
    };
    match kind {
        Kind::Unittest if !has(&["-v", "--verbose", "-q", "--quiet", "-h"]) => Some(" -v".to_owned()),
        Kind::Django
            if !has(&["-v", "--verbosity"]) && !words.iter().any(|word| word.text.starts_with("-v")) =>
        {
            Some(" -v 2".to_owned())
        }
        // One program of many that fails must not hide the others.
        Kind::Cargo if !has(&["--no-fail-fast", "--no-run"]) => Some(" --no-fail-fast".to_owned()),
        Kind::Go if !piped && !has(&["-json", "--json", "-c", "-exec", "-o"]) => {
            prepared.go_json = true;
            Some(" -json".to_owned())
        }
        Kind::Jest | Kind::Vitest if !piped && !prepared.jest_report && !has(REPORTS) => {
            prepared.jest_report = true;
            Some(format!(" {}", report_options(kind, folder)))
        }
        _ => None,
    }
}

/// Options of the user's own that ours would contradict.
const REPORTS: &[&str] = &[
    "--json",
    "--outputFile",
    "--reporter",
    "--reporters",
    "--watch",
    "--watchAll",
];

fn report_options(kind: Kind, folder: &str) -> String {
    let report = jest_report(folder);
    match kind {
        Kind::Vitest => format!("--reporter=default --reporter=json --outputFile.json={report}"),
        _ => format!("--json --outputFile={report}"),
    }
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    scripts: BTreeMap<String, serde_json::Value>,
}

/// What to add to `npm test` when the script ends in Jest or Vitest, to which it hands its arguments; and the tests that it chooses.
fn script_options(
    words: &[Word],
    package: &str,
    folder: &str,
    wanted: &BTreeSet<String>,
) -> Option<(String, BTreeSet<String>)> {
    let package: Package = serde_json::from_str(package).ok()?;
    let own = runner(words)?;
    let name = match words.get(own.at)?.text.as_str() {
        "t" | "tst" => "test",
        name => name,
    };
    let script = package.scripts.get(name)?.as_str()?;
    let piped = script.contains('|') || script.contains('>');
    let commands = simple_commands(script);
    let last = commands.last()?;
    let found = runner(last).filter(|_| !piped)?;
    let ours = matches!(found.kind, Kind::Jest | Kind::Vitest);
    let theirs = last
        .iter()
        .any(|word| REPORTS.iter().any(|option| word.text.starts_with(option)));
    if !ours || theirs {
        return None;
    }
    let program = words.first()?.text.as_str();
    // npm keeps options to itself unless they stand behind two dashes; yarn and pnpm hand them on.
    let separated =
        !program.ends_with("npm") || program.ends_with("pnpm") || words.iter().any(|word| word.text == "--");
    let dashes = if separated { "" } else { " --" };
    let (choice, selected) = select::titles(&[words, last], wanted)
        .filter(|(choice, _)| choice.len() <= MOST_SELECTION)
        .unwrap_or_default();
    let options = format!("{dashes} {}{choice}", report_options(found.kind, folder));
    Some((options, selected))
}

/// Variables for the command, the user's own values kept.
fn environment(
    command: &str,
    folder: &str,
    own: &BTreeMap<OsString, OsString>,
    with_plugin: bool,
    chooses: bool,
) -> BTreeMap<OsString, OsString> {
    let mut set = BTreeMap::new();
    let mut put = |name: &str, value: OsString| {
        set.insert(OsString::from(name), value);
    };
    // Byte code is trusted by a file's size and second, and an edit may change neither.
    put("PYTHONDONTWRITEBYTECODE", "1".into());
    if with_plugin {
        let joined = |name: &str, separator: &str, added: &str| {
            let mut value = own.get(OsStr::new(name)).cloned().unwrap_or_default();
            if !value.is_empty() {
                value.push(separator);
            }
            value.push(added);
            value
        };
        let mut options = format!("-p {PLUGIN}");
        if !command.contains("no:cacheprovider") {
            options.push_str(&format!(" -o cache_dir={folder}/cache"));
        }
        put("PYTEST_ADDOPTS", joined("PYTEST_ADDOPTS", " ", &options));
        put("PYTHONPATH", joined("PYTHONPATH", ":", folder));
        put("CWM_TEST_REPORT", pytest_report(folder).into());
        if chooses {
            put("CWM_TEST_SELECTION", pytest_selection(folder).into());
        }
    }
    set
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
