//! The end of an attempt: its patch, whatever happened, and its candidate.

use cwm_tools::bytes_path::display;
use cwm_tools::isolated::IsolatedError;
use cwm_tools::patch::LeftOut;
use cwm_tools::sandbox::SandboxError;

use super::halt::Halt;
use super::turns::Attempt;
use crate::rollout::chosen_patch;
use crate::rollout::journal::Record;
use crate::rollout::types::{Candidate, Ending, RolloutError, Strategy};

/// The most bytes of a patch that the copy's changes make: nobody reads more, and it must fit the journal.
const MOST_PATCH: usize = 8 << 20;
/// Up to so many bytes, the largest new files are looked for in the patch.
const SORTED_PATCH: usize = 64 << 20;
/// When it has more, or not even a patch can be made, all files of more bytes are left out.
const LARGE_FILE: u64 = 1 << 20;
/// So many files are named to the user.
const NAMED: usize = 8;

impl Attempt<'_> {
    /// How the attempt ends although its model fails: a patch that can be used was handed in before, so that little is missing.
    /// `None` when it is to go on another time.
    pub(super) fn ending_without_last_words(
        &mut self,
        error: &RolloutError,
    ) -> Result<Option<Ending>, RolloutError> {
        if !matches!(error, RolloutError::Model(_)) || self.usable_submission().is_none() {
            return Ok(None);
        }
        if self.worked_on {
            let reason = error.to_string();
            return Ok(Some(Ending::Failed { reason }));
        }
        self.log.note(Record::Notice {
            attempt: Some(self.options.name.clone()),
            text: format!("the patch was submitted, but the model's last words are missing: {error}"),
        })?;
        Ok(Some(Ending::Finished))
    }

    /// The candidate, recorded unless the attempt is to go on.
    pub(super) fn finish(mut self, ending: Ending) -> Result<Candidate, RolloutError> {
        let (patch, ending) = if self.bench.control.stopped() {
            // The user waits: what lies in the copy is made again when the attempt goes on.
            match self.usable_submission() {
                Some(patch) => (patch, ending),
                None => (Vec::new(), Ending::Interrupted),
            }
        } else {
            self.patch_and_ending(ending)?
        };
        let candidate = Candidate {
            attempt: self.options.name.clone(),
            strategy: Strategy::Agentic,
            ending,
            patch,
            answer: self.words,
            turns: self.turns,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            seconds: self.spent.as_secs_f64(),
        };
        self.log.end(&candidate)?;
        Ok(candidate)
    }

    /// The patch, and how the attempt ends with it.
    fn patch_and_ending(&mut self, ending: Ending) -> Result<(Vec<u8>, Ending), RolloutError> {
        let made = self.patch();
        // What was being made when everything inside was killed is none.
        if self.bench.control.stopped() && self.usable_submission().is_none() {
            return Ok((Vec::new(), Ending::Interrupted));
        }
        match made {
            Ok(patch) => Ok((patch, ending)),
            Err(Halt::Failed(error)) => Err(*error),
            Err(Halt::Ended(_)) if ending == Ending::Interrupted => Ok((Vec::new(), ending)),
            Err(Halt::Ended(failed)) => Ok((Vec::new(), failed)),
        }
    }

    /// What was submitted, if it applies.
    fn usable_submission(&self) -> Option<Vec<u8>> {
        let submission = self.submission.as_ref()?;
        chosen_patch::usable(submission, &self.bench.problem.tree).ok()
    }

    /// What was submitted, if it applies, else what the copy changed.
    fn patch(&mut self) -> Result<Vec<u8>, Halt> {
        if let Some(submission) = &self.submission {
            match chosen_patch::usable(submission, &self.bench.problem.tree) {
                Ok(patch) => return Ok(patch),
                Err(why) => {
                    let path = submission.path.clone();
                    self.notice(format!(
                        "the submitted patch {path} cannot be used ({why}); what the copy changed is taken instead"
                    ))?;
                }
            }
        }
        let exclude = std::mem::take(&mut self.submitted_paths);
        let patch = self.changed(&exclude)?;
        if self.submission.is_none() {
            let added = chosen_patch::added_files(&patch);
            if !added.is_empty() {
                self.notice(format!(
                    "no patch was submitted, so what the copy changed is taken; it adds {}",
                    several(&added)
                ))?;
            }
        }
        Ok(patch)
    }

    /// What the copy changed. What is too much for a patch is left out, the largest new files first.
    fn changed(&mut self, exclude: &[Vec<u8>]) -> Result<Vec<u8>, Halt> {
        let failed = |reason: String| Halt::Ended(Ending::Failed { reason });
        let mut made = self.workplace.diff(exclude, None);
        let too_much = match &made {
            Ok(made) => made.patch.len() > SORTED_PATCH,
            Err(error) => is_refusal(error),
        };
        if too_much && !self.bench.control.stopped() {
            // It may also be more than the scan can hold.
            made = self.workplace.diff(exclude, Some(LARGE_FILE));
        }
        let made = match made {
            Ok(made) => made,
            Err(error) if is_refusal(&error) => return Err(failed(error.to_string())),
            // Nothing is known of what was changed: the attempt can go on another time.
            Err(error) => return Err(RolloutError::from(error).into()),
        };
        let large = made.notes.iter().filter(|note| note.reason == LeftOut::TooLarge);
        let mut left_out: Vec<String> = large.map(|note| display(&note.path)).collect();
        let fitted = chosen_patch::without_large_additions(made.patch, MOST_PATCH, &mut left_out);
        if !left_out.is_empty() {
            self.notice(format!(
                "the patch would be too large; it leaves out {}",
                several(&left_out)
            ))?;
        }
        fitted.ok_or_else(|| {
            failed(format!(
                "what the copy changed makes a patch of more than {} MiB",
                MOST_PATCH >> 20
            ))
        })
    }
}

/// Whether the diff itself cannot be made, rather than that the sandbox is gone.
fn is_refusal(error: &IsolatedError) -> bool {
    matches!(
        error,
        IsolatedError::Diff(_) | IsolatedError::Sandbox(SandboxError::Refused(_))
    )
}

/// The first of these names, and how many there are besides.
fn several(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let first = first.join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
