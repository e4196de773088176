//! Every token's bytes and kind, whatever format the vocabulary came in, and finding tokens' texts in a longer text.

use std::collections::HashMap;

use super::TextError;
use crate::model::TokenId;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A stretch of text that encoding comes to by merging.
    Normal,
    /// One byte of text that no other token has.
    Byte,
    /// A stretch of text that is one token wherever it stands in a text.
    UserDefined,
    /// A token with a meaning of its own: never from text, never shown.
    Control,
    /// What stands for text that the vocabulary lacks.
    Unknown,
    /// Padding of the embedding table.
    Unused,
}

/// A token: the bytes of text it stands for (its name, where it is [`TokenKind::Control`]) and its kind.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) bytes: Box<[u8]>,
    pub(super) kind: TokenKind,
}

/// All tokens, by id.
#[derive(Debug)]
pub(super) struct Vocabulary {
    tokens: Vec<Token>,
    /// Control, unknown and user-defined tokens by name.
    names: HashMap<String, TokenId>,
    /// Whether the space with which a text begins was put there by encoding.
    pub(super) first_space_is_ours: bool,
}

impl Vocabulary {
    /// A vocabulary of these tokens, which must be fewer than 2^32 - 1; of tokens with one name, control ones and then the first count.
    pub(super) fn new(tokens: Vec<Token>, first_space_is_ours: bool) -> Result<Vocabulary, TextError> {
        if TokenId::try_from(tokens.len()).map_or(true, |count| count == TokenId::MAX) {
            return Err(TextError::damaged("it has more tokens than ids can tell apart"));
        }
        let mut vocabulary = Vocabulary {
            tokens,
            names: HashMap::new(),
            first_space_is_ours,
        };
        for kind in [TokenKind::Control, TokenKind::Unknown, TokenKind::UserDefined] {
            for (id, token) in (0..).zip(&vocabulary.tokens) {
                if token.kind == kind
                    && let Ok(name) = std::str::from_utf8(&token.bytes)
                {
                    vocabulary.names.entry(name.to_owned()).or_insert(id);
                }
            }
        }
        Ok(vocabulary)
    }

    /// Gives a special token a second name, unless a token has that name already.
    pub(super) fn alias(&mut self, name: &str, id: TokenId) {
        self.names.entry(name.to_owned()).or_insert(id);
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn get(&self, id: TokenId) -> Option<&Token> {
        self.tokens.get(usize::try_from(id).ok()?)
    }

    pub(super) fn kind(&self, id: TokenId) -> Option<TokenKind> {
        Some(self.get(id)?.kind)
    }

    /// The control, unknown or user-defined token of this name.
    pub(super) fn named(&self, name: &str) -> Option<TokenId> {
        self.names.get(name).copied()
    }

    /// Whether the token is one that text never becomes.
    pub(super) fn is_special(&self, id: TokenId) -> bool {
        matches!(self.kind(id), Some(TokenKind::Control | TokenKind::Unused))
    }

    /// The names of all tokens of these kinds.
    pub(super) fn names(&self, kinds: &[TokenKind]) -> Names {
        let of_kind = self
            .names
            .iter()
            .filter(|(_, id)| self.kind(**id).is_some_and(|kind| kinds.contains(&kind)));
        Names::new(of_kind.map(|(name, id)| (name.clone(), *id)))
    }

    /// The text bytes of a token as it is shown: nothing for those that are not text.
    pub(super) fn visible(&self, id: TokenId) -> &[u8] {
        match self.get(id) {
            Some(token)
                if !matches!(
                    token.kind,
                    TokenKind::Control | TokenKind::Unused | TokenKind::Unknown
                ) =>
            {
                &token.bytes
            }
            _ => &[],
        }
    }
}

/// Names of tokens, to be found in texts.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By first byte; the longest first.
    by_first: HashMap<u8, Vec<(String, TokenId)>>,
}

/// A stretch of a text: a token's name, or text between such; or, in what is to be encoded, text whose tokens are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Segment<'t> {
    Text(&'t str),
    Token(TokenId),
    Tokens(&'t [TokenId]),
}

impl Names {
    pub(super) fn new(names: impl Iterator<Item = (String, TokenId)>) -> Names {
        let mut by_first: HashMap<u8, Vec<(String, TokenId)>> = HashMap::new();
        for (name, id) in names {
            if let Some(&first) = name.as_bytes().first() {
                by_first.entry(first).or_default().push((name, id));
            }
        }
        for names in by_first.values_mut() {
            names.sort_unstable_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        }
        Names { by_first }
    }

    /// Whether a name stands at the beginning of the text.
    pub(super) fn starts(&self, text: &str) -> bool {
        let first = text.as_bytes().first();
        let names = first.and_then(|first| self.by_first.get(first));
        names.is_some_and(|names| names.iter().any(|(name, _)| text.starts_with(name.as_str())))
    }

    /// All the names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.by_first.values().flatten().map(|(name, _)| name.as_str())
    }

    /// Cuts a text at the names in it: the leftmost first, and of those the longest. Empty stretches are left out.
    pub(super) fn cut<'t>(&self, text: &'t str) -> Vec<Segment<'t>> {
        let mut segments = Vec::new();
        let bytes = text.as_bytes();
        let (mut done, mut at) = (0, 0);
        while !self.by_first.is_empty() && at < bytes.len() {
            let found = self.by_first.get(&bytes[at]).and_then(|names| {
                names
                    .iter()
                    .find(|(name, _)| bytes[at..].starts_with(name.as_bytes()))
            });
            let Some((name, id)) = found else {
                at += 1;
                continue;
            };
            push_text(&mut segments, text.get(done..at));
            segments.push(Segment::Token(*id));
            at += name.len();
            done = at;
        }
        push_text(&mut segments, text.get(done..));
        segments
    }
}

fn push_text<'t>(segments: &mut Vec<Segment<'t>>, text: Option<&'t str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        segments.push(Segment::Text(text));
    }
}
