//! The messages of an attempt, and the tool results among them that can be taken out again.

use cwm_runtime::source::ChatMessage;
use cwm_tools::call::Tool;

use super::journal::{KeptFile, LongOutput};

/// A conversation so far.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    messages: Vec<ChatMessage>,
    outputs: Vec<Output>,
}

/// A tool's result that stands in a message.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// The message's index.
    pub(super) message: usize,
    /// Which tool said it.
    pub(super) tool: Tool,
    /// The turn of the call, from 1.
    pub(super) turn: usize,
    /// What it said, as it stands in the message.
    pub(super) shown: String,
    /// All that it said, where that is more.
    pub(super) whole: Option<String>,
    /// What is known of the output when not even that is all.
    pub(super) long: Option<LongOutput>,
    /// The file in the sandbox that keeps it.
    pub(super) inside: Option<KeptFile>,
    /// The file in the run's folder that keeps it.
    pub(super) outside: Option<KeptFile>,
    /// Whether it was taken out.
    pub(super) elided: bool,
}

impl Output {
    /// All that the tool said, as it is recorded.
    pub(super) fn whole(&self) -> &str {
        self.whole.as_deref().unwrap_or(&self.shown)
    }
}

impl Conversation {
    /// The messages.
    pub(super) fn messages(&self) -> &[ChatMessage] {
        &self.messages
    }

    /// Adds a message.
    pub(super) fn push(&mut self, message: ChatMessage) {
        self.messages.push(message);
    }

    /// Adds what is known of the result in the last message.
    pub(super) fn push_output(&mut self, mut output: Output) {
        output.message = self.messages.len().saturating_sub(1);
        self.outputs.push(output);
    }

    /// The results, the oldest first.
    pub(super) fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The results that can still be taken out, the oldest first: all but that of the last message.
    pub(super) fn elidable(&self) -> impl Iterator<Item = &Output> {
        let last = self.messages.len().saturating_sub(1);
        self.outputs
            .iter()
            .filter(move |output| !output.elided && output.message != last)
    }

    /// Puts `line` in the place of the result in that message, which holds it as its tool said it. Nothing happens when the
    /// message has no result.
    pub(super) fn elide(&mut self, message: usize, line: &str) {
        let Some(output) = self.outputs.iter_mut().find(|output| output.message == message) else {
            return;
        };
        output.elided = true;
        let shown = output.shown.strip_suffix('\n').unwrap_or(&output.shown);
        if let Some(message) = self.messages.get_mut(message) {
            // A message of an earlier process may have been rendered in other words.
            message.content = if message.content.contains(shown) {
                message.content.replacen(shown, line, 1)
            } else {
                line.to_owned()
            };
        }
    }
}
