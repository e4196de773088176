//! What lies beside the weights: the vocabulary, the chat template and how the makers want the model to be sampled.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::config::{Config, read_file};
use crate::formats::checkpoint::{GenerationDefaults, TokenizerSource};
use crate::formats::error::{FormatError, shown};
use crate::formats::special_tokens::is_stop;
use crate::model::TokenId;

/// The largest vocabulary file; real ones have up to 40 megabytes.
pub(in crate::formats) const LARGEST_VOCABULARY: u64 = 256 << 20;
/// The largest chat template, and the largest tokenizer_config.json.
const LARGEST_TEXT: u64 = 16 << 20;

/// A folder's small files. Those that were read are added to `files`.
pub(in crate::formats) struct Words<'f> {
    folder: &'f Path,
    pub(super) files: Vec<PathBuf>,
}

/// The part of a tokenizer.json that names special tokens.
#[derive(Deserialize)]
struct AddedTokens {
    #[serde(default)]
    added_tokens: Vec<SpecialToken>,
}

/// A special token.
#[derive(Deserialize)]
pub(super) struct SpecialToken {
    id: TokenId,
    pub(super) content: String,
}

impl<'f> Words<'f> {
    pub(in crate::formats) fn new(folder: &'f Path) -> Words<'f> {
        Words {
            folder,
            files: Vec::new(),
        }
    }

    /// A file's bytes, when it is there.
    fn optional(&mut self, name: &str, largest: u64) -> Result<Option<(PathBuf, Vec<u8>)>, FormatError> {
        let path = self.folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = read_file(&path, largest)?;
        self.files.push(path.clone());
        Ok(Some((path, bytes)))
    }

    /// The vocabulary: tokenizer.json, or else Llama 3's tokenizer.model.
    pub(in crate::formats) fn tokenizer(&mut self) -> Result<TokenizerSource, FormatError> {
        if let Some((_, tokenizer)) = self.optional("tokenizer.json", LARGEST_VOCABULARY)? {
            let config = self.optional("tokenizer_config.json", LARGEST_TEXT)?;
            return Ok(TokenizerSource::HuggingFace {
                tokenizer,
                config: config.map(|(_, bytes)| bytes),
            });
        }
        match self.optional("tokenizer.model", LARGEST_VOCABULARY)? {
            None => Ok(TokenizerSource::None),
            Some((_, ranks)) if is_tiktoken(&ranks) => Ok(TokenizerSource::Tiktoken(ranks)),
            Some((path, _)) => Err(FormatError::unsupported(
                &path,
                "it is a SentencePiece model; put the model's tokenizer.json beside it, which transformers writes with \
                 AutoTokenizer.from_pretrained(…).save_pretrained(…)",
            )),
        }
    }

    /// The special tokens that tokenizer.json names.
    pub(super) fn special(&self, tokenizer: &TokenizerSource) -> Result<Vec<SpecialToken>, FormatError> {
        let TokenizerSource::HuggingFace { tokenizer, .. } = tokenizer else {
            return Ok(Vec::new());
        };
        let path = self.folder.join("tokenizer.json");
        let added: AddedTokens = serde_json::from_slice(tokenizer)
            .map_err(|error| FormatError::damaged(&path, format!("it is not a tokenizer: {error}")))?;
        Ok(added.added_tokens)
    }

    /// The chat template: a file of its own, or a part of tokenizer_config.json, where several may be named.
    pub(super) fn chat_template(&mut self) -> Result<Option<String>, FormatError> {
        if let Some((path, text)) = self.optional("chat_template.jinja", LARGEST_TEXT)? {
            let text = String::from_utf8(text).map_err(|_| FormatError::damaged(&path, "it is not UTF-8"))?;
            return Ok(Some(text));
        }
        let path = self.folder.join("tokenizer_config.json");
        if !path.exists() {
            return Ok(None);
        }
        let config = Config::parse(&path, &read_file(&path, LARGEST_TEXT)?)?;
        match config.value("chat_template") {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Array(templates)) => Ok(default_template(templates)),
            Some(_) => Err(config.wrong("chat_template", "a string or a list of named templates")),
        }
    }

    /// How the makers want it sampled, for a model of `vocabulary` tokens.
    pub(super) fn generation(
        &mut self,
        config: &Config,
        special: &[SpecialToken],
        vocabulary: usize,
    ) -> Result<GenerationDefaults, FormatError> {
        let own = match self.optional("generation_config.json", LARGEST_TEXT)? {
            Some((path, text)) => Some(Config::parse(&path, &text)?),
            None => None,
        };
        let mut defaults = GenerationDefaults::default();
        if let Some(own) = &own {
            defaults.temperature = own.within("temperature", 0.0, f32::MAX)?;
            defaults.top_p = own.within("top_p", 0.0, 1.0)?;
            // Below zero, as zero, says that there is no such limit.
            defaults.top_k = match own.value("top_k").and_then(Value::as_i64) {
                Some(number) if number < 0 => None,
                _ => own.count("top_k")?.filter(|number| *number > 0),
            };
            defaults.repetition_penalty = own.within("repetition_penalty", 0.0, f32::MAX)?;
        }
        for config in own.iter().chain([config]) {
            defaults.stop_ids.extend(stop_ids(config)?);
            if !defaults.stop_ids.is_empty() {
                break;
            }
        }
        let named = special.iter().filter(|token| is_stop(&token.content));
        defaults.stop_ids.extend(named.map(|token| token.id));
        // Configurations of small models keep the ids of their large family, which can never be sampled.
        defaults.stop_ids.retain(|id| (*id as usize) < vocabulary);
        defaults.stop_ids.sort_unstable();
        defaults.stop_ids.dedup();
        Ok(defaults)
    }
}

/// `eos_token_id`: one id or a list.
fn stop_ids(config: &Config) -> Result<Vec<TokenId>, FormatError> {
    let id = |value: &Value| value.as_u64().and_then(|id| TokenId::try_from(id).ok());
    let ids = match config.value("eos_token_id") {
        None => Some(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(id).collect(),
        Some(value) => id(value).map(|id| vec![id]),
    };
    ids.ok_or_else(|| config.wrong("eos_token_id", "a token id or a list of them"))
}

fn default_template(templates: &[Value]) -> Option<String> {
    let text = |template: &Value| template.get("template")?.as_str().map(str::to_owned);
    let named = |template: &&Value| template.get("name").and_then(Value::as_str) == Some("default");
    match (templates.iter().find(named), templates) {
        (Some(template), _) => text(template),
        (None, [only]) => text(only),
        (None, _) => None,
    }
}

/// Whether a file is lines of base64 and rank, judged by its first.
pub(in crate::formats) fn is_tiktoken(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some((token, rank)) = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.trim_end().split_once(' '))
    else {
        return false;
    };
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    !token.is_empty() && token.bytes().all(is_base64) && rank.parse::<TokenId>().is_ok()
}

impl Config {
    /// A number between two others.
    fn within(&self, key: &str, least: f32, most: f32) -> Result<Option<f32>, FormatError> {
        match self.float(key)? {
            Some(number) if !(least..=most).contains(&number) => Err(FormatError::damaged(
                self.path(),
                format!("{} is {number}; {least} to {most} are possible", shown(key)),
            )),
            number => Ok(number),
        }
    }
}
