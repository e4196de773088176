//! One tokenizer for all formats of vocabularies.

use std::fmt;

use super::TextError;
use super::byte_pairs::BytePairs;
use super::hugging_face::HuggingFace;
use super::sentence_piece::SentencePiece;
use super::stream::PartialText;
use super::tiktoken;
use super::vocabulary::{Names, Segment, TokenKind, Vocabulary};
use crate::formats::{GgufVocabulary, TokenizerSource};
use crate::model::TokenId;

/// Words to tokens and back. Special tokens never come from text: `<|eot_id|>` in a user's file is encoded as the ten characters
/// that it is.
pub struct Tokenizer {
    vocabulary: Vocabulary,
    encoder: Encoder,
    /// Tokens that are found in a text before it is split; `tokenizers` finds its own.
    user_defined: Names,
    /// Tokens that are found only in what a chat template writes.
    special: Names,
    begin: Option<TokenId>,
    adds_begin: bool,
    end: Option<TokenId>,
    unknown: Option<TokenId>,
    padding: Option<TokenId>,
}

enum Encoder {
    BytePairs(BytePairs),
    SentencePiece(Box<SentencePiece>),
    HuggingFace(Box<HuggingFace>),
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocabulary", &self.vocabulary.len())
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads a vocabulary.
    ///
    /// # Errors
    ///
    /// When there is none, it contradicts itself, or is of a kind that is not known.
    pub fn new(source: &TokenizerSource) -> Result<Tokenizer, TextError> {
        match source {
            TokenizerSource::HuggingFace { tokenizer, config } => {
                let (encoder, vocabulary, ends) = HuggingFace::read(tokenizer, config.as_deref())?;
                let mut tokenizer = Tokenizer::assemble(vocabulary, Encoder::HuggingFace(Box::new(encoder)));
                (tokenizer.begin, tokenizer.adds_begin, tokenizer.end) =
                    (ends.begin, ends.adds_begin, ends.end);
                tokenizer.user_defined = Names::default();
                Ok(tokenizer)
            }
            TokenizerSource::Gguf(vocabulary) => Tokenizer::from_gguf(vocabulary),
            TokenizerSource::Tiktoken(file) => {
                let (encoder, vocabulary, begin) = tiktoken::read(file)?;
                let mut tokenizer = Tokenizer::assemble(vocabulary, Encoder::BytePairs(encoder));
                (tokenizer.begin, tokenizer.adds_begin) = (Some(begin), true);
                tokenizer.end = tokenizer.special("<|end_of_text|>");
                tokenizer.padding = tokenizer.special("<|pad|>");
                Ok(tokenizer)
            }
            TokenizerSource::None => Err(TextError::NoVocabulary),
        }
    }

    fn from_gguf(source: &GgufVocabulary) -> Result<Tokenizer, TextError> {
        let (mut tokenizer, adds_begin) = match source.model.as_str() {
            "gpt2" => {
                let (encoder, vocabulary, adds_begin) = BytePairs::from_gguf(source)?;
                (
                    Tokenizer::assemble(vocabulary, Encoder::BytePairs(encoder)),
                    adds_begin,
                )
            }
            "llama" => {
                let (encoder, vocabulary) = SentencePiece::from_gguf(source)?;
                let mut tokenizer =
                    Tokenizer::assemble(vocabulary, Encoder::SentencePiece(Box::new(encoder)));
                tokenizer.user_defined = Names::default();
                (tokenizer, true)
            }
            other => return Err(TextError::UnknownModel(other.chars().take(60).collect())),
        };
        let known = [
            ("bos", source.bos),
            ("eos", source.eos),
            ("unknown", source.unknown),
            ("padding", source.padding),
        ];
        for (name, id) in known {
            if let Some(id) = id.filter(|&id| tokenizer.vocabulary.get(id).is_none()) {
                return Err(TextError::damaged(format!(
                    "tokenizer.ggml.{name}_token_id is {id}, but there are {} tokens",
                    tokenizer.vocabulary.len()
                )));
            }
        }
        (tokenizer.begin, tokenizer.end) = (source.bos, source.eos);
        (tokenizer.unknown, tokenizer.padding) = (source.unknown, source.padding);
        tokenizer.adds_begin = source.bos.is_some() && source.add_bos.unwrap_or(adds_begin);
        Ok(tokenizer)
    }

    fn assemble(vocabulary: Vocabulary, encoder: Encoder) -> Tokenizer {
        Tokenizer {
            user_defined: vocabulary.names(&[TokenKind::UserDefined]),
            special: vocabulary.names(&[TokenKind::Control, TokenKind::Unknown]),
            vocabulary,
            encoder,
            begin: None,
            adds_begin: false,
            end: None,
            unknown: None,
            padding: None,
        }
    }

