//! What changed between two runs of the same tests.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::types::{Status, TestRun, UNNAMED};

/// The tests that changed, and the number of those that did not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Failed before, pass now.
    pub fixed: Vec<String>,
    /// Passed before, fail now.
    pub broken: Vec<String>,
    /// Passed before, and were not run, or were skipped, now.
    pub vanished: Vec<String>,
    /// Failed before and do not pass now.
    pub still_failing: Vec<String>,
    /// Were not there before and pass now.
    pub new_passing: Vec<String>,
    /// Were not there before and fail now.
    pub new_failing: Vec<String>,
    /// Passed before and pass now.
    pub still_passing: usize,
}

impl Comparison {
    /// Adds another command's changes.
    pub fn extend(&mut self, other: Comparison) {
        self.fixed.extend(other.fixed);
        self.broken.extend(other.broken);
        self.vanished.extend(other.vanished);
        self.still_failing.extend(other.still_failing);
        self.new_passing.extend(other.new_passing);
        self.new_failing.extend(other.new_failing);
        self.still_passing += other.still_passing;
    }

    /// Leaves tests out: what is said of flaky ones is no evidence. `still_passing`, which has no names, stays.
    pub fn without(&mut self, names: &[String]) {
        let names: BTreeSet<&String> = names.iter().collect();
        let lists = [
            &mut self.fixed,
            &mut self.broken,
            &mut self.vanished,
            &mut self.still_failing,
            &mut self.new_passing,
            &mut self.new_failing,
        ];
        for list in lists {
            list.retain(|name| !names.contains(name));
        }
    }

    /// Whether something that passed before does not pass now, or something new fails.
    pub fn breaks(&self) -> bool {
        !self.broken.is_empty() || !self.vanished.is_empty() || !self.new_failing.is_empty()
    }
}

/// Compares a run with one of the same command before. Of what one of them did not run, because only chosen tests ran, nothing is said.
pub fn compare(before: &TestRun, after: &TestRun) -> Comparison {
    let mut changes = Comparison::default();
    let names: BTreeSet<&String> = before.tests.keys().chain(after.tests.keys()).collect();
    for name in names {
        if !(tells_of(before, name) && tells_of(after, name)) {
            continue;
        }
        let (old, new) = (status(before, name), status(after, name));
        let passed = old.is_some_and(Status::passes);
        let failed = old.is_some_and(Status::fails);
        let list = match new {
            _ if name == UNNAMED && !(passed && new.is_none()) => {
                changes.still_passing += usize::from(passed);
                continue;
            }
            Some(new) if new.passes() && passed => {
                changes.still_passing += 1;
                continue;
            }
            Some(new) if new.passes() && failed => &mut changes.fixed,
            Some(new) if new.fails() && passed => &mut changes.broken,
            _ if passed => &mut changes.vanished,
            _ if failed => &mut changes.still_failing,
            Some(new) if new.passes() => &mut changes.new_passing,
            Some(new) if new.fails() => &mut changes.new_failing,
            _ => continue,
        };
        list.push(name.clone());
    }
    changes
}

/// Whether a test is missing from a run only when something is wrong with it: it was to be run.
fn tells_of(run: &TestRun, name: &str) -> bool {
    !run.is_partial() || run.selected.contains(name) || run.tests.contains_key(name)
}

/// What a run says of a test. One that does not name what passes says so by not naming it, but only where all went well: beside a failure a
/// test may be missing because its module no longer loads, its program ended, or the rest was left out.
fn status(run: &TestRun, name: &str) -> Option<Status> {
    let named = run.tests.get(name).map(|case| case.status);
    let vouched = run.tests.contains_key(UNNAMED) && run.went_well();
    named.or_else(|| vouched.then_some(Status::Passed))
}

/// The names of the tests of which two runs of the same tree say different things, in order: those are flaky.
pub fn agree(first: &TestRun, second: &TestRun) -> Vec<String> {
    let names: BTreeSet<&String> = first.tests.keys().chain(second.tests.keys()).collect();
    let differ = names.into_iter().filter(|name| {
        let (one, other) = (status(first, name), status(second, name));
        let kind = |status: Option<Status>| status.map(|status| (status.passes(), status.fails()));
        kind(one) != kind(other) && tells_of(first, name) && tells_of(second, name)
    });
    differ.cloned().collect()
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
