//! How a test command is made to tell more than it would: options, and variables of its environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use serde::Deserialize;

use super::words::{Kind, Word, runner, simple_commands};

/// The module that pytest loads, and its text.
pub(super) const PLUGIN: &str = "cwm_pytest_report";
pub(super) const PLUGIN_TEXT: &str = include_str!("pytest_report.py");

/// A command as it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prepared {
    pub(super) command: String,
    pub(super) environment: BTreeMap<OsString, OsString>,
    /// Whether a JSON report of Jest's form was asked for, in the private folder.
    pub(super) jest_report: bool,
    /// Whether `go test` was asked for JSON, so that its output must be made plain.
    pub(super) go_json: bool,
}

/// The private folder's JSON report.
pub(super) fn jest_report(folder: &str) -> String {
    format!("{folder}/jest.json")
}

/// The private folder's report of pytest.
pub(super) fn pytest_report(folder: &str) -> String {
    format!("{folder}/pytest.jsonl")
}

/// Prepares a command. `folder` is a private one inside, `package` the text of the package.json beside the command, `own` the variables that are set anyway.
pub(super) fn prepare(
    command: &str,
    folder: &str,
    package: &str,
    own: &BTreeMap<OsString, OsString>,
    with_plugin: bool,
) -> Prepared {
    let mut prepared = Prepared {
        command: command.to_owned(),
        environment: environment(command, folder, own, with_plugin),
        jest_report: false,
        go_json: false,
    };
    let commands = simple_commands(command);
    let piped = command.replace("||", "").contains('|') || command.contains('>');
    let mut insertions: Vec<(usize, String)> = Vec::new();
    for words in &commands {
        let Some(found) = runner(words) else {
            continue;
        };
        let has = |options: &[&str]| {
            let own = words.iter().take_while(|word| word.text != "--");
            own.into_iter().any(|word| {
                options
                    .iter()
                    .any(|option| word.text == *option || word.text.starts_with(&format!("{option}=")))
            })
        };
        let Some(behind) = words.get(found.at).map(|word| word.end) else {
            continue;
        };
        match found.kind {
            Kind::Unittest if !has(&["-v", "--verbose", "-q", "--quiet", "-h"]) => {
                insertions.push((behind, " -v".to_owned()))
            }
            Kind::Django
                if !has(&["-v", "--verbosity"]) && !words.iter().any(|word| word.text.starts_with("-v")) =>
            {
                insertions.push((behind, " -v 2".to_owned()));
            }
            // One program of many that fails must not hide the others.
            Kind::Cargo if !has(&["--no-fail-fast", "--no-run"]) => {
                insertions.push((behind, " --no-fail-fast".to_owned()))
            }
            Kind::Go if !piped && !has(&["-json", "--json", "-c", "-exec", "-o"]) => {
                prepared.go_json = true;
                insertions.push((behind, " -json".to_owned()));
            }
            Kind::Jest | Kind::Vitest if !piped && !prepared.jest_report && !has(REPORTS) => {
                prepared.jest_report = true;
                insertions.push((behind, format!(" {}", report_options(found.kind, folder))));
            }
            Kind::Script if !piped && commands.len() == 1 => {
                if let Some(options) = script_options(words, package, folder) {
                    prepared.jest_report = true;
                    insertions.push((command.trim_end().len(), options));
                }
            }
            _ => {}
        }
    }
    insertions.sort();
    for (at, text) in insertions.into_iter().rev() {
        prepared.command.insert_str(at, &text);
    }
    prepared
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

/// What to add to `npm test` when the script ends in Jest or Vitest, to which it hands its arguments.
fn script_options(words: &[Word], package: &str, folder: &str) -> Option<String> {
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
    Some(format!("{dashes} {}", report_options(found.kind, folder)))
}

/// Variables for the command, the user's own values kept.
fn environment(
    command: &str,
    folder: &str,
    own: &BTreeMap<OsString, OsString>,
    with_plugin: bool,
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
    }
    set
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
