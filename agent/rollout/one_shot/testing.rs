//! The tests of a round. Where all of them take long, those that failed before run first, and the others only when these pass: most answers are
//! wrong, and a wrong one is told by these alone.

use std::time::Duration;

use cwm_tools::session::Session;

use super::failures;
use super::say::Stop;
use crate::rollout::types::{Budget, Ending, Problem, Workbench};
use crate::suite::{self, RunOptions, TestCommand, TestRun, telling_tests};

/// A run of tests may take so many times what it took before anything was changed, and some seconds.
const TIME_FACTOR: f64 = 4.0;
const TIME_SECONDS: f64 = 20.0;

/// Runs the test commands: the runs of all tests, or, when tests that failed before do so still, those of a part of them, which may end
/// before the last command.
///
/// The whole follows in the same copy, so that what was built for the part is not built again; suites that cannot run twice in one place are
/// rare, and validation uses fresh copies.
pub(super) fn run(
    bench: &Workbench<'_>,
    budget: &Budget,
    session: &mut Session,
) -> Result<Vec<TestRun>, Stop> {
    let _registered = bench.control.register(session.interrupter());
    let problem = bench.problem;
    let mut run_one = |index: usize, command: &TestCommand, first: bool| -> Result<TestRun, Stop> {
        let run = suite::run(session, command, &options(problem, budget, index, first))?;
        if bench.control.stopped() {
            return Err(Stop::Ended(Ending::Interrupted));
        }
        Ok(run)
    };
    let failed = |before: &TestRun| before.failing().next().is_some();
    let telling = problem
        .baseline
        .iter()
        .rposition(failed)
        .map_or(0, |last| last + 1);
    let commands = problem.tests.iter().enumerate();
    let mut runs = Vec::new();
    for (index, command) in commands.clone().take(telling) {
        runs.push(run_one(index, command, true)?);
    }
    if failures::refuted(&runs) {
        return Ok(runs);
    }
    // What runs behind a command may need what that did, all of it.
    let whole = runs.iter().take_while(|run| !run.is_partial()).count();
    runs.truncate(whole);
    for (index, command) in commands.skip(whole) {
        runs.push(run_one(index, command, false)?);
    }
    Ok(runs)
}

/// How a command is run, `first` or for good.
fn options(problem: &Problem, budget: &Budget, index: usize, first: bool) -> RunOptions {
    let before = problem.baseline.get(index);
    let took = before.map_or(0.0, |run| run.seconds);
    let longest = budget.command_timeout.as_secs_f64().max(took * 2.0);
    let seconds = (took * TIME_FACTOR + TIME_SECONDS).min(longest);
    RunOptions {
        timeout: Duration::from_secs_f64(seconds),
        tests: before.filter(|_| first).map(telling_tests).unwrap_or_default(),
        ..RunOptions::default()
    }
}
