//! Conversations as they come to a chat format: messages, with what a model sampled of them, and the tools that are announced.

use super::Tokenizer;
use super::stream::PartialText;
use crate::model::TokenId;

/// One message of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message<'m> {
    /// `system`, `user`, `assistant`, `tool: NAME` or, for templates, any other.
    pub role: &'m str,
    /// What it says.
    pub content: &'m str,
    /// The part of an assistant's content that was sampled.
    pub sampled: Option<SampledPart<'m>>,
    /// The calls that an assistant made beside its content.
    pub calls: Vec<Call<'m>>,
    /// For a tool's result: the id of the call that it answers.
    pub call_id: Option<&'m str>,
}

impl<'m> Message<'m> {
    /// A message of that role that says this.
    #[must_use]
    pub fn new(role: &'m str, content: &'m str) -> Message<'m> {
        Message {
            role,
            content,
            ..Message::default()
        }
    }
}

/// The tokens of the end of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampledPart<'m> {
    /// Where in the content they begin, in bytes.
    pub start: usize,
    /// The tokens.
    pub tokens: &'m [TokenId],
}

/// A call of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'m> {
    /// Which call of the conversation it is.
    pub id: &'m str,
    /// The tool.
    pub name: &'m str,
    /// JSON of an object; anything else goes to a template as text.
    pub arguments: &'m str,
}

/// A tool that is announced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tool<'m> {
    /// Its name.
    pub name: &'m str,
    /// What it does.
    pub description: &'m str,
    /// Its arguments, as a JSON schema of an object.
    pub parameters: &'m serde_json::Value,
}

/// A message's content, of which a stretch is given by tokens that are known to spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spelled<'m> {
    /// What comes before, as text.
    pub(super) before: &'m str,
    /// What the tokens spell.
    pub(super) text: &'m str,
    pub(super) tokens: &'m [TokenId],
    /// What comes behind, as text: empty, but where a stop text ended the answer within a token.
    pub(super) after: &'m str,
}

impl<'m> Spelled<'m> {
    /// The sampled part of a message, if its tokens do spell its content: a record that was changed by hand gives none.
    pub(super) fn of(tokenizer: &Tokenizer, message: &Message<'m>) -> Option<Spelled<'m>> {
        let SampledPart { start, tokens } = message.sampled?;
        let (before, rest) = message.content.split_at_checked(start)?;
        let is_known = |id: &TokenId| usize::try_from(*id).is_ok_and(|id| id < tokenizer.vocabulary());
        if message.role != "assistant" || !tokens.iter().all(is_known) {
            return None;
        }
        let (count, length) = spelling(tokenizer, tokens, rest, false).or_else(|| {
            let ours = tokenizer.first_space_is_ours();
            ours.then(|| spelling(tokenizer, tokens, rest, true)).flatten()
        })?;
        let (text, after) = rest.split_at_checked(length)?;
        let tokens = tokens.get(..count)?;
        (!tokens.is_empty()).then_some(Spelled {
            before,
            text,
            tokens,
            after,
        })
    }
}

/// How many of the tokens lie within the text, and how many bytes of it those spell; `None` when the tokens spell something else. Tokens
/// may go on behind the text's end, as a stop text takes away what the last ones spell.
fn spelling(tokenizer: &Tokenizer, tokens: &[TokenId], text: &str, at_start: bool) -> Option<(usize, usize)> {
    let mut partial = PartialText {
        at_start,
        held: Vec::new(),
    };
    let (mut out, mut within) = (String::new(), (0, 0));
    for (count, token) in (1..).zip(tokens) {
        partial.push(tokenizer.visible(*token), &mut out);
        if partial.held.is_empty() && out.len() <= text.len() {
            within = (count, out.len());
        }
    }
    partial.finish(&mut out);
    if out == text {
        return Some((tokens.len(), text.len()));
    }
    out.starts_with(text).then_some(within)
}
