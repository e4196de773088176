//! Byte-level BPE: GGUF's `gpt2` vocabularies and Llama 3's `tokenizer.model`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::TextError;
use super::bytes::{Alphabet, byte_to_char};
use super::error::{named, quoted};
use super::merge::{NO_TOKEN, Symbol, merge};
use super::split::{NamedSplit, Splitter};
use super::vocabulary::{Token, TokenKind, Vocabulary};
use crate::formats::GgufVocabulary;
use crate::model::TokenId;

/// Encodes by splitting, then merging bytes.
pub(super) struct BytePairs {
    splitter: Splitter,
    /// The token of each byte, or [`NO_TOKEN`]: bytes without one are left out, as in the programs that such vocabularies come from.
    bytes: Vec<TokenId>,
    /// Stretches that are one token without merging.
    whole: HashMap<Box<[u8]>, TokenId>,
    rule: Rule,
}

/// Two tokens, and the rank of their merge with the token that they become.
type Pairs = HashMap<(TokenId, TokenId), (u32, TokenId)>;

/// Which neighbours merge.
enum Rule {
    /// Those that the file lists, in its order.
    Listed(Pairs),
    /// Those whose text together is a token; lower ids first.
    Ranked,
}

impl BytePairs {
    /// Reads a `gpt2` vocabulary. Tells also whether the begin of text precedes every text, where the file does not say.
    pub(super) fn from_gguf(source: &GgufVocabulary) -> Result<(BytePairs, Vocabulary, bool), TextError> {
        let split = NamedSplit::of(source.pre.as_deref())?;
        let kinds = gguf_kinds(source)?;
        let alphabet = Alphabet::new();
        let mut ids: HashMap<&str, TokenId> = HashMap::with_capacity(source.tokens.len());
        let mut tokens = Vec::with_capacity(source.tokens.len());
        for ((id, text), &kind) in (0..).zip(&source.tokens).zip(&kinds) {
            match ids.entry(text) {
                Entry::Vacant(place) => {
                    place.insert(id);
                }
                Entry::Occupied(mut place) if kind == TokenKind::Normal => {
                    let other = place.insert(id);
                    if usize::try_from(other).ok().and_then(|other| kinds.get(other)) == Some(&kind) {
                        return Err(TextError::damaged(format!(
                            "{} is token {other} already",
                            named(id, text)
                        )));
                    }
                }
                Entry::Occupied(_) => {}
            }
            let bytes = match kind {
                TokenKind::Normal => alphabet.bytes_of(text),
                _ => text.as_bytes().to_vec(),
            };
            tokens.push(Token {
                bytes: bytes.into_boxed_slice(),
                kind,
            });
        }
        let rule = Rule::Listed(listed_merges(source, &ids, &kinds)?);
        let normal =
            |id: TokenId| usize::try_from(id).ok().and_then(|id| kinds.get(id)) == Some(&TokenKind::Normal);
        let byte = |byte: u8| {
            let id = ids.get(byte_to_char(byte).encode_utf8(&mut [0; 4]) as &str);
            id.copied().filter(|&id| normal(id)).unwrap_or(NO_TOKEN)
        };
        let bytes: Vec<TokenId> = (0..=u8::MAX).map(byte).collect();
        if bytes.iter().all(|&id| id == NO_TOKEN) {
            return Err(TextError::damaged("it has no tokens for single bytes"));
        }
        let whole = if split.whole_tokens_first {
            whole_tokens(&tokens)
        } else {
            HashMap::new()
        };
        let encoder = BytePairs {
            splitter: split.splitter,
            bytes,
            whole,
            rule,
        };
        Ok((encoder, Vocabulary::new(tokens, false)?, split.adds_begin_of_text))
    }

    /// An encoder for tokens whose ids are their ranks, with Llama 3's way of splitting.
    pub(super) fn ranked(tokens: &[Token]) -> Result<BytePairs, TextError> {
        let whole = whole_tokens(tokens);
        let byte = |byte: u8| {
            let id = whole.get([byte].as_slice()).copied();
            id.ok_or_else(|| TextError::damaged(format!("it has no token for the byte {byte}")))
        };
        let bytes = (0..=u8::MAX).map(byte).collect::<Result<_, _>>()?;
        Ok(BytePairs {
            splitter: Splitter::llama3()?,
            bytes,
            whole,
            rule: Rule::Ranked,
        })
    }

