//! Test commands and their results, of one type for every framework.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The entry of a run for those tests that passed and that its output counts without naming them. Where such a run exits with 0 and nothing
/// failed, a test that another run names and this one does not has passed here.
pub const UNNAMED: &str = "(tests that passed, not named)";

/// What kind of tests a command runs, which says how its output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framework {
    /// pytest.
    Pytest,
    /// Python's unittest, Django's runner included.
    Unittest,
    /// `cargo test`.
    Cargo,
    /// `go test`.
    Go,
    /// Jest or Vitest.
    Jest,
    /// Anything else: its exit code counts, and JUnit XML where it writes some.
    Other,
}

/// Where a test command comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandSource {
    /// The user gave it.
    Given,
    /// It was guessed from a file of the repository.
    Found {
        /// What gave it away, for people: `pyproject.toml has [tool.pytest.ini_options]`.
        reason: String,
    },
}

/// How tests are run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCommand {
    /// For bash, in the folder where the copy's shell starts.
    pub command: String,
    /// What it runs.
    pub framework: Framework,
    /// Who says so.
    pub source: CommandSource,
}

/// What became of one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It, its fixture or its module broke before it could fail.
    Errored,
    /// It was left out.
    Skipped,
    /// It failed, as its author said it would.
    ExpectedFailure,
    /// It passed although its author said that it would fail.
    UnexpectedPass,
}

impl Status {
    /// Whether it counts as passed.
    pub fn passes(self) -> bool {
        matches!(
            self,
            Status::Passed | Status::ExpectedFailure | Status::UnexpectedPass
        )
    }

    /// Whether it counts as failed. A skipped test counts as neither.
    pub fn fails(self) -> bool {
        matches!(self, Status::Failed | Status::Errored)
    }
}

/// One test of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestCase {
    /// What became of it.
    pub status: Status,
    /// Why it failed, in few lines; empty when it did not, or when that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// How long it took, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// How a run of tests ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnding {
    /// By itself, tests having run (passed or not).
    Ran,
    /// By itself, but no test was run: nothing was collected, the program is missing, a module cannot be imported, it does not compile.
    NotStarted {
        /// Why, for people.
        reason: String,
    },
    /// At its time limit.
    TimedOut,
    /// At another limit, by a signal, or because it was cancelled.
    Stopped {
        /// Why, for people.
        reason: String,
    },
}

/// Which files of code each test runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Paths from the root of the tree, by number.
    files: BTreeMap<u32, String>,
    /// The files of each test.
    tests: BTreeMap<String, BTreeSet<u32>>,
}

impl Coverage {
    /// Gives a file its number.
    pub(crate) fn name(&mut self, number: u32, path: String) {
        self.files.insert(number, path);
    }

    /// Adds what a test runs.
    pub(crate) fn add(&mut self, test: String, files: Vec<u32>) {
        self.tests.entry(test).or_default().extend(files);
    }

    /// The tests that run code of one of these files, and how many files each of them runs code of.
    pub fn of(&self, paths: &[String]) -> BTreeMap<&str, usize> {
        let is_wanted = |(_, path): &(&u32, &String)| paths.contains(path);
        let wanted: BTreeSet<u32> = self
            .files
            .iter()
            .filter(is_wanted)
            .map(|(number, _)| *number)
            .collect();
        let touching = self.tests.iter().filter(|(_, files)| !files.is_disjoint(&wanted));
        touching
            .map(|(test, files)| (test.as_str(), files.len()))
            .collect()
    }
}

/// What a test command said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestRun {
    /// What was run.
    pub command: TestCommand,
    /// How it ended.
    pub ending: RunEnding,
    /// Its exit code, when it ended by itself.
    pub exit_code: Option<i32>,
    /// Every test by its name, which is the framework's own way to select it where it has one. Of a command whose output
    /// cannot be read there is one, named as the command, that passed when the exit code was 0.
    pub tests: BTreeMap<String, TestCase>,
    /// The tests that were chosen, where others were left out for it: then a test that is not in `tests` was not run, which says nothing
    /// of it. Empty where everything was run.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub selected: BTreeSet<String>,
    /// The files of code that each test runs, where that was asked for and is known. Not kept in records, for it is large: a run that is resumed
    /// takes the tests near to a patch by what imports what.
    #[serde(skip)]
    pub coverage: Coverage,
    /// What it printed, cut in the middle when long.
    pub output: String,
    /// How long it took.
    pub seconds: f64,
}

impl TestRun {
    /// How many of its tests are so.
    pub fn count(&self, is: impl Fn(Status) -> bool) -> usize {
        self.tests.values().filter(|case| is(case.status)).count()
    }

    /// Names of the tests that failed.
    pub fn failing(&self) -> impl Iterator<Item = &str> {
        let failing = self.tests.iter().filter(|(_, case)| case.status.fails());
        failing.map(|(name, _)| name.as_str())
    }

    /// Whether tests were left out because they were not chosen.
    pub fn is_partial(&self) -> bool {
        !self.selected.is_empty()
    }

    /// Whether everything was run, to its end, and nothing failed.
    pub fn all_pass(&self) -> bool {
        self.went_well() && !self.is_partial()
    }

    /// Whether what was run, everything or chosen tests, came to its end and nothing of it failed.
    pub fn went_well(&self) -> bool {
        self.ending == RunEnding::Ran && self.exit_code == Some(0) && self.failing().next().is_none()
    }
}

/// Commands that took more seconds than these before anything was changed are worth a run of a part of their tests first. What is not saved
/// by that, an interpreter's start, the collecting of tests, a look at what is built, takes a second or two, and a right answer pays for it twice.
const SLOW_SECONDS: f64 = 5.0;

/// The tests that failed before anything was changed, where all take long and there are others: a wrong answer is told by these alone.
pub fn telling_tests(before: &TestRun) -> BTreeSet<String> {
    if before.seconds <= SLOW_SECONDS || before.count(|status| !status.fails()) == 0 {
        return BTreeSet::new();
    }
    before.failing().map(str::to_owned).collect()
}
