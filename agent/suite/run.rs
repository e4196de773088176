//! Runs a test command in a copy and reads what it says.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cwm_tools::sandbox::{Ending, ProgramSpec, SandboxError, Stream};
use cwm_tools::session::Session;
use cwm_tools::truncate::{self, HeadTail, Truncated, display_text};

use super::parse::{Parsed, go, jest_json, junit, pytest_report};
use super::prepare::{self, PLUGIN, PLUGIN_TEXT, Prepared, prepare};
use super::select;
use super::types::{Framework, RunEnding, TestCommand, TestRun, UNNAMED};
use super::verdict::{Seen, judge};
use super::words::simple_commands;

/// Bytes of printed text that are read for results, half of the beginning and half of the end.
const MOST_READ: usize = 16 << 20;

/// Bytes of one report that are read.
const MOST_REPORT: usize = 64 << 20;

/// How long our own small programs may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How tests are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// How long the command may take.
    pub timeout: Duration,
    /// Bytes kept of what it prints, half of the beginning and half of the end.
    pub most_output: usize,
    /// The tests that are wanted, by the names that a run of the command has for them; empty for all. Where the command cannot be made to leave
    /// the others out, all run; where it can, a few of the others may run with them. The result says which it was.
    pub tests: BTreeSet<String>,
    /// The root of a tree of which it is wanted which files' code each test runs; only pytest tells that.
    pub coverage: Option<PathBuf>,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions {
            timeout: Duration::from_secs(600),
            most_output: 256 << 10,
            tests: BTreeSet::new(),
            coverage: None,
        }
    }
}

/// Runs a test command in a session's copy, outside of its shell. Where chosen tests are wanted and none of them is heard of, it is run once more,
/// without choosing and with the same time limit: its program may be too old for that, or the tests are not there any more.
///
/// # Errors
///
/// When the sandbox is lost. A command that cannot be started, or that runs too long, is a result.
pub fn run(
    session: &mut Session,
    command: &TestCommand,
    options: &RunOptions,
) -> Result<TestRun, SandboxError> {
    let wanted = select::tests(&command.command, &options.tests);
    let run = run_once(session, command, options, &wanted)?;
    if !run.is_partial() || tells_of_chosen(&run) {
        return Ok(run);
    }
    run_once(session, command, options, &BTreeSet::new())
}

/// Whether a run of chosen tests says something of them. That it was cut short says something too.
fn tells_of_chosen(run: &TestRun) -> bool {
    let told = |name: &String| run.tests.contains_key(name);
    match run.ending {
        RunEnding::TimedOut | RunEnding::Stopped { .. } => true,
        RunEnding::Ran | RunEnding::NotStarted { .. } => {
            run.tests.contains_key(UNNAMED) || run.selected.iter().any(told)
        }
    }
}

fn run_once(
    session: &mut Session,
    command: &TestCommand,
    options: &RunOptions,
    wanted: &BTreeSet<String>,
) -> Result<TestRun, SandboxError> {
    let started = Instant::now();
    let desk = Desk::set_up(session)?;
    desk.put_selection(session, wanted)?;
    let own = session.sandbox().policy().environment.clone();
    let mut with_plugin = matches!(command.framework, Framework::Pytest | Framework::Other);
    let (prepared, ending, text) = loop {
        let mut prepared = prepare(
            &command.command,
            &desk.folder,
            &desk.package,
            &own,
            with_plugin,
            wanted,
        );
        if let Some(root) = options.coverage.as_ref().filter(|_| with_plugin) {
            let name = prepare::TOUCHING.into();
            prepared.environment.insert(name, root.into());
        }
        let left = options.timeout.saturating_sub(started.elapsed());
        let (ending, text) = execute(session, &prepared, left.max(Duration::from_secs(1)))?;
        // An environment that passes pytest's options on, but not the module's folder, cannot load the module.
        if with_plugin && text.contains("Error importing plugin") && text.contains(PLUGIN) {
            with_plugin = false;
            continue;
        }
        break (prepared, ending, text);
    };
    // Its name is another one in each run.
    let text = if desk.made {
        text.replace(&desk.folder, "/tmp/suite")
    } else {
        text
    };
    let report = if with_plugin {
        pytest_report::read(&read_file(session, &prepare::pytest_report(&desk.folder))?)
    } else {
        pytest_report::Report::default()
    };
    let documents = documents(session, &desk, &prepared, command)?;
    desk.clear(session)?;
    let mut selected = prepared.selected;
    if report.selected {
        selected.extend(wanted.iter().cloned());
    }
    let shown = if prepared.go_json {
        go::plain(&text)
    } else {
        text.clone()
    };
    Ok(judge(Seen {
        command,
        ending: &ending,
        text: &text,
        output: cut(shown, options.most_output),
        report,
        documents,
        selected,
        seconds: started.elapsed().as_secs_f64(),
    }))
}

