//! What changed between two runs of the same tests.

use serde::{Deserialize, Serialize};

use super::types::TestRun;

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
}

/// Compares a run with one of the same command before.
pub fn compare(before: &TestRun, after: &TestRun) -> Comparison {
    let mut changes = Comparison::default();
    for (name, old) in &before.tests {
        let new = after.tests.get(name).map(|case| case.status);
        let list = match new {
            Some(new) if new.passes() && old.status.passes() => {
                changes.still_passing += 1;
                continue;
            }
            Some(new) if new.passes() && old.status.fails() => &mut changes.fixed,
            Some(new) if new.fails() && old.status.passes() => &mut changes.broken,
            _ if old.status.passes() => &mut changes.vanished,
            _ if old.status.fails() => &mut changes.still_failing,
            Some(new) if new.passes() => &mut changes.new_passing,
            Some(new) if new.fails() => &mut changes.new_failing,
            _ => continue,
        };
        list.push(name.clone());
    }
    for (name, case) in &after.tests {
        if before.tests.contains_key(name) {
            continue;
        }
        if case.status.passes() {
            changes.new_passing.push(name.clone());
        } else if case.status.fails() {
            changes.new_failing.push(name.clone());
        }
    }
    changes
}
