//! A test file of ours in a repository's own framework: where it goes, which of the repository's tests shows how one looks, and the command
//! that runs it alone.

mod cargo;
mod example;
mod place;
mod way;

use std::path::Path;

pub use example::Example;
use way::Way;
pub(super) use way::folder;

use super::types::{CommandSource, TestCommand};

/// What a test file is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// pytest.
    Pytest,
    /// Python's unittest, Django's runner included.
    Unittest,
    /// `cargo test`: a file in a package's folder `tests`.
    Cargo,
    /// `go test`.
    Go,
    /// Jest.
    Jest,
    /// Vitest.
    Vitest,
    /// Mocha.
    Mocha,
    /// `node --test`.
    Node,
}

impl Dialect {
    /// What people and models call it.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Pytest => "pytest",
            Dialect::Unittest => "unittest",
            Dialect::Cargo => "cargo test",
            Dialect::Go => "go test",
            Dialect::Jest => "Jest",
            Dialect::Vitest => "Vitest",
            Dialect::Mocha => "Mocha",
            Dialect::Node => "node:test",
        }
    }

    /// Whether it tests Python.
    pub fn is_python(self) -> bool {
        matches!(self, Dialect::Pytest | Dialect::Unittest)
    }

    /// Whether a file can be of it, by the end of its name.
    pub fn takes(self, path: &str) -> bool {
        let Some((_, end)) = path.rsplit_once('.') else {
            return false;
        };
        self.extensions().contains(&end)
    }

    fn extensions(self) -> &'static [&'static str] {
        match self {
            Dialect::Pytest | Dialect::Unittest => &["py"],
            Dialect::Cargo => &["rs"],
            Dialect::Go => &["go"],
            Dialect::Jest | Dialect::Vitest => &["js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx"],
            Dialect::Mocha | Dialect::Node => &["js", "mjs", "cjs"],
        }
    }

    /// Whether a failure is the test's own mistake: a name that does not exist, say, in a language that is not compiled. `path` is the test's file.
    pub fn is_own_mistake(self, path: &str, message: &str) -> bool {
        let last = |line: &&str| !line.trim().is_empty();
        match self {
            Dialect::Cargo | Dialect::Go => false,
            // The place where it was raised, and what.
            Dialect::Pytest => message.lines().rev().find(last).is_some_and(|line| {
                let raised = line.strip_prefix(path).and_then(|rest| rest.rsplit_once(": "));
                raised.is_some_and(|(_, error)| {
                    !error.starts_with("AssertionError") && !error.starts_with("Failed")
                })
            }),
            Dialect::Unittest => {
                let asserted = |line: &str| line.starts_with("AssertionError");
                let frame = message
                    .lines()
                    .rev()
                    .find(|line| line.trim_start().starts_with("File \""));
                let own = frame.is_some_and(|line| line.contains(&format!("{path}\"")));
                own && !message.lines().any(asserted)
            }
            Dialect::Jest | Dialect::Vitest | Dialect::Mocha | Dialect::Node => {
                let mistakes = [
                    "ReferenceError",
                    " is not defined",
                    " is not a function",
                    " is not a constructor",
                    "Cannot find module",
                ];
                mistakes.iter().any(|words| message.contains(words))
            }
        }
    }
}

/// Where a test file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// What it is written for.
    pub dialect: Dialect,
    /// Where it goes, relative to the root: no file of the repository stands there, and the framework takes one there for a test.
    pub path: String,
    /// What follows the backticks of a fence.
    pub language: &'static str,
    /// What the file's text begins with, in the languages in which that is known; else empty.
    pub head: String,
    /// A test of the repository's.
    pub example: Option<Example>,
    /// The command that runs it.
    pub command: String,
}

/// Where a test of the issue goes in each framework that one of the commands runs. `start` is the folder in which they start and `about` the
/// file that the issue is about, both relative to the root of the tree; `about` is empty where that is not known.
pub fn sites(tree: &Path, start: &Path, commands: &[TestCommand], about: &str) -> Vec<Site> {
    let ways = commands
        .iter()
        .filter_map(|command| Way::of(tree, start, command));
    ways.filter_map(|way| place::site(tree, &way, about)).collect()
}

/// The frameworks of the commands that can run a single file, in the commands' order.
pub fn dialects(tree: &Path, start: &Path, commands: &[TestCommand]) -> Vec<Dialect> {
    let ways = commands
        .iter()
        .filter_map(|command| Way::of(tree, start, command));
    ways.map(|way| way.dialect).collect()
}

/// The command that runs a test file alone, its dialect, and which of the commands that is of; none where no command does that. `path` is relative
/// to the tree's root, and `text` is what stands in it.
pub fn alone(
    tree: &Path,
    start: &Path,
    commands: &[TestCommand],
    path: &str,
    text: &str,
) -> Option<(TestCommand, Dialect, usize)> {
    commands.iter().enumerate().find_map(|(index, command)| {
        let way = Way::of(tree, start, command).filter(|way| way.dialect.takes(path))?;
        let line = way.alone(tree, path, text)?;
        let alone = TestCommand {
            command: line,
            framework: command.framework,
            source: CommandSource::Given,
        };
        Some((alone, way.dialect, index))
    })
}

#[cfg(test)]
#[path = "site_tests.rs"]
mod tests;
