//! `tokenizer.json`, run by the `tokenizers` crate; its tokens' bytes are read here, so that decoding is the same for all formats.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::TextError;
use super::bytes::{Alphabet, byte_token, piece_bytes};
use super::error::{named, quoted};
use super::split::check_runs;
use super::vocabulary::{Segment, Token, TokenKind, Vocabulary};
use crate::model::TokenId;

/// Ids that have no token may be so many more than those that have one.
const MOST_HOLES: u64 = 1 << 20;

/// Encodes as `tokenizer.json` says.
pub(super) struct HuggingFace {
    tokenizer: tokenizers::Tokenizer,
    /// The same for a text that does not begin the prompt, where that makes a difference.
    later: Option<tokenizers::Tokenizer>,
    /// Special tokens that swallow white space before or behind them.
    strips: HashMap<TokenId, Strip>,
}

#[derive(Debug, Clone, Copy)]
struct Strip {
    before: bool,
    behind: bool,
}

/// What `tokenizer_config.json` and the file itself say about the begin and end of text.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) begin: Option<TokenId>,
    pub(super) adds_begin: bool,
    pub(super) end: Option<TokenId>,
}

/// The parts of the file that are looked at here.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    added_tokens: Vec<AddedOutline>,
    model: ModelOutline,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    decoder: Value,
}

#[derive(Deserialize)]
struct AddedOutline {
    id: u64,
    content: String,
    #[serde(default)]
    special: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
}

#[derive(Deserialize)]
struct ModelOutline {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: VocabularyOutline,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    unk_id: Option<u64>,
    #[serde(default)]
    merges: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum VocabularyOutline {
    ById(HashMap<String, u64>),
    Scored(Vec<(String, f64)>),
}

impl HuggingFace {
    /// Reads `tokenizer.json` and, where there is one, `tokenizer_config.json`.
    pub(super) fn read(
        file: &[u8],
        config: Option<&[u8]>,
    ) -> Result<(HuggingFace, Vocabulary, Ends), TextError> {
        let outline: Outline = parse("tokenizer.json", file)?;
        let vocabulary = vocabulary(&outline)?;
        let tokenizer = load(file)?;
        let later = if prepends_at_first(&outline.pre_tokenizer) {
            Some(load(&never_prepending(file)?)?)
        } else {
            None
        };
        let strips = outline
            .added_tokens
            .iter()
            .filter(|token| token.lstrip || token.rstrip)
            .filter_map(|token| {
                Some((
                    TokenId::try_from(token.id).ok()?,
                    Strip {
                        before: token.lstrip,
                        behind: token.rstrip,
                    },
                ))
            })
            .collect();
        let config: Value =
            config.map_or(Ok(Value::Null), |config| parse("tokenizer_config.json", config))?;
        let ends = ends(&tokenizer, &vocabulary, &config);
        Ok((
            HuggingFace {
                tokenizer,
                later,
                strips,
            },
            vocabulary,
            ends,
        ))
    }

    /// Appends a text's tokens; `first` says that it begins the prompt.
    pub(super) fn encode(
        &self,
        text: &str,
        first: bool,
        vocabulary: &Vocabulary,
        out: &mut Vec<TokenId>,
    ) -> Result<(), TextError> {
        check_runs(text)?;
        let tokenizer = self.later.as_ref().filter(|_| !first).unwrap_or(&self.tokenizer);
        // Patterns come from the file, and Oniguruma's wrapper panics when one takes too many steps.
        let encoding = catch_unwind(AssertUnwindSafe(|| tokenizer.encode_fast(text, false)))
            .map_err(|_| {
                TextError::Encode(
                    "the pattern by which tokenizer.json splits text takes too many steps on it".to_owned(),
                )
            })?
            .map_err(|error| TextError::Encode(error.to_string()))?;
        for &id in encoding.get_ids() {
            if vocabulary.is_special(id) {
                spell(tokenizer, vocabulary, id, out)?;
            } else {
                out.push(id);
            }
        }
        Ok(())
    }

    /// Takes the white space from a text that the special tokens beside it swallow.
    pub(super) fn strip<'t>(
        &self,
        text: &'t str,
        before: Option<&Segment<'_>>,
        behind: Option<&Segment<'_>>,
    ) -> &'t str {
        let strip = |segment: Option<&Segment<'_>>| match segment {
            Some(Segment::Token(id)) => self.strips.get(id),
            _ => None,
        };
        let text = if strip(before).is_some_and(|strip| strip.behind) {
            text.trim_start()
        } else {
            text
        };
        if strip(behind).is_some_and(|strip| strip.before) {
            text.trim_end()
        } else {
            text
        }
    }
}