    /// A text's tokens. Nothing is put before it, and the text of special tokens is text like any other.
    ///
    /// # Errors
    ///
    /// When the vocabulary has no tokens for the text and nothing to stand for them, or the text cannot be split.
    pub fn encode(&self, text: &str) -> Result<Vec<TokenId>, TextError> {
        let mut out = Vec::with_capacity(text.len() / 3);
        self.encode_text(text, true, &mut out)?;
        Ok(out)
    }

    fn encode_text(&self, text: &str, first: bool, out: &mut Vec<TokenId>) -> Result<(), TextError> {
        let encoder = match &self.encoder {
            Encoder::HuggingFace(encoder) => return encoder.encode(text, first, &self.vocabulary, out),
            Encoder::SentencePiece(encoder) => return encoder.encode(text, out),
            Encoder::BytePairs(encoder) => encoder,
        };
        for segment in self.user_defined.cut(text) {
            match segment {
                Segment::Token(id) => out.push(id),
                Segment::Tokens(ids) => out.extend_from_slice(ids),
                Segment::Text(text) => encoder.encode(text, out)?,
            }
        }
        Ok(())
    }

    /// The tokens of what a chat template or a chat format wrote: special tokens are those that it names itself.
    pub(super) fn encode_segments(&self, segments: &[Segment<'_>]) -> Result<Vec<TokenId>, TextError> {
        let mut out = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            match *segment {
                Segment::Token(id) => out.push(id),
                Segment::Tokens(ids) => out.extend_from_slice(ids),
                Segment::Text("") => {}
                Segment::Text(text) => {
                    let before = index.checked_sub(1).and_then(|before| segments.get(before));
                    let text = match &self.encoder {
                        Encoder::HuggingFace(encoder) => encoder.strip(text, before, segments.get(index + 1)),
                        _ => text,
                    };
                    self.encode_text(text, index == 0, &mut out)?;
                }
            }
        }
        Ok(out)
    }

    /// The names of all special tokens.
    pub(super) fn special_names(&self) -> &Names {
        &self.special
    }

    /// The token that begins a text, where there is one.
    #[must_use]
    pub fn begin_of_text(&self) -> Option<TokenId> {
        self.begin
    }

    /// Whether the model was trained with the begin of text before every text.
    #[must_use]
    pub fn adds_begin_of_text(&self) -> bool {
        self.adds_begin
    }

    /// The token that ends a text, where there is one.
    #[must_use]
    pub fn end_of_text(&self) -> Option<TokenId> {
        self.end
    }

    /// The name of a special token by which templates know it: `bos_token`, `eos_token`, `unk_token`, `pad_token`.
    pub(super) fn template_token(&self, name: &str) -> Option<String> {
        let id = match name {
            "bos_token" => self.begin,
            "eos_token" => self.end,
            "unk_token" => self.unknown,
            "pad_token" => self.padding,
            _ => None,
        };
        Some(String::from_utf8_lossy(&self.vocabulary.get(id?)?.bytes).into_owned())
    }

    /// The text of tokens, without special ones. Bytes that are no characters become U+FFFD.
    #[must_use]
    pub fn decode(&self, tokens: &[TokenId]) -> String {
        self.decode_as(tokens, |vocabulary, id| vocabulary.visible(id))
    }

    /// The text of tokens, with the names of special ones.
    #[must_use]
    pub fn decode_all(&self, tokens: &[TokenId]) -> String {
        self.decode_as(tokens, |vocabulary, id| {
            vocabulary.get(id).map_or(&[], |token| &token.bytes)
        })
    }

    fn decode_as<'v>(
        &'v self,
        tokens: &[TokenId],
        bytes: impl Fn(&'v Vocabulary, TokenId) -> &'v [u8],
    ) -> String {
        let mut text = PartialText {
            at_start: self.first_space_is_ours(),
            held: Vec::new(),
        };
        let mut out = String::new();
        for &token in tokens {
            text.push(bytes(&self.vocabulary, token), &mut out);
        }
        text.finish(&mut out);
        out
    }

    /// The bytes of text that a token stands for: its name, where it is a special token; `None` beyond the vocabulary.
    #[must_use]
    pub fn token_bytes(&self, token: TokenId) -> Option<Vec<u8>> {
        Some(self.vocabulary.get(token)?.bytes.to_vec())
    }

    /// The id of a token that is more than a stretch of text, by its name: `<|eot_id|>`, say.
    #[must_use]
    pub fn special(&self, name: &str) -> Option<TokenId> {
        self.vocabulary.named(name)
    }

    /// Whether a token is one that text never becomes and that is not shown.
    #[must_use]
    pub fn is_special(&self, token: TokenId) -> bool {
        self.vocabulary.is_special(token)
    }

    /// How many ids the vocabulary has. A model's table of embeddings may be larger.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.vocabulary.len()
    }

    pub(super) fn visible(&self, token: TokenId) -> &[u8] {
        self.vocabulary.visible(token)
    }

    pub(super) fn first_space_is_ours(&self) -> bool {
        self.vocabulary.first_space_is_ours
    }
}
