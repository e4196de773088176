//! Conversations as the model was trained to read them: by its own template, or in CWM's format.

use super::template::{Template, Written};
use super::templated::tokens_of;
use super::{Message, TextError, Tokenizer, Tool, cwm, templated};
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

    /// A conversation as text, with the header of the assistant's answer behind it, if that is asked for. To be looked at: special
    /// tokens' names in contents cannot be told from special tokens in it, so it must not be encoded. CWM's format has no tools.
    ///
    /// # Errors
    ///
    /// When the template refuses the messages, or a role is none of the format's.
    pub fn render(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message<'_>],
        tools: &[Tool<'_>],
        add_generation_prompt: bool,
    ) -> Result<String, TextError> {
        match &self.0 {
            Kind::Cwm => cwm::render(messages, add_generation_prompt),
            Kind::Template(template) => template.render(&Written {
                tokens: &tokens_of(tokenizer),
                messages,
                tools,
                add_generation_prompt,
                text: &str::to_owned,
            }),
        }
    }

    /// The tokens of a conversation, up to where the assistant's answer goes on behind `assistant_prefix`. Roles are `system`, `user`,
    /// `assistant` and `tool: NAME`; templates may know others. Special tokens are those that the format writes; their names in contents
    /// and in the prefix are text. What is given as tokens that were sampled stays those tokens, unless they do not spell the content,
    /// or the template writes that otherwise than it is. CWM's format has no tools.
    ///
    /// # Errors
    ///
    /// As [`ChatFormat::render`], and when the tokenizer does not fit the format or has no tokens for a text.
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message<'_>],
        tools: &[Tool<'_>],
        assistant_prefix: &str,
    ) -> Result<Vec<TokenId>, TextError> {
        match &self.0 {
            Kind::Cwm => cwm::encode(tokenizer, messages, assistant_prefix),
            Kind::Template(template) => {
                templated::encode(template, tokenizer, messages, tools, assistant_prefix)
            }
        }
    }
}