/// A private folder inside, with what the command is given.
struct Desk {
    folder: String,
    /// Whether the folder is there.
    made: bool,
    /// The package.json beside the command; empty when there is none.
    package: String,
}

const SET_UP: &str = r#"
umask 077
folder=$(mktemp -d /tmp/suite-XXXXXXXXXX) && cat >"$folder/$1.py" && touch "$folder/begun" || {
    [ -z "$folder" ] || rm -rf -- "$folder"
    folder=
}
printf '%s\n' "$folder"
head -c 1000000 package.json 2>/dev/null
exit 0
"#;

impl Desk {
    fn set_up(session: &mut Session) -> Result<Desk, SandboxError> {
        let mut input = PLUGIN_TEXT.as_bytes();
        let (_, text) = bash(session, SET_UP, &[PLUGIN], Some(&mut input))?;
        let (folder, package) = set_up_said(&text);
        Ok(Desk {
            // Where none could be made, what would be in it is not found, and printed text is read.
            folder: folder.unwrap_or("/tmp/suite-none").to_owned(),
            made: folder.is_some(),
            package: package.to_owned(),
        })
    }

    /// Writes down which tests pytest is to run.
    fn put_selection(&self, session: &mut Session, wanted: &BTreeSet<String>) -> Result<(), SandboxError> {
        if wanted.is_empty() || !self.made {
            return Ok(());
        }
        let text = serde_json::Value::from_iter(wanted.iter().map(String::as_str)).to_string();
        let path = prepare::pytest_selection(&self.folder);
        bash(
            session,
            r#"umask 077; cat >"$1""#,
            &[&path],
            Some(&mut text.as_bytes()),
        )
        .map(|_| ())
    }

