//! How a repository is tested, guessed from its files.

mod javascript;
mod python;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::types::{CommandSource, Framework, TestCommand};
use super::words::framework;

/// Bytes of a file that are looked at.
const MOST_READ: u64 = 1 << 20;

/// The commands that run the tests of a tree, the most telling first; empty when nothing gives one away. Several when there are
/// several ecosystems. The tree's own programs are not run for it.
pub fn find(tree: &Path) -> Vec<TestCommand> {
    let mut commands = Vec::new();
    commands.extend(python::find(tree));
    commands.extend(cargo(tree));
    commands.extend(go(tree));
    commands.extend(javascript::find(tree));
    if commands.is_empty() {
        commands.extend(make(tree).or_else(|| builders(tree)));
    }
    commands
}

impl TestCommand {
    /// A command that the user gave; its framework is told from its words.
    pub fn given(command: &str) -> TestCommand {
        TestCommand {
            command: command.to_owned(),
            framework: framework(command),
            source: CommandSource::Given,
        }
    }
}

fn found(command: &str, framework: Framework, reason: &str) -> TestCommand {
    TestCommand {
        command: command.to_owned(),
        framework,
        source: CommandSource::Found {
            reason: reason.to_owned(),
        },
    }
}

/// A file's text, empty when there is none: what is not a plain file is not opened, and a long one is read in part.
pub(super) fn text(file: &Path) -> String {
    let mut bytes = Vec::new();
    if file.is_file()
        && let Ok(open) = File::open(file)
    {
        // What cannot be read tells nothing.
        let _ = open.take(MOST_READ).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether some line, blanks at its ends aside, is so.
fn any_line(text: &str, is: impl Fn(&str) -> bool) -> bool {
    text.lines().any(|line| is(line.trim()))
}

fn cargo(tree: &Path) -> Option<TestCommand> {
    let manifest = text(&tree.join("Cargo.toml"));
    if manifest.is_empty() {
        return None;
    }
    let root_of_several =
        any_line(&manifest, |line| line == "[workspace]") && any_line(&manifest, |line| line == "[package]");
    let command = if root_of_several {
        "cargo test --workspace"
    } else {
        "cargo test"
    };
    Some(found(command, Framework::Cargo, "there is a Cargo.toml"))
}

fn go(tree: &Path) -> Option<TestCommand> {
    tree.join("go.mod")
        .is_file()
        .then(|| found("go test ./...", Framework::Go, "there is a go.mod"))
}

fn make(tree: &Path) -> Option<TestCommand> {
    for name in ["GNUmakefile", "makefile", "Makefile"] {
        let rules = text(&tree.join(name));
        for target in ["test", "check", "tests"] {
            let is_rule = |line: &str| {
                line.split_once(':').is_some_and(|(targets, rest)| {
                    !rest.starts_with('=') && targets.split_whitespace().any(|word| word == target)
                })
            };
            if rules
                .lines()
                .filter(|line| !line.starts_with([' ', '\t', '#', '.']))
                .any(is_rule)
            {
                return Some(found(
                    &format!("make {target}"),
                    Framework::Other,
                    &format!("{name} has a target `{target}`"),
                ));
            }
        }
    }
    None
}

/// Build tools that bring their own test runs.
fn builders(tree: &Path) -> Option<TestCommand> {
    let has = |name: &str| tree.join(name).is_file();
    let by =
        |command: &str, file: &str| Some(found(command, Framework::Other, &format!("there is a {file}")));
    if has("pom.xml") {
        let command = if has("mvnw") {
            "./mvnw -B test"
        } else {
            "mvn -B test"
        };
        return by(command, "pom.xml");
    }
    for file in ["build.gradle", "build.gradle.kts"] {
        if has(file) {
            let command = if has("gradlew") {
                "./gradlew test"
            } else {
                "gradle test"
            };
            return by(command, file);
        }
    }
    if has("CMakeLists.txt") {
        return by(
            "cmake -S . -B build && cmake --build build && ctest --test-dir build --output-on-failure --output-junit junit.xml",
            "CMakeLists.txt",
        );
    }
    None
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod tests;
