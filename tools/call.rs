//! The parser of tool calls: from the text of a model's turn to the one call in it.
//!
//! In: the turn's text. Out: [`Call`], or a [`CallError`] that says what was wrong with the form.
//!
//! # The grammar
//! A call is `<tool: NAME>\nCONTENT\n</tool>`, exactly one a turn, anywhere in the answer.
//! - An opening tag counts where it is a whole line; blanks behind it, and none or several before
//!   the name, change nothing.
//! - A closing tag counts where a line begins with `</tool>`, whatever else stands on that line.
//! - The newline before `</tool>` belongs to the grammar, not to the content.
//!
//! A tag anywhere else is text: a script that prints `"</tool>"`, or prose that mentions `<tool: bash>`.
//! The form that the model was trained with counts every mention and then refuses the turn; nothing is
//! lost by telling them apart, since the lines above leave one reading only. Where two readings remain
//! (a tag as a whole line inside a heredoc) the turn is refused as before.

use serde::{Deserialize, Serialize};
use thiserror::Error;

const OPENING: &str = "<tool:";
const CLOSING: &str = "</tool>";
const REASONING_END: &str = "</think>";

/// The tools that a model may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// Runs commands in the session.
    Bash,
    /// Replaces lines of a file.
    Edit,
    /// Makes a new file.
    Create,
    /// Hands in a patch file.
    Submit,
}

impl Tool {
    /// Every tool, in the order in which they are announced.
    pub const ALL: [Tool; 4] = [Tool::Bash, Tool::Edit, Tool::Create, Tool::Submit];

    /// The name that a call uses.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Bash => "bash",
            Tool::Edit => "edit",
            Tool::Create => "create",
            Tool::Submit => "submit",
        }
    }

    /// The tool of that name.
    pub fn from_name(name: &str) -> Option<Tool> {
        Tool::ALL.into_iter().find(|tool| tool.name() == name)
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Which tool.
    pub tool: Tool,
    /// What stands between the tags, without the newline before the closing one.
    pub content: String,
}

/// Why no single call could be read from a turn.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum CallError {
    /// No tag at all.
    #[error("the answer holds no tool call")]
    None,
    /// More than one call.
    #[error("the answer holds {0} tool calls where exactly one is allowed")]
    Several(usize),
    /// Opening and closing tags do not pair up.
    #[error("the answer's tags do not pair up: {opening} opening, {closing} closing")]
    Unbalanced {
        /// How many lines are an opening tag.
        opening: usize,
        /// How many lines begin with the closing tag.
        closing: usize,
    },
    /// A tool that does not exist.
    #[error("there is no tool named `{name}`")]
    Unknown {
        /// The name called.
        name: String,
    },
    /// Nothing but blanks between the tags.
    #[error("the call of `{tool}` has no content")]
    Empty {
        /// The tool called.
        tool: String,
    },
    /// The reasoning was never closed.
    #[error("the reasoning was not closed: the turn has no `</think>`")]
    MissingEnd,
    /// The reasoning was closed more than once, so that it is unclear where the answer begins.
    #[error("the turn holds `</think>` {0} times where exactly one is allowed")]
    RepeatedEnd(usize),
}

/// The answer of a reasoning turn: what follows its one `</think>`.
pub fn answer_after_reasoning(text: &str) -> Result<&str, CallError> {
    let (_, answer) = text.split_once(REASONING_END).ok_or(CallError::MissingEnd)?;
    match answer.matches(REASONING_END).count() {
        0 => Ok(answer),
        more => Err(CallError::RepeatedEnd(more + 1)),
    }
}

/// The one call in an answer.
pub fn parse(answer: &str) -> Result<Call, CallError> {
    let mut openings = Vec::new();
    let mut closings = Vec::new();
    let mut start = 0;
    for line in answer.split_inclusive('\n') {
        if let Some(name) = opening_name(line) {
            openings.push((name, start + line.len()));
        } else if line.starts_with(CLOSING) {
            closings.push(start);
        }
        start += line.len();
    }
    let unbalanced = || CallError::Unbalanced {
        opening: openings.len(),
        closing: closings.len(),
    };
    let (name, begin, end) = match (openings.as_slice(), closings.as_slice()) {
        ([], []) => return Err(CallError::None),
        ([(name, begin)], [end]) if begin <= end => (*name, *begin, *end),
        (many, ends) if many.len() == ends.len() && many.len() > 1 => {
            return Err(CallError::Several(many.len()));
        }
        _ => return Err(unbalanced()),
    };
    let tool = Tool::from_name(name).ok_or_else(|| CallError::Unknown {
        name: name.to_owned(),
    })?;
    let content = answer.get(begin..end).unwrap_or_default();
    let content = content.strip_suffix('\n').unwrap_or(content);
    if content.trim().is_empty() {
        return Err(CallError::Empty {
            tool: name.to_owned(),
        });
    }
    Ok(Call {
        tool,
        content: content.to_owned(),
    })
}

/// The name in a line that is an opening tag.
fn opening_name(line: &str) -> Option<&str> {
    let name = line
        .strip_prefix(OPENING)?
        .trim_end()
        .strip_suffix('>')?
        .trim_start_matches([' ', '\t']);
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
