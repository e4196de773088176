//! A conversation as the tokens of what a template makes of it: special tokens are those that the template writes, and what a model
//! sampled itself stays the tokens that it was.

use super::conversation::Spelled;
use super::sentinel::Sentinel;
use super::template::{Template, TemplateTokens, Written};
use super::vocabulary::Segment;
use super::{Message, TextError, Tokenizer, Tool};
use crate::model::TokenId;

/// `bos_token` and the like of a tokenizer.
pub(super) fn tokens_of(tokenizer: &Tokenizer) -> TemplateTokens {
    ["bos_token", "eos_token", "unk_token", "pad_token"]
        .into_iter()
        .filter_map(|name| Some((name, tokenizer.template_token(name)?)))
        .collect()
}

/// The tokens of a conversation, up to where the answer goes on behind `assistant_prefix`.
pub(super) fn encode(
    template: &Template,
    tokenizer: &Tokenizer,
    messages: &[Message<'_>],
    tools: &[Tool<'_>],
    assistant_prefix: &str,
) -> Result<Vec<TokenId>, TextError> {
    let names = tokenizer.special_names();
    let (sentinel, mark) = {
        let texts = texts_of(messages, tools);
        let texts = texts.iter().map(String::as_str);
        Sentinel::absent_from(
            texts
                .chain([assistant_prefix, template.source()])
                .chain(names.iter()),
        )?
    };
    let writing = Writing {
        template,
        tokenizer,
        messages,
        tools,
        sentinel,
        mark,
        spelled: messages
            .iter()
            .map(|message| Spelled::of(tokenizer, message))
            .collect(),
    };
    let mut text = writing.write()?;
    text.push_str(&sentinel.break_names(names, assistant_prefix));
    let mut pieces = Vec::new();
    for segment in names.cut(&text) {
        match segment {
            Segment::Text(text) => writing.cut_at_marks(text, &mut pieces),
            Segment::Token(id) => pieces.push(Piece::Token(id)),
            Segment::Tokens(_) => {}
        }
    }
    let segments: Vec<Segment<'_>> = pieces.iter().map(Piece::segment).collect();
    tokenizer.encode_segments(&segments)
}

/// A stretch of what was written.
enum Piece<'w> {
    Text(String),
    Token(TokenId),
    Sampled(Spelled<'w>),
}

impl Piece<'_> {
    fn segment(&self) -> Segment<'_> {
        match self {
            Piece::Text(text) => Segment::Text(text),
            Piece::Token(id) => Segment::Token(*id),
            Piece::Sampled(spelled) => Segment::Tokens(spelled.tokens),
        }
    }
}

/// What is written, and how.
struct Writing<'w> {
    template: &'w Template,
    tokenizer: &'w Tokenizer,
    messages: &'w [Message<'w>],
    tools: &'w [Tool<'w>],
    sentinel: Sentinel,
    /// A character that stands on both sides of the number of a message whose sampled part is left out.
    mark: char,
    spelled: Vec<Option<Spelled<'w>>>,
}

impl<'w> Writing<'w> {
    /// What the template writes, with marks for sampled parts wherever it would have written them as they are. A template may look into
    /// what a message says, to drop its reasoning, say: what it does not write whole stays text.
    fn write(&self) -> Result<String, TextError> {
        let plain = self.render(&|_| false)?;
        if self.spelled.iter().all(Option::is_none) {
            return Ok(plain);
        }
        let faithful = |marked: &dyn Fn(usize) -> bool| {
            let text = self.render(marked).ok()?;
            (self.unmarked(&text) == self.sentinel.remove(&plain)).then_some(text)
        };
        if let Some(text) = faithful(&|_| true) {
            return Ok(text);
        }
        let whole: Vec<bool> = (0..self.messages.len())
            .map(|message| {
                self.spelled_at(message).is_some() && faithful(&|other| other == message).is_some()
            })
            .collect();
        let text = faithful(&|message| whole.get(message).is_some_and(|whole| *whole));
        Ok(text.unwrap_or(plain))
    }

    fn spelled_at(&self, message: usize) -> Option<&Spelled<'w>> {
        self.spelled.get(message)?.as_ref()
    }

    /// What the template writes with marks for the sampled parts of those messages.
    fn render(&self, marked: &dyn Fn(usize) -> bool) -> Result<String, TextError> {
        let contents: Vec<Option<String>> = (0..self.messages.len())
            .map(|number| {
                let spelled = self.spelled_at(number).filter(|_| marked(number))?;
                let mark = self.mark;
                Some(format!("{}{mark}{number}{mark}{}", spelled.before, spelled.after))
            })
            .collect();
        let messages: Vec<Message<'_>> = self
            .messages
            .iter()
            .zip(&contents)
            .map(|(message, content)| Message {
                content: content.as_deref().unwrap_or(message.content),
                ..message.clone()
            })
            .collect();
        let names = self.tokenizer.special_names();
        self.template.render(&Written {
            tokens: &tokens_of(self.tokenizer),
            messages: &messages,
            tools: self.tools,
            add_generation_prompt: true,
            text: &|text| self.sentinel.break_names(names, text),
        })
    }

    /// The text with what the marks stand for, and without sentinels.
    fn unmarked(&self, text: &str) -> String {
        let mut pieces = Vec::new();
        self.cut_at_marks(text, &mut pieces);
        let texts = pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Sampled(spelled) => spelled.text,
            Piece::Token(_) => "",
        });
        texts.collect()
    }

    /// Cuts a text at marks: between them stand numbers of messages.
    fn cut_at_marks(&self, text: &str, pieces: &mut Vec<Piece<'w>>) {
        for (place, part) in text.split(self.mark).enumerate() {
            let number = part.parse::<usize>().ok().filter(|_| place % 2 == 1);
            match number.and_then(|number| self.spelled_at(number)) {
                Some(spelled) => pieces.push(Piece::Sampled(*spelled)),
                None if part.is_empty() => {}
                None => pieces.push(Piece::Text(self.sentinel.remove(part))),
            }
        }
    }
}

/// Everything that a template is given, special characters in JSON as they are.
fn texts_of(messages: &[Message<'_>], tools: &[Tool<'_>]) -> Vec<String> {
    let mut texts = Vec::new();
    for message in messages {
        texts.extend([message.role, message.content].map(str::to_owned));
        texts.extend(message.call_id.map(str::to_owned));
        for call in &message.calls {
            texts.extend([call.id, call.name, call.arguments].map(str::to_owned));
            // JSON may have them as escapes.
            let parsed = serde_json::from_str::<serde_json::Value>(call.arguments);
            texts.extend(parsed.map(|value| value.to_string()));
        }
    }
    for tool in tools {
        texts.extend([tool.name, tool.description].map(str::to_owned));
        texts.push(tool.parameters.to_string());
    }
    texts
}
