//! What all formats come to.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::formats::error::FormatError;
use crate::formats::packed::Packed;
use crate::formats::tensor::Tensor;
use crate::formats::values;
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
    /// What a file that was made here says of itself.
    pub(super) packed: Option<Packed>,
}

impl Checkpoint {
    /// Looks at every value of every tensor, which reads all of the files: opening looks at norms and biases whole, and at samples of
    /// the rest.
    ///
    /// # Errors
    ///
    /// The first NaN or infinity, by tensor and place; in quantised tensors, the first block with such a scale. A file with a checksum
    /// that its bytes do not have.
    pub fn check_values(&self) -> Result<(), FormatError> {
        if let Some(packed) = &self.packed {
            packed.check()?;
        }
        let present = self
            .spec
            .roles()
            .into_iter()
            .filter_map(|role| self.tensors.get(&role));
        present.into_iter().try_for_each(values::check_all)
    }

    /// Whether all weights are plain floats.
    pub fn is_exact(&self) -> bool {
        let mut tensors = self.tensors.values();
        !tensors.any(|tensor| tensor.element.is_quantised())
    }

    /// The number of its parameters, of tied tensors once.
    pub fn parameters(&self) -> u64 {
        let roles = self.spec.roles().into_iter();
        let tensors = roles.filter_map(|role| self.tensors.get(&role));
        tensors
            .map(|tensor| tensor.shape.iter().map(|length| *length as u64).product::<u64>())
            .sum()
    }

    /// Which model this is, for caches and logs that outlive a run: a hash over its description, the names, types and shapes of its
    /// tensors, and a few pieces of each, as 64 hexadecimal digits. It reads little, so it tells models apart, not forgeries.
    pub fn fingerprint(&self) -> String {
        const PIECE: usize = 512;
        const PIECES: usize = 4;
        let mut hash = Sha256::new();
        // Every number of the description is in its debugging form, floats to their last digit.
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        add(format!("{:?}", self.spec).as_bytes());
        for role in self.spec.roles() {
            let Some(tensor) = self.tensors.get(&role) else {
                continue;
            };
            let about = (&tensor.name, tensor.element.name(), &tensor.shape);
            add(format!("{role:?} {about:?}").as_bytes());
            let bytes = tensor.bytes();
            for piece in bytes.chunks((bytes.len() / PIECES).max(PIECE)) {
                add(piece.get(..PIECE).unwrap_or(piece));
            }
            add(bytes.last_chunk::<PIECE>().map_or(bytes, |end| end));
            if let Some(scales) = tensor.scales().last_chunk::<PIECE>() {
                add(scales);
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Where a vocabulary comes from.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
