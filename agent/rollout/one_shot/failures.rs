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
}

/// What runs come to, against the baseline; `solved` when nothing fails any more that failed, and nothing else does.
pub(super) fn judge(problem: &Problem, runs: &[TestRun]) -> (Judgement, bool) {
    let mut judgement = Judgement {
        stopped: 0,
        failing: 0,
    };
    let mut solved = true;
    for (index, after) in runs.iter().enumerate() {
        let Some(before) = problem.baseline.get(index) else {
            solved &= after.all_pass();
            judgement.failing += after.failing().count() as isize;
            continue;
        };
        let changes = compare(before, after);
        let worse = changes.broken.len() + changes.vanished.len() + changes.new_failing.len();
        let failing = changes.still_failing.len() + worse;
        judgement.failing += failing as isize - changes.fixed.len() as isize;
        judgement.stopped += usize::from(after.ending != RunEnding::Ran && before.ending == RunEnding::Ran);
        solved &= failing == 0
            && after.ending == RunEnding::Ran
            && (after.exit_code == Some(0) || before.exit_code == after.exit_code);
    }
    (judgement, solved)
}

/// What failing tests say, of all runs.
pub(super) fn output(runs: &[TestRun]) -> String {
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
        if messages.is_empty() && !run.all_pass() {
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
