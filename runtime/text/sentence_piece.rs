//! SentencePiece's BPE, as GGUF's `llama` vocabularies have it: characters are merged by score, and those that no token has are
//! spelled in bytes.

use std::collections::HashMap;

use super::TextError;
use super::byte_pairs::gguf_kinds;
use super::bytes::{SPACE_MARK, byte_token, piece_bytes};
use super::error::named;
use super::merge::{NO_TOKEN, Symbol, merge};
use super::vocabulary::{Names, Segment, Token, TokenKind, Vocabulary};
use crate::formats::GgufVocabulary;
use crate::model::TokenId;

/// Encodes by merging characters, the best score first.
pub(super) struct SentencePiece {
    /// Tokens that merging may come to, with their ranks: the better the score, the lower.
    pieces: HashMap<String, (u32, TokenId)>,
    /// Tokens that are padding: merging passes through them, and what they are made of remains.
    unused: HashMap<TokenId, ()>,
    user_defined: Names,
    bytes: [Option<TokenId>; 256],
    unknown: Option<TokenId>,
    space_before: bool,
}

impl SentencePiece {
    /// Reads a `llama` vocabulary.
    pub(super) fn from_gguf(source: &GgufVocabulary) -> Result<(SentencePiece, Vocabulary), TextError> {
        let kinds = gguf_kinds(source)?;
        if source.scores.len() != source.tokens.len() {
            return Err(TextError::damaged(format!(
                "it has {} tokens, but {} scores",
                source.tokens.len(),
                source.scores.len()
            )));
        }
        let mut encoder = SentencePiece {
            pieces: HashMap::with_capacity(source.tokens.len()),
            unused: HashMap::new(),
            user_defined: Names::default(),
            bytes: [None; 256],
            unknown: source.unknown,
            space_before: source.add_space_prefix.unwrap_or(true),
        };
        let mut tokens = Vec::with_capacity(source.tokens.len());
        for (((id, text), &score), &kind) in (0..).zip(&source.tokens).zip(&source.scores).zip(&kinds) {
            tokens.push(Token {
                bytes: encoder.add(id, text, score, kind)?.into_boxed_slice(),
                kind,
            });
        }
        let mut marked = Vec::new();
        for ((id, text), _) in (0..)
            .zip(&source.tokens)
            .zip(&kinds)
            .filter(|(_, kind)| **kind == TokenKind::UserDefined)
        {
            marked.push((text.replace(' ', &SPACE_MARK.to_string()), id));
        }
        encoder.user_defined = Names::new(marked.into_iter());
        let vocabulary = Vocabulary::new(tokens, encoder.space_before)?;
        Ok((encoder, vocabulary))
    }

    /// Takes in one token, and gives the bytes that it stands for.
    fn add(&mut self, id: TokenId, text: &str, score: f32, kind: TokenKind) -> Result<Vec<u8>, TextError> {
        match kind {
            TokenKind::Normal | TokenKind::Unused => {
                if score.is_nan() {
                    return Err(TextError::damaged(format!(
                        "{} has a score that is no number",
                        named(id, text)
                    )));
                }
                if kind == TokenKind::Unused {
                    self.unused.insert(id, ());
                }
                if let Some((_, other)) = self.pieces.insert(text.to_owned(), (rank(score), id))
                    && kind == TokenKind::Normal
                {
                    return Err(TextError::damaged(format!(
                        "{} is token {other} already",
                        named(id, text)
                    )));
                }
            }
            TokenKind::Byte => {
                let byte = byte_token(text).ok_or_else(|| {
                    TextError::damaged(format!(
                        "{} is called a byte, but is not written as <0x00> to <0xFF>",
                        named(id, text)
                    ))
                })?;
                self.bytes[usize::from(byte)] = Some(id);
                return Ok(vec![byte]);
            }
            TokenKind::Control | TokenKind::Unknown => return Ok(text.as_bytes().to_vec()),
            TokenKind::UserDefined => {}
        }
        Ok(piece_bytes(text))
    }

    /// Appends a text's tokens.
    pub(super) fn encode(&self, text: &str, out: &mut Vec<TokenId>) -> Result<(), TextError> {
        if text.is_empty() {
            return Ok(());
        }
        let mut marked = String::with_capacity(text.len() + text.len() / 2);
        if self.space_before {
            marked.push(SPACE_MARK);
        }
        marked.extend(
            text.chars()
                .map(|character| if character == ' ' { SPACE_MARK } else { character }),
        );
        for segment in self.user_defined.cut(&marked) {
            match segment {
                Segment::Token(id) => out.push(id),
                Segment::Tokens(ids) => out.extend_from_slice(ids),
                Segment::Text(text) => self.encode_piece(text, out)?,
            }
        }
        Ok(())
    }

    fn encode_piece(&self, text: &str, out: &mut Vec<TokenId>) -> Result<(), TextError> {
        let token = |start, end| {
            text.get(start..end)
                .and_then(|text| self.pieces.get(text))
                .copied()
        };
        let symbols: Vec<Symbol> = text
            .char_indices()
            .map(|(start, character)| {
                let end = start + character.len_utf8();
                Symbol {
                    start,
                    end,
                    token: token(start, end).map_or(NO_TOKEN, |(_, id)| id),
                }
            })
            .collect();
        let merged = merge(&symbols, |a, b| token(a.start, b.end));
        let mut after_unknown = false;
        for symbol in merged {
            let text = text.get(symbol.start..symbol.end).unwrap_or("");
            if symbol.token == NO_TOKEN || self.unused.contains_key(&symbol.token) {
                self.spell(text, &mut after_unknown, out)?;
            } else {
                out.push(symbol.token);
                after_unknown = false;
            }
        }
        Ok(())
    }

    /// Spells text that no token has in bytes; without byte tokens, a run of it becomes the unknown token.
    fn spell(&self, text: &str, after_unknown: &mut bool, out: &mut Vec<TokenId>) -> Result<(), TextError> {
        let bytes: Option<Vec<TokenId>> = text.bytes().map(|byte| self.bytes[usize::from(byte)]).collect();
        match (bytes, self.unknown) {
            (Some(bytes), _) => out.extend(bytes),
            (None, Some(_)) if *after_unknown => {}
            (None, Some(unknown)) => {
                out.push(unknown);
                *after_unknown = true;
            }
            (None, None) => {
                return Err(TextError::Encode(format!(
                    "the vocabulary has no token for {text:?}, no bytes to spell it, and no unknown token"
                )));
            }
        }
        Ok(())
    }
}

/// Scores as ranks: the better the score, the lower the rank, and equal scores get equal ranks.
fn rank(score: f32) -> u32 {
    // Adding zero makes -0 the same as 0.
    let bits = (score + 0.0).to_bits();
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    !ascending
}
