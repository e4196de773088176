//! Which tests a patch is tried with first where all of them take long: those that failed before and, of those that passed, the ones near to
//! what it changes, for as long as its user allows. Near is what was seen to run the changed files, then what imports them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use crate::context::{Distance, ImportGraph};
use crate::suite::{RunEnding, TestRun, selectable};

/// All tests are run at once unless they take so many times the time for some of them: a choice of tests has a price of its own.
const WORTH: f64 = 2.0;
/// What a test without a measured time takes at least, in seconds.
const LEAST_SECONDS: f64 = 0.001;

/// Chooses among the tests of a baseline.
pub(super) struct Screen<'a> {
    tree: PathBuf,
    baseline: &'a [TestRun],
    flaky: &'a [String],
    budget: Duration,
    /// Read when it is needed for the first time; none where the tree cannot be read.
    graph: OnceLock<Option<ImportGraph>>,
}

/// Whether tests take so long that patches are tried with some of them first.
pub(super) fn is_screened(baseline: &[TestRun], budget: Duration) -> bool {
    let seconds: f64 = baseline.iter().map(|run| run.seconds).sum();
    seconds > budget.as_secs_f64() * WORTH
}

/// Some of a command's tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The command, by its place in the baseline.
    pub(super) command: usize,
    /// Its tests; all where there are none.
    pub(super) tests: BTreeSet<String>,
}

/// A test that passed, or a command whose tests cannot be chosen among.
struct Unit<'a> {
    command: usize,
    test: Option<&'a str>,
    seconds: f64,
    near: Near,
}

/// How near a test is to a change, the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Near {
    /// It runs code of a changed file, and of so many files in all: who runs few is about them.
    Runs(usize),
    Imports(Distance),
    Unknown,
}

impl<'a> Screen<'a> {
    /// For the tests of a baseline, `flaky` ones aside. `budget` is the time for tests that passed before.
    pub(super) fn new(
        tree: PathBuf,
        baseline: &'a [TestRun],
        flaky: &'a [String],
        budget: Duration,
    ) -> Screen<'a> {
        Screen {
            tree,
            baseline,
            flaky,
            budget,
            graph: OnceLock::new(),
        }
    }

    /// What a patch that changes these files is tried with before all the rest; none where everything is to be run at once.
    pub(super) fn parts(&self, changed: &[String]) -> Option<Vec<Part>> {
        let ended = self.baseline.iter().all(|run| run.ending == RunEnding::Ran);
        if !ended || !is_screened(self.baseline, self.budget) {
            return None;
        }
        // A command without an entry is left out; one with no tests is run as a whole.
        let mut chosen: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for (command, run) in self.baseline.iter().enumerate() {
            let failing: BTreeSet<String> = run.failing().map(str::to_owned).collect();
            let named = selectable(run, &failing);
            if !named.is_empty() {
                chosen.insert(command, named);
            } else if !run.all_pass() {
                chosen.insert(command, BTreeSet::new());
            }
        }
        let mut units = self.units(changed);
        units.retain(|unit| chosen.get(&unit.command).is_none_or(|tests| !tests.is_empty()));
        units.sort_by(|one, other| {
            one.near
                .cmp(&other.near)
                .then(one.seconds.total_cmp(&other.seconds))
        });
        let (mut left, mut all) = (self.budget.as_secs_f64(), true);
        for unit in units {
            if unit.seconds > left {
                all = false;
                continue;
            }
            left -= unit.seconds;
            let tests = chosen.entry(unit.command).or_default();
            tests.extend(unit.test.map(str::to_owned));
        }
        let part = |(command, tests)| Part { command, tests };
        (!all && !chosen.is_empty()).then(|| chosen.into_iter().map(part).collect())
    }

    /// Everything that passed and can be chosen.
    fn units(&self, changed: &[String]) -> Vec<Unit<'_>> {
        let graph = self.graph.get_or_init(|| ImportGraph::of(&self.tree).ok());
        let around = graph.as_ref().map(|graph| graph.around(changed));
        let mut units = Vec::new();
        for (command, run) in self.baseline.iter().enumerate() {
            let passed = run.tests.iter().filter(|(_, case)| case.status.passes());
            let names: BTreeSet<String> = passed.map(|(name, _)| name.clone()).collect();
            let names = selectable(run, &names);
            if names.is_empty() {
                units.push(Unit {
                    command,
                    test: None,
                    seconds: run.seconds,
                    near: Near::Unknown,
                });
                continue;
            }
            let share = (run.seconds / run.tests.len().max(1) as f64).max(LEAST_SECONDS);
            let covering = run.coverage.of(changed);
            for (name, case) in &run.tests {
                if !names.contains(name) || self.flaky.contains(name) {
                    continue;
                }
                let imports = || around.as_ref().and_then(|around| around.distance(name));
                units.push(Unit {
                    command,
                    test: Some(name),
                    seconds: case.seconds.unwrap_or(share).max(LEAST_SECONDS),
                    near: match covering.get(name.as_str()) {
                        Some(files) => Near::Runs(*files),
                        None => imports().map_or(Near::Unknown, Near::Imports),
                    },
                });
            }
        }
        units
    }
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
