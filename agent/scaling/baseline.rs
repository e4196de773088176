//! What the tests say before anything is changed: the measure for every candidate.

use std::collections::BTreeSet;

use cwm_tools::isolated::IsolatedError;
use cwm_tools::sandbox::SandboxError;

use crate::rollout::{Control, Copies};
use crate::suite::{self, RunOptions, Status, TestCommand, TestRun};

/// What the tests said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Baseline {
    /// One a command.
    pub runs: Vec<TestRun>,
    /// Tests that did not say the same twice.
    pub flaky: Vec<String>,
}

/// Why there is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The copy.
    #[error(transparent)]
    Copy(#[from] IsolatedError),
    /// Its sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The user ended it.
    #[error("the tests' first run was interrupted")]
    Interrupted,
}

/// Runs the commands in a fresh copy. Those that do not pass are run again, in a fresh copy, so that tests are found that do not say the
/// same each time.
///
/// # Errors
///
/// When there is no copy, its sandbox is lost, or the user ends it. Tests that fail or cannot be run are a result.
pub fn baseline(
    copies: &Copies,
    commands: &[TestCommand],
    options: &RunOptions,
    control: &Control,
) -> Result<Baseline, BaselineError> {
    let runs = run_all(copies, commands, options, control)?;
    let unsure: Vec<TestCommand> = runs
        .iter()
        .filter(|run| !run.all_pass() && run.ending == suite::RunEnding::Ran)
        .map(|run| run.command.clone())
        .collect();
    if unsure.is_empty() {
        return Ok(Baseline {
            runs,
            flaky: Vec::new(),
        });
    }
    let again = run_all(copies, &unsure, options, control)?;
    let mut flaky = BTreeSet::new();
    for second in &again {
        let first = runs.iter().find(|run| run.command == second.command);
        flaky.extend(first.into_iter().flat_map(|first| differing(first, second)));
    }
    Ok(Baseline {
        runs,
        flaky: flaky.into_iter().collect(),
    })
}

fn run_all(
    copies: &Copies,
    commands: &[TestCommand],
    options: &RunOptions,
    control: &Control,
) -> Result<Vec<TestRun>, BaselineError> {
    let mut copy = copies.open("baseline")?;
    let _registered = control.register(copy.session().interrupter());
    let mut runs = Vec::new();
    for command in commands {
        if control.ending() {
            return Err(BaselineError::Interrupted);
        }
        runs.push(suite::run(copy.session(), command, options)?);
    }
    // A run that was cut short says nothing about the tests.
    if control.stopped() {
        return Err(BaselineError::Interrupted);
    }
    Ok(runs)
}

/// Names of the tests that passed in one run and not in the other.
fn differing(first: &TestRun, second: &TestRun) -> Vec<String> {
    let names: BTreeSet<&String> = first.tests.keys().chain(second.tests.keys()).collect();
    let status = |run: &TestRun, name: &str| run.tests.get(name).map(|case| case.status);
    let passes = |status: Option<Status>| status.map(Status::passes);
    names
        .into_iter()
        .filter(|name| passes(status(first, name)) != passes(status(second, name)))
        .cloned()
        .collect()
}
