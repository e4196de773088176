//! What test runs say: in a model's words, and as a judgement.

use crate::rollout::types::Problem;
use crate::suite::{RunEnding, TestRun, compare};

/// Failing tests of which the messages are shown.
const MOST_TESTS: usize = 8;

/// Lines of a command's own output that are shown when its tests have no messages.
const MOST_OUTPUT_LINES: usize = 60;

/// How the tests are with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Judgement {
    /// Commands that do not run any more: worse than any failing test.
    stopped: usize,
    /// Tests that fail, less those that were mended.
    failing: isize,
    /// Whether tests were left out, which may fail too.
    partial: bool,
}

/// What runs come to, against the baseline; `solved` when nothing fails any more that failed, and nothing else does, all tests having run.
pub(super) fn judge(problem: &Problem, runs: &[TestRun]) -> (Judgement, bool) {
    let mut judgement = Judgement {
        stopped: 0,
        failing: 0,
        partial: runs.len() < problem.tests.len() || runs.iter().any(TestRun::is_partial),
    };
    let mut solved = !judgement.partial;
    for (index, after) in runs.iter().enumerate() {
        let Some(before) = problem.baseline.get(index) else {
            solved &= after.all_pass();
            judgement.failing += after.failing().count() as isize;
            continue;
        };
        let changes = compare(before, after);
        // What is new in a part of a run may be due to its being a part: little of the code was covered, say.
        let new = if after.is_partial() {
            0
        } else {
            changes.new_failing.len()
        };
        let failing = changes.still_failing.len() + changes.broken.len() + changes.vanished.len() + new;
        judgement.failing += failing as isize - changes.fixed.len() as isize;
        judgement.stopped += usize::from(after.ending != RunEnding::Ran && before.ending == RunEnding::Ran);
        solved &= failing == 0
            && after.ending == RunEnding::Ran
            && (after.exit_code == Some(0) || before.exit_code == after.exit_code);
    }
    // Where the rest was left out, it is taken to be as it was.
    for before in problem.baseline.iter().skip(runs.len()) {
        judgement.failing += before.failing().count() as isize;
    }
    (judgement, solved)
}

/// Whether what ran first, the tests that failed before, shows that the others need not run: one of them fails still. What else fails there
/// may be due to the others' absence.
pub(super) fn refuted(runs: &[TestRun]) -> bool {
    let mut parts = runs.iter().filter(|run| run.is_partial());
    parts.any(|run| {
        let fails = |name: &String| run.tests.get(name).is_some_and(|case| case.status.fails());
        matches!(run.ending, RunEnding::TimedOut | RunEnding::Stopped { .. })
            || run.selected.iter().any(fails)
    })
}

/// What failing tests of a problem say, of all runs. Paths within the repository are relative to it: wherever it lies, the model reads the same.
pub(in crate::rollout) fn output(problem: &Problem, runs: &[TestRun]) -> String {
    without_root(&said(runs), &problem.root.to_string_lossy())
}

/// A text in which no path begins with the root.
fn without_root(text: &str, root: &str) -> String {
    let root = format!("{}/", root.trim_end_matches('/'));
    let mut parts = text.split(root.as_str());
    let mut relative = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // The end of a longer path is no root.
        let goes_on = |last: char| last.is_alphanumeric() || "_-./".contains(last);
        if root.len() == 1 || relative.ends_with(goes_on) {
            relative.push_str(&root);
        }
        relative.push_str(part);
    }
    relative
}

fn said(runs: &[TestRun]) -> String {
    let mut text = String::new();
    for run in runs {
        let messages: Vec<(&String, &str)> = run
            .tests
            .iter()
            .filter(|(_, case)| case.status.fails() && !case.message.trim().is_empty())
            .map(|(name, case)| (name, case.message.trim_end()))
            .collect();
        for (name, message) in messages.iter().take(MOST_TESTS) {
            text.push_str(&format!("{name}\n{message}\n"));
        }
        if messages.is_empty() && !run.went_well() {
            let output = run.output.trim_end();
            let skipped = output.lines().count().saturating_sub(MOST_OUTPUT_LINES);
            for line in output.lines().skip(skipped) {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
#[path = "failures_tests.rs"]
mod tests;
