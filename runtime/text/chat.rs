//! Conversations as the model was trained to read them: by its own template, or in CWM's format.

use super::sentinel::Sentinel;
use super::template::{Template, TemplateTokens};
use super::vocabulary::Segment;
use super::{TextError, Tokenizer, cwm};
use crate::formats::Checkpoint;
use crate::model::{Architecture, TokenId};

/// How a model wants conversations to be written.
#[derive(Debug)]
pub struct ChatFormat(Kind);

#[derive(Debug)]
enum Kind {
    Cwm,
    Template(Box<Template>),
}

impl ChatFormat {
    /// The format of a model: CWM's own for its architecture, else its chat template.
    ///
    /// # Errors
    ///
    /// When it has no chat template, or one that is not valid Jinja.
    pub fn of(checkpoint: &Checkpoint) -> Result<ChatFormat, TextError> {
        if checkpoint.spec.architecture == Architecture::Cwm {
            return Ok(ChatFormat::cwm());
        }
        ChatFormat::template(checkpoint.chat_template.as_deref().ok_or(TextError::NoTemplate)?)
    }

    /// CWM's format, whatever the model.
    #[must_use]
    pub fn cwm() -> ChatFormat {
        ChatFormat(Kind::Cwm)
    }

    /// A Jinja template, as checkpoints ship them.
    ///
    /// # Errors
    ///
    /// When it is not valid Jinja.
    pub fn template(source: &str) -> Result<ChatFormat, TextError> {
        Ok(ChatFormat(Kind::Template(Box::new(Template::new(source)?))))
    }

    /// A conversation of roles and contents as text, with the header of the assistant's answer behind it, if that is asked for. To be
    /// looked at: special tokens' names in contents cannot be told from special tokens in it, so it must not be encoded.
    ///
    /// # Errors
    ///
    /// When the template refuses the messages, or a role is none of the format's.
    pub fn render(
        &self,
        tokenizer: &Tokenizer,
        messages: &[(&str, &str)],
        add_generation_prompt: bool,
    ) -> Result<String, TextError> {
        match &self.0 {
            Kind::Cwm => cwm::render(messages, add_generation_prompt),
            Kind::Template(template) => {
                template.render(&tokens_of(tokenizer), messages, add_generation_prompt)
            }
        }
    }

    /// The tokens of a conversation of roles and contents, up to where the assistant's answer goes on behind `assistant_prefix`.
    /// Roles are `system`, `user`, `assistant` and `tool: NAME`. Special tokens are those that the format writes; their names in
    /// contents and in the prefix are text.
    ///
    /// # Errors
    ///
    /// As [`ChatFormat::render`], and when the tokenizer does not fit the format or has no tokens for a text.
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        messages: &[(&str, &str)],
        assistant_prefix: &str,
    ) -> Result<Vec<TokenId>, TextError> {
        let Kind::Template(template) = &self.0 else {
            return cwm::encode(tokenizer, messages, assistant_prefix);
        };
        let names = tokenizer.special_names();
        let texts = messages.iter().flat_map(|(role, content)| [*role, *content]);
        let sentinel = Sentinel::absent_from(
            texts
                .chain([assistant_prefix, template.source()])
                .chain(names.iter()),
        )?;
        let broken: Vec<(&str, String)> = messages
            .iter()
            .map(|(role, content)| (*role, sentinel.break_names(names, content)))
            .collect();
        let broken: Vec<(&str, &str)> = broken
            .iter()
            .map(|(role, content)| (*role, content.as_str()))
            .collect();
        let mut text = template.render(&tokens_of(tokenizer), &broken, true)?;
        text.push_str(&sentinel.break_names(names, assistant_prefix));
        let texts: Vec<Result<String, TokenId>> = names
            .cut(&text)
            .into_iter()
            .map(|segment| match segment {
                Segment::Text(text) => Ok(sentinel.remove(text)),
                Segment::Token(id) => Err(id),
            })
            .collect();
        let segments: Vec<Segment<'_>> = texts
            .iter()
            .map(|text| {
                text.as_ref()
                    .map_or_else(|id| Segment::Token(*id), |text| Segment::Text(text))
            })
            .filter(|segment| *segment != Segment::Text(""))
            .collect();
        tokenizer.encode_segments(&segments)
    }
}

fn tokens_of(tokenizer: &Tokenizer) -> TemplateTokens {
    ["bos_token", "eos_token", "unk_token", "pad_token"]
        .into_iter()
        .filter_map(|name| Some((name, tokenizer.template_token(name)?)))
        .collect()
}
