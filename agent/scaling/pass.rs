//! One pass over the test commands in a fresh copy, with a patch or without.

use cwm_tools::patch::apply::Applied;
use cwm_tools::sandbox::SandboxError;

use super::validate::ValidateError;
use crate::rollout::{Control, Copies};
use crate::suite::{RunEnding, RunOptions, TestCommand, TestRun, agree, run};

/// What a pass needs besides the patch.
#[derive(Clone, Copy)]
pub(super) struct Bench<'a> {
    pub(super) copies: &'a Copies,
    pub(super) name: &'a str,
    pub(super) options: &'a RunOptions,
    pub(super) control: &'a Control,
}

/// What a pass came to.
pub(super) enum Pass {
    /// The patch was applied, if there is one, and every command was run.
    Ran {
        runs: Vec<TestRun>,
        applied: Option<Applied>,
    },
    /// The patch does not apply, or it brought the sandbox down.
    Refused(String),
}

impl Bench<'_> {
    /// Opens a fresh copy, applies the patch without what it does to tests, and runs the commands in their order.
    pub(super) fn pass<'c>(
        &self,
        patch: Option<&[u8]>,
        commands: impl Iterator<Item = &'c TestCommand>,
    ) -> Result<Pass, ValidateError> {
        self.go_on(patch)?;
        let mut copy = self.copies.open(self.name)?;
        let _registered = self.control.register(copy.session().interrupter());
        let mut applied = None;
        if let Some(text) = patch {
            match copy.apply(text, true) {
                Ok(Ok(done)) => applied = Some(done),
                Ok(Err(refused)) => return Ok(Pass::Refused(refused.to_string())),
                Err(error) => {
                    self.go_on(patch)?;
                    return Ok(Pass::Refused(error.to_string()));
                }
            }
        }
        let mut runs = Vec::new();
        for command in commands {
            self.go_on(patch)?;
            let done = run(copy.session(), command, self.options);
            self.go_on(patch)?;
            match done {
                Ok(run) => runs.push(run),
                // What a patch does to its own sandbox is no reason to give up the others.
                Err(error @ (SandboxError::Lost(_) | SandboxError::Refused(_))) => {
                    return Ok(Pass::Refused(format!("`{}`: {error}", command.command)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Pass::Ran { runs, applied })
    }

    /// A candidate that is there is tried to its end when the user asks to end in order; a baseline for new ones is needless then.
    fn go_on(&self, patch: Option<&[u8]>) -> Result<(), ValidateError> {
        if self.control.stopped() || patch.is_none() && self.control.ending() {
            Err(ValidateError::Interrupted)
        } else {
            Ok(())
        }
    }
}

/// Names of the tests that say something else in the second run than in the first, where both ran to their end.
pub(super) fn unsteady(first: &[TestRun], second: &[TestRun]) -> Vec<String> {
    let mut names = Vec::new();
    for (one, other) in first.iter().zip(second) {
        if one.ending != RunEnding::Ran || other.ending != RunEnding::Ran {
            continue;
        }
        names.extend(agree(one, other));
    }
    names.sort();
    names.dedup();
    names
}
