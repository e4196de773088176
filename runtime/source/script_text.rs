//! What a script sees of a request: its prompt as one text, what was said last in it, and tokens that anyone can count.

use super::{ChatMessage, Prompt, ToolDefinition};

/// How much of a raw prompt counts as its end, in characters.
const END: usize = 2000;

/// The number of tokens of a text, by a rule that anyone can follow: a run of letters, digits and `_` is one, every other character is one,
/// and spaces belong to the token before.
pub fn count(text: &str) -> usize {
    tokens_of(text).count()
}

/// The tokens, which together are the text.
pub(super) fn tokens_of(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let first = rest.chars().next()?;
        let body = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let spaces = rest.get(body..)?;
        let end = body + (spaces.len() - spaces.trim_start_matches(' ').len());
        let (token, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(token)
    })
}

/// A prompt as one text, with the tools that it announces before it.
pub(super) fn prompt_text(prompt: &Prompt, tools: &[ToolDefinition]) -> String {
    match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Tokens(tokens) => format!("{tokens:?}"),
        Prompt::Chat {
            messages,
            assistant_prefix,
        } => {
            let mut text = String::new();
            for tool in tools {
                text.push_str(&format!(
                    "tool {}: {} {}\n",
                    tool.name, tool.description, tool.parameters
                ));
            }
            for message in messages {
                text.push_str(&format!("{}: {}\n", message.role, said_in(message)));
            }
            text + assistant_prefix
        }
    }
}

/// The last message of a conversation, or the end of a raw prompt.
pub(super) fn what_was_said_last(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Chat { messages, .. } => messages.last().map(said_in).unwrap_or_default(),
        Prompt::Text(_) | Prompt::Tokens(_) => last(&prompt_text(prompt, &[]), END).to_owned(),
    }
}

/// What a message says, its calls included.
fn said_in(message: &ChatMessage) -> String {
    let mut text = message.content.clone();
    for call in &message.calls {
        text.push_str(&format!("\ncall {} {}", call.name, call.arguments));
    }
    text
}

/// The last part of a prompt, for messages.
pub(super) fn end_of(prompt: &str) -> String {
    let end = last(prompt, 400);
    if end.len() < prompt.len() {
        format!("… {end}")
    } else {
        end.to_owned()
    }
}

/// The last so many characters of a text.
fn last(text: &str, characters: usize) -> &str {
    let start = text.char_indices().rev().take(characters).last();
    start.and_then(|(start, _)| text.get(start..)).unwrap_or_default()
}
