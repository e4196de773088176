//! One pass over the test commands in a fresh copy, with a patch or without.

use std::collections::BTreeSet;

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
    /// Whether what a patch does to tests is left out.
    pub(super) leave_tests: bool,
    /// Whether tests tell what code they run, where their runner can.
    pub(super) covers: bool,
}

/// A command to be run, and which of its tests; all for none.
#[derive(Clone)]
pub(super) struct Piece<'c> {
    pub(super) command: &'c TestCommand,
    pub(super) tests: BTreeSet<String>,
}

impl<'c> Piece<'c> {
    /// A command with all of its tests.
    pub(super) fn whole(command: &'c TestCommand) -> Piece<'c> {
        Piece {
            command,
            tests: BTreeSet::new(),
        }
    }
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

/// What a single try came to.
enum Try {
    Done(Pass),
    /// The sandbox failed, by the patch's doing or the machine's: the first try cannot tell.
    Lost(String),
}

/// Tries again what the machine may be to blame for. What fails twice in copies of their own is the patch's doing.
fn twice(mut once: impl FnMut() -> Result<Try, ValidateError>) -> Result<Pass, ValidateError> {
    if let Try::Done(pass) = once()? {
        return Ok(pass);
    }
    Ok(match once()? {
        Try::Done(pass) => pass,
        Try::Lost(why) => Pass::Refused(why),
    })
}

impl Bench<'_> {
    /// Opens a fresh copy, applies the patch, and runs the commands in their order; once more when the sandbox fails.
    pub(super) fn pass<'c>(
        &self,
        patch: Option<&[u8]>,
        pieces: impl Iterator<Item = Piece<'c>> + Clone,
    ) -> Result<Pass, ValidateError> {
        twice(|| self.pass_once(patch, pieces.clone()))
    }

    fn pass_once<'c>(
        &self,
        patch: Option<&[u8]>,
        pieces: impl Iterator<Item = Piece<'c>>,
    ) -> Result<Try, ValidateError> {
        self.go_on(patch)?;
        let mut copy = self.copies.open(self.name)?;
        let _registered = self.control.register(copy.session().interrupter());
        let mut applied = None;
        if let Some(text) = patch {
            match copy.apply(text, self.leave_tests) {
                Ok(Ok(done)) => applied = Some(done),
                // A system call that failed says nothing of the patch.
                Ok(Err(refused)) if refused.0.contains("(os error ") => return Ok(Try::Lost(refused.0)),
                Ok(Err(refused)) => return Ok(Try::Done(Pass::Refused(refused.to_string()))),
                Err(error) => {
                    self.go_on(patch)?;
                    return Ok(Try::Lost(error.to_string()));
                }
            }
        }
        let mut runs = Vec::new();
        for piece in pieces {
            self.go_on(patch)?;
            let options = RunOptions {
                tests: piece.tests,
                coverage: self.covers.then(|| copy.root().to_owned()),
                ..self.options.clone()
            };
            let command = piece.command;
            let done = run(copy.session(), command, &options);
            self.go_on(patch)?;
            match done {
                Ok(run) => runs.push(run),
                // What a patch does to its own sandbox is no reason to give up the others.
                Err(error @ (SandboxError::Lost(_) | SandboxError::Refused(_))) => {
                    return Ok(Try::Lost(format!("`{}`: {error}", command.command)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Try::Done(Pass::Ran { runs, applied }))
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

/// Names of the tests that say something else in the second run than in the first, and commands of which only one run ended by itself.
///
/// A run that was cut short does not tell all of its tests; what fails in the other and is not told by it is not known to fail each time.
pub(super) fn unsteady(first: &[TestRun], second: &[TestRun]) -> Vec<String> {
    let mut names = Vec::new();
    for (one, other) in first.iter().zip(second) {
        let ended = |run: &TestRun| run.ending == RunEnding::Ran;
        let fails = |run: &TestRun, name: &str| run.tests.get(name).is_some_and(|case| case.status.fails());
        let mut differing = agree(one, other);
        if !(ended(one) && ended(other)) {
            differing.retain(|name| {
                let both = one.tests.contains_key(name) && other.tests.contains_key(name);
                both || fails(one, name) || fails(other, name)
            });
        }
        names.extend(differing);
        if ended(one) != ended(other) {
            names.push(one.command.command.clone());
        }
    }
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
#[path = "pass_tests.rs"]
mod tests;
