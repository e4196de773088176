//! Tries a patch in a fresh copy: what do the tests say that the user has?

use cwm_tools::isolated::IsolatedError;
use cwm_tools::sandbox::SandboxError;

use crate::rollout::journal::Verdict;
use crate::rollout::{Control, Copies};
use crate::suite::{Comparison, RunOptions, TestRun};

/// How a patch is tried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ValidateOptions {
    /// How each test command is run.
    pub run: RunOptions,
    /// Tests of the baseline that do not say the same each time.
    pub flaky: Vec<String>,
}

/// Why a patch could not be tried at all.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// The copy.
    #[error(transparent)]
    Copy(#[from] IsolatedError),
    /// Its sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

/// Applies a patch to a fresh copy named `name`, without what it does to test files of the base, runs the baseline's commands and compares.
///
/// # Errors
///
/// When there is no copy or its sandbox is lost. A patch that does not apply is a verdict.
pub fn validate(
    copies: &Copies,
    name: &str,
    _patch: &[u8],
    _baseline: &[TestRun],
    _options: &ValidateOptions,
    _control: &Control,
) -> Result<Verdict, ValidateError> {
    let _copy = copies.open(name)?;
    Ok(Verdict {
        attempt: name.to_owned(),
        refused: Some("it was not tried".to_owned()),
        runs: Vec::new(),
        changes: Comparison::default(),
        flaky: Vec::new(),
        test_files: Vec::new(),
        verified: false,
        remarks: Vec::new(),
        seconds: 0.0,
    })
}
