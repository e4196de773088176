//! Text from tokens as they come, in whole characters.

use std::sync::Arc;

use super::Tokenizer;
use crate::model::TokenId;

/// Turns tokens into text one by one. What it gives, put together, is what decoding all of them at once gives.
#[derive(Debug)]
pub struct StreamDecoder {
    tokenizer: Arc<Tokenizer>,
    text: PartialText,
}

impl StreamDecoder {
    /// A decoder for a text from its beginning.
    #[must_use]
    pub fn new(tokenizer: Arc<Tokenizer>) -> StreamDecoder {
        let text = PartialText {
            at_start: tokenizer.first_space_is_ours(),
            held: Vec::new(),
        };
        StreamDecoder { tokenizer, text }
    }

    /// A decoder for what follows these tokens. It differs from one for a text from its beginning for SentencePiece only, where the
    /// space before a first word is not part of the text, but one between words is.
    #[must_use]
    pub fn after(tokenizer: Arc<Tokenizer>, tokens: &[TokenId]) -> StreamDecoder {
        let mut decoder = StreamDecoder::new(tokenizer);
        let in_text = tokens
            .last()
            .is_some_and(|&last| !decoder.tokenizer.is_special(last));
        decoder.text.at_start &= !in_text;
        decoder
    }

    /// Takes a token and gives the text that is certain by now: empty in the midst of a character and for special tokens.
    pub fn push(&mut self, token: TokenId) -> String {
        let mut out = String::new();
        self.text.push(self.tokenizer.visible(token), &mut out);
        out
    }

    /// Ends the text and gives what was held back: a character that never got whole, as U+FFFD.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.text.finish(&mut out);
        out
    }
}

/// Bytes that have not become text yet.
#[derive(Debug)]
pub(super) struct PartialText {
    /// Whether a space that comes now is not part of the text.
    pub(super) at_start: bool,
    /// The beginning of a character.
    pub(super) held: Vec<u8>,
}

impl PartialText {
    /// Adds bytes, and moves all characters that are whole to `out`; bytes that cannot be part of any become U+FFFD.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut String) {
        let Some(&first) = bytes.first() else { return };
        let bytes = if self.at_start && first == b' ' {
            bytes.get(1..).unwrap_or(&[])
        } else {
            bytes
        };
        self.at_start = false;
        self.held.extend_from_slice(bytes);
        let mut done = 0;
        while let Some(rest) = self.held.get(done..).filter(|rest| !rest.is_empty()) {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    out.push_str(text);
                    done = self.held.len();
                }
                Err(error) => {
                    let whole = error.valid_up_to();
                    out.push_str(
                        rest.get(..whole)
                            .and_then(|text| std::str::from_utf8(text).ok())
                            .unwrap_or(""),
                    );
                    done += whole;
                    let Some(wrong) = error.error_len() else { break };
                    out.push(char::REPLACEMENT_CHARACTER);
                    done += wrong;
                }
            }
        }
        self.held.drain(..done);
    }

    /// Ends the text.
    pub(super) fn finish(&mut self, out: &mut String) {
        if !self.held.is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
            self.held.clear();
        }
    }
}