/// Encodes the text of a special token character by character, so that it cannot become that token.
fn spell(
    tokenizer: &tokenizers::Tokenizer,
    vocabulary: &Vocabulary,
    special: TokenId,
    out: &mut Vec<TokenId>,
) -> Result<(), TextError> {
    use tokenizers::Model as _;
    let text = vocabulary
        .get(special)
        .map(|token| String::from_utf8_lossy(&token.bytes).into_owned())
        .unwrap_or_default();
    for character in text.chars() {
        let tokens = tokenizer.get_model().tokenize(character.encode_utf8(&mut [0; 4]));
        let tokens = tokens.map_err(|error| TextError::Encode(error.to_string()))?;
        out.extend(
            tokens
                .iter()
                .map(|token| token.id)
                .filter(|&id| !vocabulary.is_special(id)),
        );
    }
    Ok(())
}

fn parse<'f, T: Deserialize<'f>>(name: &'static str, file: &'f [u8]) -> Result<T, TextError> {
    serde_json::from_slice(file).map_err(|error| TextError::File {
        file: name,
        message: error.to_string(),
    })
}

fn load(file: &[u8]) -> Result<tokenizers::Tokenizer, TextError> {
    let fail = |message: String| TextError::File {
        file: "tokenizer.json",
        message,
    };
    let mut tokenizer = catch_unwind(|| tokenizers::Tokenizer::from_bytes(file))
        .map_err(|_| fail("its parts contradict each other".to_owned()))?
        .map_err(|error| fail(error.to_string()))?;
    // A file may ask for texts to be cut or filled up, as those who train want it; prompts must stay whole.
    tokenizer
        .with_truncation(None)
        .map_err(|error| fail(error.to_string()))?;
    tokenizer.with_padding(None);
    tokenizer.set_encode_special_tokens(true);
    Ok(tokenizer)
}

/// All tokens with their bytes and kinds.
fn vocabulary(outline: &Outline) -> Result<Vocabulary, TextError> {
    let kind = outline
        .model
        .kind
        .as_deref()
        .unwrap_or(if outline.model.merges.is_some() {
            "BPE"
        } else {
            "Unigram"
        });
    if !matches!(kind, "BPE" | "Unigram") {
        return Err(TextError::UnknownModel(kind.chars().take(60).collect()));
    }
    let texts = texts_by_id(outline)?;
    let highest = texts
        .iter()
        .map(|(_, id)| *id)
        .chain(outline.added_tokens.iter().map(|token| token.id))
        .max();
    let size = highest.map_or(0, |highest| highest.saturating_add(1));
    let count = (texts.len() + outline.added_tokens.len()) as u64;
    let size = usize::try_from(size)
        .ok()
        .filter(|_| size <= count + MOST_HOLES)
        .ok_or_else(|| {
            TextError::damaged(format!(
                "it has {count} tokens, but their ids go up to {}",
                size.saturating_sub(1)
            ))
        })?;
    let mut tokens = vec![
        Token {
            bytes: Box::default(),
            kind: TokenKind::Unused
        };
        size
    ];
    let byte_level = mentions(&outline.decoder, "ByteLevel") || mentions(&outline.pre_tokenizer, "ByteLevel");
    let alphabet = Alphabet::new();
    for (text, id) in texts {
        let byte = byte_token(text).filter(|_| !byte_level);
        let (bytes, kind) = match byte {
            Some(byte) => (vec![byte], TokenKind::Byte),
            None if byte_level => (alphabet.bytes_of(text), TokenKind::Normal),
            None => (piece_bytes(text), TokenKind::Normal),
        };
        let Some(token) = usize::try_from(id).ok().and_then(|id| tokens.get_mut(id)) else {
            continue;
        };
        if token.kind != TokenKind::Unused {
            return Err(TextError::damaged(format!(
                "{} has the id {id}, which another token has already",
                quoted(text)
            )));
        }
        if Some(text) == outline.model.unk_token.as_deref() || Some(id) == outline.model.unk_id {
            *token = Token {
                bytes: text.as_bytes().into(),
                kind: TokenKind::Unknown,
            };
        } else {
            *token = Token {
                bytes: bytes.into_boxed_slice(),
                kind,
            };
        }
    }
    for added in &outline.added_tokens {
        let Some(token) = usize::try_from(added.id).ok().and_then(|id| tokens.get_mut(id)) else {
            continue;
        };
        let kind = if added.special {
            TokenKind::Control
        } else {
            TokenKind::UserDefined
        };
        *token = Token {
            bytes: added.content.as_bytes().into(),
            kind,
        };
    }
    Vocabulary::new(tokens, removes_first_space(&outline.decoder))
}