    fn clear(&self, session: &mut Session) -> Result<(), SandboxError> {
        if !self.made {
            return Ok(());
        }
        bash(session, r#"rm -rf -- "$1""#, &[&self.folder], None).map(|_| ())
    }
}

/// The folder that was made, and the text of package.json. The folder's name stands in commands and is removed in the end, so nothing else
/// is taken for one, and nothing that the shell would read otherwise.
fn set_up_said(text: &str) -> (Option<&str>, &str) {
    let (folder, package) = text.split_once('\n').unwrap_or((text, ""));
    let own = folder
        .strip_prefix("/tmp/suite-")
        .is_some_and(|end| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    (own.then_some(folder), package)
}

/// Runs the command itself; both of its outputs are one, in the order of writing.
fn execute(
    session: &mut Session,
    prepared: &Prepared,
    timeout: Duration,
) -> Result<(Ending, String), SandboxError> {
    let script = format!("exec 2>&1\n{}", prepared.command);
    let spec = ProgramSpec {
        command: vec!["bash".into(), "-c".into(), script.into()],
        environment: prepared.environment.clone(),
        ..ProgramSpec::default()
    };
    let mut kept = HeadTail::new(MOST_READ / 2, MOST_READ / 2);
    let outcome = session.run_program(spec, timeout, None, &mut |_: Stream, bytes: &[u8]| {
        kept.push(bytes)
    })?;
    Ok((outcome.ending, joined(&kept.finish())))
}

/// Runs a small program of our own.
fn bash(
    session: &mut Session,
    script: &str,
    arguments: &[&str],
    input: Option<&mut (dyn io::Read + Send)>,
) -> Result<(Ending, String), SandboxError> {
    let words = ["bash", "-c", script, "bash"]
        .into_iter()
        .chain(arguments.iter().copied());
    let spec = ProgramSpec {
        command: words.map(Into::into).collect(),
        ..ProgramSpec::default()
    };
    let mut kept = HeadTail::new(MOST_REPORT, 0);
    let mut sink = |stream: Stream, bytes: &[u8]| {
        if stream == Stream::Output {
            kept.push(bytes);
        }
    };
    let outcome = session.run_program(spec, PATIENCE, input, &mut sink)?;
    Ok((
        outcome.ending,
        String::from_utf8_lossy(&kept.finish().head).into_owned(),
    ))
}

/// Puts a file into a session's copy, in place of whatever is at its path there; whether that was done.
///
/// # Errors
///
/// When the sandbox is lost.
pub fn put_file(session: &mut Session, path: &Path, text: &str) -> Result<bool, SandboxError> {
    let script = r#"rm -rf -- "$1" && mkdir -p -- "${1%/*}" && cat >"$1""#;
    let path = path.display().to_string();
    let (ending, _) = bash(session, script, &[&path], Some(&mut text.as_bytes()))?;
    Ok(ending == Ending::Exited(0))
}

/// Takes such a file away again.
///
/// # Errors
///
/// When the sandbox is lost.
pub fn remove_file(session: &mut Session, path: &Path) -> Result<(), SandboxError> {
    let path = path.display().to_string();
    bash(session, r#"rm -rf -- "$1""#, &[&path], None).map(|_| ())
}

/// A file's text; nothing when there is none. The path may be a pipe or a device by now, which is not read.
fn read_file(session: &mut Session, path: &str) -> Result<String, SandboxError> {
    let (_, text) = bash(session, r#"test -f "$1" && cat -- "$1""#, &[path], None)?;
    Ok(text)
}

/// What the command wrote to files: Jest's JSON, JUnit's XML.
fn documents(
    session: &mut Session,
    desk: &Desk,
    prepared: &Prepared,
    command: &TestCommand,
) -> Result<Parsed, SandboxError> {
    if prepared.jest_report {
        let text = read_file(session, &prepare::jest_report(&desk.folder))?;
        let root = session.sandbox().policy().working_directory.display().to_string();
        if let Some(parsed) = jest_json::read(&text, &root) {
            return Ok(parsed);
        }
    }
    let mut parsed = Parsed::default();
    let patterns = xml_files(&command.command);
    if patterns.is_empty() {
        return Ok(parsed);
    }
    // Files that the command did not write are of another run.
    let script = r#"
shopt -s nullglob globstar
begun=$1; shift
IFS=
for pattern; do for file in $pattern; do
    if [ -f "$file" ] && [ "$file" -nt "$begun" ]; then cat -- "$file"; printf '\n\036\n'; fi
done; done
"#;
    let begun = format!("{}/begun", desk.folder);
    let arguments: Vec<&str> = [begun.as_str()]
        .into_iter()
        .chain(patterns.iter().map(String::as_str))
        .collect();
    let (_, text) = bash(session, script, &arguments, None)?;
    for document in text.split('\u{1e}') {
        parsed.extend(junit::read(document));
    }
    Ok(parsed)
}

/// Files of JUnit XML that a command's words name, or that its program is known to write.
fn xml_files(command: &str) -> Vec<String> {
    const NAMING: [&str; 7] = [
        "--junitxml",
        "--junit-xml",
        "--junitfile",
        "--output-junit",
        "--outputFile",
        "JEST_JUNIT_OUTPUT_FILE",
        "JEST_JUNIT_OUTPUT",
    ];
    let mut files = Vec::new();
    for words in simple_commands(command) {
        let mut behind: Option<&str> = None;
        for word in &words {
            let text = word.text.as_str();
            let named = text
                .split_once('=')
                .filter(|(option, _)| NAMING.contains(option))
                .map(|(_, file)| file);
            if let Some(file) = named.or(behind.take().filter(|_| !text.starts_with('-')).map(|_| text)) {
                files.push(file.to_owned());
            }
            behind = NAMING.contains(&text).then_some(text);
            match text.rsplit('/').next().unwrap_or_default() {
                "mvn" | "mvnw" => files.push("**/target/surefire-reports/TEST-*.xml".to_owned()),
                "gradle" | "gradlew" => files.push("**/build/test-results/**/TEST-*.xml".to_owned()),
                _ => {}
            }
        }
    }
    files
}

/// What was kept as one text, which says where something is missing.
fn joined(kept: &Truncated) -> String {
    let mut text = display_text(&kept.head);
    if kept.omitted_bytes > 0 {
        text.push_str(&gap(kept.omitted_bytes));
        text.push_str(&display_text(&kept.tail));
    }
    text
}

fn cut(text: String, most: usize) -> String {
    let cut = truncate::by(&text, most, str::len);
    if cut.omitted_bytes == 0 {
        return text;
    }
    format!("{}{}{}", cut.head, gap(cut.omitted_bytes as u64), cut.tail)
}

fn gap(bytes: u64) -> String {
    format!("\n[... {bytes} bytes ...]\n")
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