    /// Appends a text's tokens.
    pub(super) fn encode(&self, text: &str, out: &mut Vec<TokenId>) -> Result<(), TextError> {
        self.splitter
            .split(text, |piece| self.encode_piece(piece.as_bytes(), out))
    }

    fn encode_piece(&self, piece: &[u8], out: &mut Vec<TokenId>) {
        if let Some(&id) = self.whole.get(piece) {
            out.push(id);
            return;
        }
        let symbols: Vec<Symbol> = piece
            .iter()
            .enumerate()
            .map(|(at, &byte)| (at, self.bytes.get(usize::from(byte)).copied().unwrap_or(NO_TOKEN)))
            .filter(|&(_, token)| token != NO_TOKEN)
            .map(|(at, token)| Symbol {
                start: at,
                end: at + 1,
                token,
            })
            .collect();
        let merged = merge(&symbols, |a, b| match &self.rule {
            Rule::Listed(pairs) => pairs.get(&(a.token, b.token)).copied(),
            Rule::Ranked => self.whole.get(piece.get(a.start..b.end)?).map(|&id| (id, id)),
        });
        out.extend(merged.iter().map(|symbol| symbol.token));
    }
}

/// The kinds of a GGUF vocabulary's tokens. Tokens that end a text are control tokens, whatever the file calls them.
pub(super) fn gguf_kinds(source: &GgufVocabulary) -> Result<Vec<TokenKind>, TextError> {
    let count = source.tokens.len();
    if !source.token_types.is_empty() && source.token_types.len() != count {
        return Err(TextError::damaged(format!(
            "it has {count} tokens, but {} token types",
            source.token_types.len()
        )));
    }
    let kind = |(index, text): (usize, &String)| {
        Ok(match source.token_types.get(index).copied().unwrap_or(1) {
            4 if ENDS.contains(&text.as_str()) => TokenKind::Control,
            0 | 1 => TokenKind::Normal,
            2 => TokenKind::Unknown,
            3 => TokenKind::Control,
            4 => TokenKind::UserDefined,
            5 => TokenKind::Unused,
            6 => TokenKind::Byte,
            other => {
                return Err(TextError::damaged(format!(
                    "token {index} is of the unknown type {other}"
                )));
            }
        })
    };
    source.tokens.iter().enumerate().map(kind).collect()
}

/// Tokens that end a turn or a text; some files call them user-defined, which would let a text end the model's turn.
const ENDS: [&str; 10] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|end|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|begin_of_text|>",
    "<end_of_turn>",
    "</s>",
];

fn listed_merges(
    source: &GgufVocabulary,
    ids: &HashMap<&str, TokenId>,
    kinds: &[TokenKind],
) -> Result<Pairs, TextError> {
    let mut pairs = HashMap::with_capacity(source.merges.len());
    let mut joined = String::new();
    for (rank, line) in (0..).zip(&source.merges) {
        // A token may begin with a space in some vocabularies, so the first character never divides.
        let divide = line
            .char_indices()
            .skip(1)
            .find(|&(_, character)| character == ' ');
        let parts = divide.and_then(|(at, _)| Some((line.get(..at)?, line.get(at + 1..)?)));
        let Some((left, right)) = parts else {
            return Err(TextError::damaged(format!(
                "merge {rank} ({}) is not two tokens with a space between",
                quoted(line)
            )));
        };
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        let find = |text: &str| {
            ids.get(text).copied().ok_or_else(|| {
                TextError::damaged(format!("merge {rank} names {}, which is no token", quoted(text)))
            })
        };
        let (pair, merged) = ((find(left)?, find(right)?), find(&joined)?);
        let kind = usize::try_from(merged).ok().and_then(|merged| kinds.get(merged));
        // Text must never become a control token, so a merge that would make one is not followed.
        if matches!(kind, Some(TokenKind::Normal | TokenKind::UserDefined)) {
            pairs.entry(pair).or_insert((rank, merged));
        }
    }
    Ok(pairs)
}

fn whole_tokens(tokens: &[Token]) -> HashMap<Box<[u8]>, TokenId> {
    (0..)
        .zip(tokens)
        .filter(|(_, token)| token.kind == TokenKind::Normal)
        .map(|(id, token)| (token.bytes.clone(), id))
        .collect()
}
