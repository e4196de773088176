//! Models whose weights were put into another format once, in one file: what `cwm model quantize` makes.
//!
//! The file is a safetensors file, so that any tool can look into it. Tensors have the names that a Hugging Face folder gives them. A
//! matrix of 8-bit floats is `F8_E4M3` `[rows, columns]`; one of 4-bit integers is `U8` `[rows, columns / 2]`, the earlier element in a
//! byte's lower half, 8 added. `NAME.scale` holds its scales, `F32` `[rows]` or `BF16` `[rows, ceil(columns / 128)]`. Embeddings are
//! `BF16`, norms and biases `F32`. The metadata, all texts:
//!
//! | key | text |
//! | --- | --- |
//! | `cwm.version` | `1`: the form of all this |
//! | `cwm.name` | the model's name |
//! | `cwm.weights` | `bf16`, `fp8` or `int4` |
//! | `cwm.model` | the model's description, JSON |
//! | `cwm.words` | vocabulary, chat template, and how it is to be sampled, JSON |
//! | `cwm.sha256` | the SHA-256 of the whole file with zeros in this place |

mod convert;
mod output;
mod read;
mod write;

use serde::{Deserialize, Serialize};

use super::checkpoint::{GenerationDefaults, GgufVocabulary, TokenizerSource};

pub(crate) use convert::{Conversion, Wrong, row_chunks};
pub(super) use read::{Packed, open};
pub use write::{QuantiseError, Quantised, quantise};

/// The form that is written, and the only one that is read.
const VERSION: &str = "1";
/// The name of a tensor's scales, behind its own.
const SCALE: &str = ".scale";

/// Keys of the metadata.
mod key {
    pub(super) const VERSION: &str = "cwm.version";
    pub(super) const NAME: &str = "cwm.name";
    pub(super) const WEIGHTS: &str = "cwm.weights";
    pub(super) const MODEL: &str = "cwm.model";
    pub(super) const WORDS: &str = "cwm.words";
    pub(super) const SHA256: &str = "cwm.sha256";
}

/// What a model has beside its weights.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    vocabulary: Vocabulary,
    chat_template: Option<String>,
    generation: GenerationDefaults,
}

/// A [`TokenizerSource`] as text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Vocabulary {
    HuggingFace {
        tokenizer: String,
        config: Option<String>,
    },
    Gguf(GgufVocabulary),
    Tiktoken(String),
    None,
}

impl Vocabulary {
    /// `None` when a text is not UTF-8.
    fn of(source: &TokenizerSource) -> Option<Vocabulary> {
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).ok();
        Some(match source {
            TokenizerSource::HuggingFace { tokenizer, config } => Vocabulary::HuggingFace {
                tokenizer: text(tokenizer)?,
                config: match config {
                    Some(config) => Some(text(config)?),
                    None => None,
                },
            },
            TokenizerSource::Gguf(vocabulary) => Vocabulary::Gguf(vocabulary.clone()),
            TokenizerSource::Tiktoken(ranks) => Vocabulary::Tiktoken(text(ranks)?),
            TokenizerSource::None => Vocabulary::None,
        })
    }

    fn into_source(self) -> TokenizerSource {
        match self {
            Vocabulary::HuggingFace { tokenizer, config } => TokenizerSource::HuggingFace {
                tokenizer: tokenizer.into_bytes(),
                config: config.map(String::into_bytes),
            },
            Vocabulary::Gguf(vocabulary) => TokenizerSource::Gguf(vocabulary),
            Vocabulary::Tiktoken(ranks) => TokenizerSource::Tiktoken(ranks.into_bytes()),
            Vocabulary::None => TokenizerSource::None,
        }
    }
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
