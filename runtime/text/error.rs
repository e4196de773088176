//! What can be wrong with a vocabulary, a template or a text.

use crate::model::TokenId;

/// Why a vocabulary or template cannot be used, or a text not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The model has no vocabulary.
    #[error(
        "this model comes without a tokenizer, so it takes and gives token ids only; put its tokenizer.json or tokenizer.model beside it"
    )]
    NoVocabulary,
    /// The kind of vocabulary is none that this program knows.
    #[error(
        "the vocabulary is of the kind \"{0}\", which cannot be read; known kinds are gpt2 and llama in GGUF files, BPE and Unigram in tokenizer.json"
    )]
    UnknownModel(String),
    /// Text is split in a way that this program does not know.
    #[error(
        "tokenizer.ggml.pre is \"{0}\", a way of splitting text that is not known here; encoding would go wrong without notice, so use the model's tokenizer.json"
    )]
    UnknownSplit(String),
    /// The vocabulary contradicts itself.
    #[error("the vocabulary is damaged: {0}")]
    Damaged(String),
    /// `tokenizer.json` or `tokenizer_config.json` cannot be read.
    #[error("{file} cannot be read: {message}")]
    File {
        /// Which.
        file: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A text for which the vocabulary has no tokens, or that cannot be split.
    #[error("the text cannot be encoded: {0}")]
    Encode(String),
    /// The model has no chat template.
    #[error("this model has no chat template; use a raw prompt")]
    NoTemplate,
    /// The chat template is not valid Jinja, or refuses these messages.
    #[error("the chat template {0}")]
    Template(String),
    /// A message's role is none of the chat format's.
    #[error("\"{0}\" is not a role of this chat format; it has system, user, assistant and \"tool: NAME\"")]
    Role(String),
    /// A token that the chat format is made of is missing.
    #[error(
        "the vocabulary has no token {0}, which the chat format needs; the tokenizer does not belong to this model"
    )]
    MissingToken(&'static str),
}

impl TextError {
    /// The vocabulary contradicts itself: `message` says where.
    pub(super) fn damaged(message: impl Into<String>) -> TextError {
        TextError::Damaged(message.into())
    }
}

/// A token for messages: its id and text, shortened.
pub(super) fn named(id: TokenId, text: &str) -> String {
    format!("token {id} ({})", quoted(text))
}

/// A text from a file for messages: quoted, escaped and shortened.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    format!("{short:?}")
}
