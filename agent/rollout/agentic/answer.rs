//! From a model's answer to what it wants done: one call, the end, or nothing that can be understood.

use cwm_runtime::source::{CallFormat, StopReason};
use cwm_tools::call::{self, Call, CallError};
use serde_json::Value;

use super::json_calls::{self, JsonCallError};
use crate::prompts::ArgumentsError;
use crate::rollout::journal::Generated;

const REASONING_BEGIN: &str = "<think>";
const REASONING_END: &str = "</think>";
const TAG_OPENING: &str = "<tool:";
const TAG_CLOSING: &str = "</tool>";

/// What a turn comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// One call.
    Call(Call),
    /// The final answer.
    Final(String),
    /// No call, and no final answer either.
    Wrong(Wrong),
}

/// What is wrong with a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It has not one well-formed call.
    Form(CallError),
    /// Its call's arguments are wrong.
    Arguments(ArgumentsError),
    /// It was cut at its limit.
    Cut,
}

/// What an answer begins with.
pub(super) fn assistant_prefix(format: CallFormat) -> &'static str {
    match format {
        CallFormat::Tags => "<think>\n",
        CallFormat::Native | CallFormat::None => "",
    }
}

/// Reads a turn. Once a patch was submitted, an answer without any call is the final one; a call that is malformed, or one of several,
/// is wrong as ever.
pub(super) fn read(generated: &Generated, format: CallFormat, submitted: bool) -> Turn {
    match call_of(generated, format) {
        Ok(call) => Turn::Call(call),
        Err(wrong) if submitted && lacks_a_call(&wrong, generated) => {
            Turn::Final(words(&generated.text).to_owned())
        }
        // A cut answer has lost what would have made it right.
        Err(_) if generated.reason != StopReason::Stop => Turn::Wrong(Wrong::Cut),
        Err(wrong) => Turn::Wrong(wrong),
    }
}

/// Whether nothing in an answer is, or was to become, a call.
fn lacks_a_call(wrong: &Wrong, generated: &Generated) -> bool {
    match wrong {
        Wrong::Form(CallError::None) => true,
        // Words that only stand on the wrong side of the reasoning's end.
        Wrong::Form(CallError::MissingEnd | CallError::RepeatedEnd(_)) => {
            let tagged = [TAG_OPENING, TAG_CLOSING]
                .iter()
                .any(|tag| generated.text.contains(tag));
            generated.reason == StopReason::Stop && !tagged
        }
        Wrong::Form(_) | Wrong::Arguments(_) | Wrong::Cut => false,
    }
}

/// An answer without its reasoning.
pub(super) fn words(text: &str) -> &str {
    text.rsplit_once(REASONING_END)
        .map_or(text, |(_, words)| words)
        .trim()
}

fn call_of(generated: &Generated, format: CallFormat) -> Result<Call, Wrong> {
    let whole = generated.reason == StopReason::Stop;
    if format == CallFormat::Tags {
        let answer = call::answer_after_reasoning(&generated.text).map_err(Wrong::Form)?;
        return tags(answer, whole);
    }
    match generated.calls.as_slice() {
        [] => {}
        [only] => {
            let arguments = Value::String(only.arguments.clone());
            return json_calls::from_parts(&only.name, arguments).map_err(Wrong::from);
        }
        several => return Err(Wrong::Form(CallError::Several(several.len()))),
    }
    let answer = without_reasoning(&generated.text);
    if format == CallFormat::None {
        return match tags(answer, whole) {
            Err(Wrong::Form(CallError::None)) => json(answer),
            other => other,
        };
    }
    match json(answer) {
        Err(Wrong::Form(CallError::None)) => tags(answer, whole),
        other => other,
    }
}

/// The one call in JSON.
fn json(answer: &str) -> Result<Call, Wrong> {
    let mut calls = json_calls::find(answer);
    match calls.len() {
        0 => Err(Wrong::Form(CallError::None)),
        1 => calls.remove(0).map_err(Wrong::from),
        several => Err(Wrong::Form(CallError::Several(several))),
    }
}

/// The one call in tags. Where only the closing tag's line is not as it must be, and nothing is lost by that, it is made so: the
/// answer ended with the call's content, or the tag stands at the end of its last line.
fn tags(answer: &str, whole: bool) -> Result<Call, Wrong> {
    let error = match call::parse(answer) {
        Ok(call) => return Ok(call),
        Err(error) => error,
    };
    let one_open = error
        == CallError::Unbalanced {
            opening: 1,
            closing: 0,
        };
    if one_open {
        let trimmed = answer.trim_end();
        let mended = match trimmed.strip_suffix(TAG_CLOSING) {
            Some(before) if !before.contains(TAG_CLOSING) => Some(before),
            None if whole && !trimmed.contains(TAG_CLOSING) => Some(trimmed),
            _ => None,
        };
        if let Some(before) = mended
            && let Ok(call) = call::parse(&format!("{before}\n{TAG_CLOSING}"))
        {
            return Ok(call);
        }
    }
    if error == CallError::None
        && let Some(call) = one_line(answer)
    {
        return Ok(call);
    }
    Err(Wrong::Form(error))
}

/// `<tool: NAME>CONTENT</tool>` on one line, where no other line has a tag.
fn one_line(answer: &str) -> Option<Call> {
    let mut tagged = answer
        .lines()
        .filter(|line| line.contains(TAG_OPENING) || line.contains(TAG_CLOSING));
    let line = tagged.next()?.trim();
    if tagged.next().is_some()
        || line.matches(TAG_OPENING).count() != 1
        || line.matches(TAG_CLOSING).count() != 1
    {
        return None;
    }
    let (opening, content) = line
        .strip_prefix(TAG_OPENING)?
        .strip_suffix(TAG_CLOSING)?
        .split_once('>')?;
    call::parse(&format!("{TAG_OPENING}{opening}>\n{content}\n{TAG_CLOSING}")).ok()
}

/// The answer of a model that may have reasoned, and need not have.
fn without_reasoning(text: &str) -> &str {
    if text.trim_start().starts_with(REASONING_BEGIN) {
        return text.split_once(REASONING_END).map_or("", |(_, answer)| answer);
    }
    // Some templates begin the reasoning themselves; then only its end is in the text, as a line of its own.
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        start += line.len();
        if line.trim() == REASONING_END {
            return text.get(start..).unwrap_or_default();
        }
    }
    text
}

impl From<JsonCallError> for Wrong {
    fn from(error: JsonCallError) -> Wrong {
        match error {
            JsonCallError::Call(error) => Wrong::Form(error),
            JsonCallError::Arguments(error) => Wrong::Arguments(error),
        }
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
