//! What the tests say before anything is changed.

use super::pass::{Bench, Pass, unsteady};
use super::validate::ValidateError;
use crate::rollout::{Control, Copies};
use crate::suite::{RunEnding, RunOptions, TestCommand, TestRun};

/// What every patch is compared with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Baseline {
    /// What the commands said, one each.
    pub runs: Vec<TestRun>,
    /// Tests that said something else when they were run again.
    pub flaky: Vec<String>,
}

/// Runs the commands in a fresh copy named `name`. Unless it is to be done `once`, they are run again in another when something fails, to
/// tell the tests that fail each time from those that do not.
///
/// # Errors
///
/// When there is no copy, its sandbox is lost, or the user ends it. Tests that fail, hang or do not start are a result.
pub fn baseline(
    copies: &Copies,
    name: &str,
    commands: &[TestCommand],
    options: &RunOptions,
    once: bool,
    control: &Control,
) -> Result<Baseline, ValidateError> {
    let bench = Bench {
        copies,
        name,
        options,
        control,
    };
    let pass = |commands: &[TestCommand]| match bench.pass(None, commands.iter())? {
        Pass::Ran { runs, .. } => Ok(runs),
        Pass::Refused(why) => Err(ValidateError::Baseline(why)),
    };
    let runs = pass(commands)?;
    let doubtful = |run: &TestRun| run.ending == RunEnding::Ran && !run.all_pass();
    let again = runs.iter().rposition(doubtful).map_or(0, |last| last + 1);
    let mut flaky = Vec::new();
    if !once && again > 0 {
        // What runs before a command may be what it needs.
        flaky = unsteady(&runs, &pass(commands.get(..again).unwrap_or_default())?);
    }
    Ok(Baseline { runs, flaky })
}
