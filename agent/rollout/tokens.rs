//! Counting tokens: by the model where it can, else by an estimate that the server's own counts correct.

use cwm_runtime::source::{ChatMessage, Model, Prompt, ToolDefinition};

/// Characters of a token, until a count says otherwise.
const CHARACTERS: f64 = 3.5;
/// What a message costs besides its content.
const MESSAGE_TOKENS: f64 = 8.0;
/// Corrections beyond this are no more believed: a server may count what it adds itself.
const MOST_CORRECTION: f64 = 4.0;

/// Counts tokens for one attempt.
pub(super) struct TokenCounter<'a> {
    model: &'a dyn Model,
    tools: Vec<ToolDefinition>,
    correction: f64,
}

impl<'a> TokenCounter<'a> {
    /// Counts for this model, with these tools announced in every request.
    pub(super) fn new(model: &'a dyn Model, tools: Vec<ToolDefinition>) -> TokenCounter<'a> {
        TokenCounter {
            model,
            tools,
            correction: 1.0,
        }
    }

    /// The tools that are announced.
    pub(super) fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    /// The tokens of a text.
    pub(super) fn text(&self, text: &str) -> usize {
        self.model
            .count_tokens(text)
            .unwrap_or_else(|| rounded(characters(text) / CHARACTERS * self.correction))
    }

    /// The tokens of a message's own, without what the chat's form puts around it, where the model can count them.
    pub(super) fn message(&self, message: &ChatMessage) -> Option<usize> {
        message_tokens(self.model, message)
    }

    /// The tokens of a conversation whose next answer begins with the prefix.
    pub(super) fn conversation(&self, messages: &[ChatMessage], assistant_prefix: &str) -> usize {
        let prompt = Prompt::Chat {
            messages: messages.to_vec(),
            assistant_prefix: assistant_prefix.to_owned(),
        };
        self.model
            .count_prompt(&prompt, &self.tools)
            .unwrap_or_else(|| rounded(self.estimate(messages) * self.correction))
    }

    /// Learns from what a server counted for a conversation.
    pub(super) fn learn(&mut self, messages: &[ChatMessage], counted: usize) {
        let estimated = self.estimate(messages);
        if counted > 0 && estimated > 0.0 {
            self.correction = (counted as f64 / estimated).clamp(1.0 / MOST_CORRECTION, MOST_CORRECTION);
        }
    }

    fn estimate(&self, messages: &[ChatMessage]) -> f64 {
        let contents = messages.iter().map(|message| {
            let calls: f64 = message
                .calls
                .iter()
                .map(|call| characters(&call.arguments) + MESSAGE_TOKENS * CHARACTERS)
                .sum();
            (characters(&message.content) + calls) / CHARACTERS + MESSAGE_TOKENS
        });
        let tools = self.tools.iter().map(|tool| {
            let schema = tool.parameters.to_string();
            (characters(&tool.description) + characters(&schema)) / CHARACTERS + MESSAGE_TOKENS
        });
        contents.sum::<f64>() + tools.sum::<f64>()
    }
}

/// The tokens of a message's own: those that were sampled where they are known, else those of its text and its calls. `None` when the
/// model cannot count.
pub(super) fn message_tokens(model: &dyn Model, message: &ChatMessage) -> Option<usize> {
    let mut tokens = match &message.sampled {
        Some(sampled) => {
            let before = message.content.get(..sampled.start).unwrap_or_default();
            model.count_tokens(before)? + sampled.tokens.len()
        }
        None => model.count_tokens(&message.content)?,
    };
    // Sampled tokens hold their calls.
    if message.sampled.is_none() {
        for call in &message.calls {
            tokens += model.count_tokens(&call.name)? + model.count_tokens(&call.arguments)?;
        }
    }
    Some(tokens)
}

fn characters(text: &str) -> f64 {
    text.chars().count() as f64
}

fn rounded(tokens: f64) -> usize {
    // Lengths of texts in memory: far below where a float would lose whole numbers.
    tokens.ceil() as usize
}
