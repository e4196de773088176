//! The turn loop that CWM was trained for: think, one tool call, its result, until a patch is submitted.
//!
//! In: a problem, a model, copies, and what may be used. Out: one candidate, whatever the model does. `opening` says how a
//! conversation begins, `turns` is the loop, `answer` and `json_calls` read what the model says, `workplace` is where calls act, and
//! `results` and `room` keep the conversation within the window.
//!
//! An attempt that was cut short goes on from its journal: recorded answers and messages are taken from it, calls act again in a fresh
//! copy, and from the first step that is not in it everything is done as usual. Decisions depend on nothing but what is recorded, the
//! clock included: the time that counts is that of answers and calls.

mod answer;
mod ask;
mod finish;
mod halt;
pub(crate) mod json_calls;
mod opening;
mod repeats;
mod results;
mod room;
mod turns;
mod workplace;
mod write_tests;

use cwm_runtime::source::{CallFormat, ChatMessage, ToolDefinition};

use super::journal::AttemptLog;
use super::tokens::TokenCounter;
use super::types::{AttemptOptions, Candidate, RolloutError, Workbench};
use halt::Halt;
pub use opening::definitions as tool_definitions;
use turns::Attempt;
pub use write_tests::write_tests;

/// Works on the problem until the model ends, or a budget does.
///
/// # Errors
///
/// When the model, the sandbox or the journal fail for good; the attempt can then go on where it was. Whatever the model does wrong
/// ends in a candidate, and so does a model that fails when its patch was handed in already.
pub fn attempt(bench: &Workbench<'_>, options: &AttemptOptions) -> Result<Candidate, RolloutError> {
    let log = AttemptLog::new(bench.journal, &options.name);
    if let Some(candidate) = log.candidate() {
        return Ok(candidate.clone());
    }
    let mut attempt = Attempt::begin(bench, options, log)?;
    let ending = loop {
        match attempt.step() {
            Ok(()) => {}
            Err(Halt::Ended(ending)) => break ending,
            Err(Halt::Failed(error)) => match attempt.ending_without_last_words(&error)? {
                Some(ending) => break ending,
                None => return Err(*error),
            },
        }
    };
    attempt.finish(ending)
}

/// How a conversation begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// The system prompt and the issue.
    pub messages: Vec<ChatMessage>,
    /// What the model's answers begin with.
    pub assistant_prefix: String,
    /// The tools, for a model that is told of them in its own format.
    pub tools: Vec<ToolDefinition>,
}

/// How the attempt's conversation begins: what the model reads before its first answer.
///
/// # Errors
///
/// When the model cannot be asked about itself, or a template fails.
pub fn opening(bench: &Workbench<'_>, options: &AttemptOptions) -> Result<Opening, RolloutError> {
    let format = bench.model.info()?.calls;
    let tools = tools(bench, format)?;
    let counter = TokenCounter::new(bench.model, tools.clone());
    Ok(Opening {
        messages: opening::messages(bench, options, format, &counter)?,
        assistant_prefix: answer::assistant_prefix(format).to_owned(),
        tools,
    })
}

fn tools(bench: &Workbench<'_>, format: CallFormat) -> Result<Vec<ToolDefinition>, RolloutError> {
    Ok(match format {
        CallFormat::Native => opening::definitions(bench.prompts)?,
        CallFormat::Tags | CallFormat::None => Vec::new(),
    })
}