/// The model's tokens and their ids.
fn texts_by_id(outline: &Outline) -> Result<Vec<(&str, u64)>, TextError> {
    let texts: Vec<(&str, u64)> = match &outline.model.vocab {
        VocabularyOutline::ById(tokens) => tokens.iter().map(|(text, id)| (text.as_str(), *id)).collect(),
        VocabularyOutline::Scored(tokens) => (0..)
            .zip(tokens)
            .map(|(id, (text, _))| (text.as_str(), id))
            .collect(),
    };
    if let VocabularyOutline::Scored(tokens) = &outline.model.vocab
        && let Some((id, (text, _))) = (0..).zip(tokens).find(|(_, (_, score))| !score.is_finite())
    {
        return Err(TextError::damaged(format!(
            "{} has a score that is no number",
            named(id, text)
        )));
    }
    Ok(texts)
}

/// Whether a part of the file, or a part of that part, is of this type.
fn mentions(part: &Value, kind: &str) -> bool {
    any_part(part, &|part| {
        part.get("type").and_then(Value::as_str) == Some(kind)
    })
}

fn any_part(part: &Value, holds: &dyn Fn(&Value) -> bool) -> bool {
    match part {
        Value::Object(fields) => holds(part) || fields.values().any(|field| any_part(field, holds)),
        Value::Array(parts) => parts.iter().any(|part| any_part(part, holds)),
        _ => false,
    }
}

/// Whether decoding takes away the space that a text begins with.
fn removes_first_space(decoder: &Value) -> bool {
    any_part(decoder, &|part| match part.get("type").and_then(Value::as_str) {
        Some("Strip") => {
            part.get("content").and_then(Value::as_str) == Some(" ")
                && part.get("start").and_then(Value::as_u64) >= Some(1)
        }
        Some("Metaspace") => {
            let scheme = part.get("prepend_scheme").and_then(Value::as_str);
            scheme.map_or(
                part.get("add_prefix_space") != Some(&Value::Bool(false)),
                |scheme| scheme != "never",
            )
        }
        _ => false,
    })
}

/// Whether a space is put before the beginning of a prompt, but not before texts behind special tokens.
fn prepends_at_first(pre_tokenizer: &Value) -> bool {
    any_part(pre_tokenizer, &|part| {
        part.get("prepend_scheme").and_then(Value::as_str) == Some("first")
    })
}

/// The file, with no space put before any text.
fn never_prepending(file: &[u8]) -> Result<Vec<u8>, TextError> {
    fn change(part: &mut Value) {
        match part {
            Value::Object(fields) => {
                if fields.get("prepend_scheme").and_then(Value::as_str) == Some("first") {
                    fields.insert("prepend_scheme".to_owned(), Value::from("never"));
                }
                fields.values_mut().for_each(change);
            }
            Value::Array(parts) => parts.iter_mut().for_each(change),
            _ => {}
        }
    }
    let mut whole: Value = parse("tokenizer.json", file)?;
    if let Some(part) = whole.get_mut("pre_tokenizer") {
        change(part);
    }
    serde_json::to_vec(&whole).map_err(|error| TextError::File {
        file: "tokenizer.json",
        message: error.to_string(),
    })
}

/// The begin and end of text: as the configuration says, or else as the file adds them to an empty text.
fn ends(tokenizer: &tokenizers::Tokenizer, vocabulary: &Vocabulary, config: &Value) -> Ends {
    let named = |field: &str| {
        let field = config.get(field)?;
        let name = field.as_str().or_else(|| field.get("content")?.as_str())?;
        vocabulary.named(name)
    };
    let empty = catch_unwind(AssertUnwindSafe(|| tokenizer.encode_fast("", true)))
        .ok()
        .and_then(Result::ok);
    let added = empty.and_then(|encoding| encoding.get_ids().first().copied());
    let known = |names: [&str; 2]| names.iter().find_map(|name| vocabulary.named(name));
    let begin = named("bos_token").or_else(|| known(["<|begin_of_text|>", "<s>"]));
    let adds_begin = match config.get("add_bos_token").and_then(Value::as_bool) {
        Some(adds) => adds && begin.is_some(),
        None => begin.is_some() && added == begin,
    };
    Ends {
        begin,
        adds_begin,
        end: named("eos_token").or_else(|| known(["<|end_of_text|>", "</s>"])),
    }
}
