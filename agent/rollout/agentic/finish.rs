//! The end of an attempt: its patch, whatever happened, and its candidate.

use super::halt::Halt;
use super::turns::Attempt;
use crate::rollout::chosen_patch;
use crate::rollout::types::{Candidate, Ending, RolloutError, Strategy};

impl Attempt<'_> {
    /// The candidate, recorded.
    pub(super) fn finish(mut self, ending: Ending) -> Result<Candidate, RolloutError> {
        let patch = if self.bench.control.stopped() {
            // The user waits: what lies in the copy is made again when the attempt goes on.
            let submitted = self.submission.take().map(|submission| submission.patch);
            Ok(submitted.unwrap_or_default().into_bytes())
        } else {
            self.patch()
        };
        let (patch, ending) = match patch {
            Ok(patch) => (patch, ending),
            Err(Halt::Failed(error)) => return Err(*error),
            // The copy is lost. What was submitted is all there is.
            Err(Halt::Ended(failed)) => {
                let submitted = self
                    .submission
                    .as_ref()
                    .map(|submission| submission.patch.clone());
                let failed = if ending == Ending::Interrupted {
                    ending
                } else {
                    failed
                };
                (submitted.unwrap_or_default().into_bytes(), failed)
            }
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

    /// What was submitted, if it applies, else what the copy changed.
    fn patch(&mut self) -> Result<Vec<u8>, Halt> {
        let name = self.options.name.clone();
        if let Some(submission) = &self.submission {
            match chosen_patch::usable(submission, &self.bench.problem.tree) {
                Ok(patch) => return Ok(patch),
                Err(why) => {
                    let path = submission.path.clone();
                    self.notice(format!(
                        "{name}: the submitted patch {path} cannot be used ({why}); what the copy changed is taken instead"
                    ))?;
                }
            }
        }
        let exclude = std::mem::take(&mut self.submitted_paths);
        let patch = self.workplace.diff(&exclude).map_err(|error| {
            let reason = error.to_string();
            Halt::Ended(Ending::Failed { reason })
        })?;
        if self.submission.is_none() {
            let added = chosen_patch::added_files(&patch);
            if !added.is_empty() {
                self.notice(format!(
                    "{name}: no patch was submitted, so what the copy changed is taken; it adds {}",
                    added.join(", ")
                ))?;
            }
        }
        Ok(patch)
    }
}
