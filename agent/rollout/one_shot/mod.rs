//! One answer with edits, applied and tested; what fails is shown to the model for another round.

use super::types::{AttemptOptions, Candidate, Ending, RolloutError, Strategy, Workbench};

/// Asks for edits until the tests pass, or the rounds are used up.
///
/// # Errors
///
/// When the model, the sandbox or the journal fail for good. Whatever the model does wrong ends in a candidate.
pub fn attempt(_bench: &Workbench<'_>, options: &AttemptOptions) -> Result<Candidate, RolloutError> {
    Ok(Candidate {
        attempt: options.name.clone(),
        strategy: Strategy::OneShot,
        ending: Ending::NoAnswer,
        patch: Vec::new(),
        answer: String::new(),
        turns: 0,
        prompt_tokens: 0,
        completion_tokens: 0,
        seconds: 0.0,
    })
}
