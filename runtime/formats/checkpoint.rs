//! What all formats come to.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::formats::tensor::Tensor;
use crate::model::{ModelSpec, TensorRole, TokenId};

/// A model on disk: its description, its tensors, its words.
#[derive(Debug)]
pub struct Checkpoint {
    /// The file or folder that it was opened from.
    pub path: PathBuf,
    /// The name that its files give it, or else that of the file.
    pub name: String,
    /// The model.
    pub spec: ModelSpec,
    /// Every tensor of `spec.roles()`, each of the shape that `spec.shape` says.
    pub tensors: HashMap<TensorRole, Tensor>,
    /// Its vocabulary.
    pub tokenizer: TokenizerSource,
    /// Its chat template, a Jinja text.
    pub chat_template: Option<String>,
    /// How its makers want it to be sampled and where it stops.
    pub generation: GenerationDefaults,
    /// All files that were read, for messages and hashes.
    pub files: Vec<PathBuf>,
}

/// Where a vocabulary comes from.
#[derive(Debug, Clone)]
pub enum TokenizerSource {
    /// `tokenizer.json`, with `tokenizer_config.json` where there is one.
    HuggingFace {
        /// The text of `tokenizer.json`.
        tokenizer: Vec<u8>,
        /// The text of `tokenizer_config.json`.
        config: Option<Vec<u8>>,
    },
    /// The `tokenizer.ggml.*` metadata of a GGUF file.
    Gguf(GgufVocabulary),
    /// Llama 3's `tokenizer.model`: lines of base64 and rank.
    Tiktoken(Vec<u8>),
    /// None: token ids only.
    None,
}

/// The vocabulary as a GGUF file's metadata has it.
#[derive(Debug, Clone, Default)]
pub struct GgufVocabulary {
    /// `tokenizer.ggml.model`: `gpt2` (byte-level BPE) or `llama` (SentencePiece).
    pub model: String,
    /// `tokenizer.ggml.pre`: how text is split before BPE.
    pub pre: Option<String>,
    /// The tokens, in order of their ids.
    pub tokens: Vec<String>,
    /// SentencePiece's scores.
    pub scores: Vec<f32>,
    /// 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
    pub token_types: Vec<i32>,
    /// BPE's merges, best first, each two tokens with a space between.
    pub merges: Vec<String>,
    /// Begin of text.
    pub bos: Option<TokenId>,
    /// End of text.
    pub eos: Option<TokenId>,
    /// Unknown.
    pub unknown: Option<TokenId>,
    /// Padding.
    pub padding: Option<TokenId>,
    /// Whether the begin of text is put before every text.
    pub add_bos: Option<bool>,
    /// Whether a space is put before every text (SentencePiece).
    pub add_space_prefix: Option<bool>,
}

/// What `generation_config.json` or GGUF metadata say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationDefaults {
    /// Tokens that end a generation.
    pub stop_ids: Vec<TokenId>,
    /// The sampling temperature.
    pub temperature: Option<f32>,
    /// The nucleus's probability.
    pub top_p: Option<f32>,
    /// The most likely tokens that are considered.
    pub top_k: Option<usize>,
    /// By how much tokens that were there before are made less likely.
    pub repetition_penalty: Option<f32>,
}
