//! The words of a GGUF file: `tokenizer.*`.

use super::metadata::Metadata;
use crate::formats::checkpoint::{GenerationDefaults, GgufVocabulary, TokenizerSource};
use crate::formats::error::FormatError;
use crate::formats::limits::LARGEST_VOCABULARY;
use crate::formats::special_tokens::is_stop;
use crate::model::TokenId;

const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;

/// How many tokens the file names.
pub(super) fn length(metadata: &Metadata<'_>) -> Result<usize, FormatError> {
    Ok(metadata
        .array("tokenizer.ggml.tokens")?
        .map_or(0, |array| array.length))
}

/// The vocabulary for a model of `size` tokens.
pub(super) fn read(metadata: &Metadata<'_>, size: usize) -> Result<TokenizerSource, FormatError> {
    let Some(model) = metadata.string("tokenizer.ggml.model")? else {
        return Ok(TokenizerSource::None);
    };
    let damaged = |reason: String| FormatError::damaged(metadata.path(), reason);
    let tokens = length(metadata)?;
    if tokens == 0 || tokens > size.min(LARGEST_VOCABULARY) {
        return Err(damaged(format!(
            "its vocabulary has {tokens} tokens and its embedding {size} rows"
        )));
    }
    let vocabulary = GgufVocabulary {
        model: model.to_owned(),
        pre: metadata.string("tokenizer.ggml.pre")?.map(str::to_owned),
        tokens: owned(metadata, "tokenizer.ggml.tokens")?,
        scores: metadata.floats("tokenizer.ggml.scores")?,
        token_types: metadata.integers("tokenizer.ggml.token_type")?,
        merges: owned(metadata, "tokenizer.ggml.merges")?,
        bos: id(metadata, "tokenizer.ggml.bos_token_id", tokens)?,
        eos: id(metadata, "tokenizer.ggml.eos_token_id", tokens)?,
        unknown: id(metadata, "tokenizer.ggml.unknown_token_id", tokens)?,
        padding: id(metadata, "tokenizer.ggml.padding_token_id", tokens)?,
        add_bos: metadata.bool("tokenizer.ggml.add_bos_token")?,
        add_space_prefix: metadata.bool("tokenizer.ggml.add_space_prefix")?,
    };
    for (name, length) in [
        ("scores", vocabulary.scores.len()),
        ("token types", vocabulary.token_types.len()),
    ] {
        if length != 0 && length != tokens {
            return Err(damaged(format!("it has {length} {name} for {tokens} tokens")));
        }
    }
    Ok(TokenizerSource::Gguf(vocabulary))
}

fn owned(metadata: &Metadata<'_>, key: &str) -> Result<Vec<String>, FormatError> {
    metadata
        .strings(key)?
        .map(|text| text.map(str::to_owned))
        .collect()
}

/// A token named by its id. Some writers put -1 or the largest 32-bit number for "none".
fn id(metadata: &Metadata<'_>, key: &str, tokens: usize) -> Result<Option<TokenId>, FormatError> {
    let number = match metadata.count(key) {
        Ok(number) => number,
        Err(_) if metadata.is_negative(key) => None,
        Err(error) => return Err(error),
    };
    match number.map(TokenId::try_from) {
        None | Some(Ok(TokenId::MAX)) => Ok(None),
        Some(Ok(id)) if (id as usize) < tokens => Ok(Some(id)),
        Some(_) => Err(FormatError::damaged(
            metadata.path(),
            format!(
                "{key} is {} and there are {tokens} tokens",
                number.unwrap_or_default()
            ),
        )),
    }
}

/// Where a generation stops: at the tokens that the metadata name, and at control tokens whose names say that they end a turn or text.
pub(super) fn generation(
    metadata: &Metadata<'_>,
    tokenizer: &TokenizerSource,
) -> Result<GenerationDefaults, FormatError> {
    let mut defaults = GenerationDefaults::default();
    let TokenizerSource::Gguf(vocabulary) = tokenizer else {
        return Ok(defaults);
    };
    let tokens = vocabulary.tokens.len();
    let named = vocabulary
        .tokens
        .iter()
        .zip(&vocabulary.token_types)
        .enumerate()
        .filter(|(_, (token, kind))| matches!(**kind, CONTROL | USER_DEFINED) && is_stop(token))
        .filter_map(|(id, _)| TokenId::try_from(id).ok());
    defaults.stop_ids.extend(vocabulary.eos);
    for key in ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"] {
        defaults.stop_ids.extend(id(metadata, key, tokens)?);
    }
    defaults.stop_ids.extend(named);
    defaults.stop_ids.sort_unstable();
    defaults.stop_ids.dedup();
    Ok(defaults)
}
