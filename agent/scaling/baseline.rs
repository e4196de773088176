//! What the tests say before anything is changed: the measure for every candidate.

use cwm_tools::isolated::IsolatedError;
use cwm_tools::sandbox::SandboxError;

use super::pass::{Bench, Pass, unsteady};
use super::validate::ValidateError;
use crate::rollout::{Control, Copies};
use crate::suite::{RunEnding, RunOptions, TestCommand, TestRun};

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
    /// The sandbox was lost while a command ran.
    #[error("the tests bring the sandbox down before anything is changed: {0}")]
    Lost(String),
    /// The user ended it.
    #[error("the tests' first run was interrupted")]
    Interrupted,
}

impl From<ValidateError> for BaselineError {
    fn from(error: ValidateError) -> BaselineError {
        match error {
            ValidateError::Copy(error) => BaselineError::Copy(error),
            ValidateError::Sandbox(error) => BaselineError::Sandbox(error),
            ValidateError::Interrupted => BaselineError::Interrupted,
        }
    }
}

/// Runs the commands in a fresh copy named `baseline`. Unless everything is to be run but `once`, those that fail are run again in another,
/// with all before them, so that tests are found that do not say the same each time.
///
/// # Errors
///
/// When there is no copy, its sandbox is lost, or the user ends it. Tests that fail or cannot be run are a result.
pub fn baseline(
    copies: &Copies,
    commands: &[TestCommand],
    options: &RunOptions,
    once: bool,
    control: &Control,
) -> Result<Baseline, BaselineError> {
    let bench = Bench {
        copies,
        name: "baseline",
        options,
        control,
    };
    let pass = |commands: &[TestCommand]| match bench.pass(None, commands.iter())? {
        Pass::Ran { runs, .. } => Ok(runs),
        Pass::Refused(why) => Err(BaselineError::Lost(why)),
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
