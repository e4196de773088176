//! CWM's chat format: a header with the role, two newlines, the content, and the end of the turn.

use super::conversation::Spelled;
use super::vocabulary::Segment;
use super::{Message, TextError, Tokenizer};
use crate::model::TokenId;

const BEGIN_OF_TEXT: &str = "<|begin_of_text|>";
const START_HEADER: &str = "<|start_header_id|>";
const END_HEADER: &str = "<|end_header_id|>";
const END_OF_TURN: &str = "<|eot_id|>";

/// The tokens that the format is made of.
struct Marks {
    begin: TokenId,
    start_header: TokenId,
    end_header: TokenId,
    end_of_turn: TokenId,
}

impl Marks {
    fn of(tokenizer: &Tokenizer) -> Result<Marks, TextError> {
        let find = |name| tokenizer.special(name).ok_or(TextError::MissingToken(name));
        Ok(Marks {
            begin: find(BEGIN_OF_TEXT)?,
            start_header: find(START_HEADER)?,
            end_header: find(END_HEADER)?,
            end_of_turn: find(END_OF_TURN)?,
        })
    }
}

/// The tokens of a conversation and of the header behind which the assistant goes on, with what its answer begins with. Contents of
/// tools and of the assistant are kept as they are; those of the system and the user are stripped. What was sampled is not encoded again:
/// a prompt that goes on from another begins with that one's tokens and those that were sampled.
pub(super) fn encode(
    tokenizer: &Tokenizer,
    messages: &[Message<'_>],
    assistant_prefix: &str,
) -> Result<Vec<TokenId>, TextError> {
    let marks = Marks::of(tokenizer)?;
    let mut bodies = Vec::with_capacity(messages.len() + 1);
    for message in messages {
        let content = content_of(message.role, message.content)?;
        let spelled = Spelled::of(tokenizer, message);
        let text = spelled.map_or(content, |spelled| spelled.before);
        bodies.push((message.role, format!("\n\n{text}"), spelled));
    }
    bodies.push(("assistant", format!("\n\n{assistant_prefix}"), None));
    let mut segments = vec![Segment::Token(marks.begin)];
    for (index, (role, text, spelled)) in bodies.iter().enumerate() {
        segments.extend([
            Segment::Token(marks.start_header),
            Segment::Text(role),
            Segment::Token(marks.end_header),
            Segment::Text(text),
        ]);
        if let Some(spelled) = spelled {
            segments.extend([Segment::Tokens(spelled.tokens), Segment::Text(spelled.after)]);
        }
        if index < messages.len() {
            segments.push(Segment::Token(marks.end_of_turn));
        }
    }
    tokenizer.encode_segments(&segments)
}

/// The same as text, for people and for servers that take one.
pub(super) fn render(messages: &[Message<'_>], add_generation_prompt: bool) -> Result<String, TextError> {
    let mut out = BEGIN_OF_TEXT.to_owned();
    for Message { role, content, .. } in messages {
        let content = content_of(role, content)?;
        out.push_str(&format!(
            "{START_HEADER}{role}{END_HEADER}\n\n{content}{END_OF_TURN}"
        ));
    }
    if add_generation_prompt {
        out.push_str(&format!("{START_HEADER}assistant{END_HEADER}\n\n"));
    }
    Ok(out)
}

fn content_of<'c>(role: &str, content: &'c str) -> Result<&'c str, TextError> {
    match role {
        "system" | "user" => Ok(content.trim_matches(is_python_space)),
        "assistant" => Ok(content),
        _ if role
            .strip_prefix("tool: ")
            .is_some_and(|name| !name.trim().is_empty()) =>
        {
            Ok(content)
        }
        _ => Err(TextError::Role(role.chars().take(60).collect())),
    }
}

/// What Python's `str.strip` takes away, which is what the model was trained with.
pub(super) fn is_python_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}
