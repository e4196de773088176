//! The same models computed by `candle`, an implementation that shares no code with ours: what `cwm model verify` compares with.
//!
//! What enters is an opened checkpoint and tokens; what leaves are logits. Its caches grow by copying and it attends to everything, so
//! it serves for the first positions only, and for sliding layers only before their window is full.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use candle_core::quantized::gguf_file;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::{llama, quantized_llama, quantized_qwen2, qwen2};

use crate::formats::Checkpoint;
use crate::model::{Architecture, ModelSpec, RopeScaling, TokenId};

/// Why there is nothing to compare with.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// The other implementation lacks something that the model has.
    #[error("candle's {implementation} cannot run this model: {reason}")]
    Unsupported {
        /// Which of its models.
        implementation: &'static str,
        /// What it lacks.
        reason: String,
    },
    /// More positions than it can compute as the model means them.
    #[error("candle computes only the first {most} positions of this model as it is meant; ask for fewer")]
    TooMany {
        /// How many it can.
        most: usize,
    },
    /// It failed.
    #[error("candle stopped: {0}")]
    Candle(#[from] candle_core::Error),
    /// The file could not be read again.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

enum Implementation {
    QuantisedLlama(Box<quantized_llama::ModelWeights>),
    QuantisedQwen2(Box<quantized_qwen2::ModelWeights>),
    /// The model, its cache, and an empty one.
    Llama(Box<llama::Llama>, Box<llama::Cache>, Box<llama::Cache>),
    Qwen2(Box<qwen2::ModelForCausalLM>),
}

/// A checkpoint as `candle` loads it.
pub struct Oracle {
    implementation: Implementation,
    device: Device,
    vocabulary: usize,
    position: usize,
    most: usize,
}

impl Oracle {
    /// Loads a checkpoint, in 32-bit floats or as it is quantised, on the CPU.
    pub fn load(checkpoint: &Checkpoint) -> Result<Oracle, OracleError> {
        let device = Device::Cpu;
        let spec = &checkpoint.spec;
        let gguf = checkpoint
            .files
            .iter()
            .any(|path| path.extension().is_some_and(|end| end == "gguf"));
        if checkpoint
            .tensors
            .values()
            .any(|tensor| tensor.element.has_scales_apart())
        {
            return Err(OracleError::Unsupported {
                implementation: "llama",
                reason: "it knows no weights with scales apart; compare with what it was made of (--against)"
                    .to_owned(),
            });
        }
        let implementation = if gguf {
            load_gguf(checkpoint, &device)?
        } else {
            load_safetensors(checkpoint, &device)?
        };
        Ok(Oracle {
            implementation,
            device,
            vocabulary: spec.vocabulary,
            position: 0,
            most: spec
                .window()
                .unwrap_or(usize::MAX)
                .min(spec.context)
                .min(POSITIONS),
        })
    }

    /// The name of the implementation that answers.
    pub fn name(&self) -> &'static str {
        match self.implementation {
            Implementation::QuantisedLlama(_) => "quantized_llama",
            Implementation::QuantisedQwen2(_) => "quantized_qwen2",
            Implementation::Llama(..) => "llama",
            Implementation::Qwen2(_) => "qwen2",
        }
    }

    /// The logits after each of `tokens`, which continue those of earlier calls, `[tokens, vocabulary]`.
    pub fn logits(&mut self, tokens: &[TokenId]) -> Result<Vec<Vec<f32>>, OracleError> {
        if self.position + tokens.len() > self.most {
            return Err(OracleError::TooMany { most: self.most });
        }
        tokens.iter().map(|token| self.step(*token)).collect()
    }

    /// The vocabulary's size.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Forgets all positions.
    pub fn clear(&mut self) {
        self.position = 0;
        match &mut self.implementation {
            Implementation::QuantisedLlama(model) => model.clear_kv_cache(),
            Implementation::QuantisedQwen2(model) => model.clear_kv_cache(),
            Implementation::Llama(_, cache, empty) => cache.clone_from(empty),
            Implementation::Qwen2(model) => model.clear_kv_cache(),
        }
    }

    /// Runs tokens without asking for logits of each: what a prompt costs.
    pub fn prefill(&mut self, tokens: &[TokenId]) -> Result<Vec<f32>, OracleError> {
        if self.position + tokens.len() > self.most {
            return Err(OracleError::TooMany { most: self.most });
        }
        let row = self.forward(tokens)?;
        self.position += tokens.len();
        Ok(row)
    }

    fn step(&mut self, token: TokenId) -> Result<Vec<f32>, OracleError> {
        let row = self.forward(&[token])?;
        self.position += 1;
        Ok(row)
    }

    fn forward(&mut self, tokens: &[TokenId]) -> Result<Vec<f32>, OracleError> {
        let input = Tensor::new(tokens, &self.device)?.unsqueeze(0)?;
        let position = self.position;
        let logits = match &mut self.implementation {
            Implementation::QuantisedLlama(model) => model.forward(&input, position),
            Implementation::QuantisedQwen2(model) => model.forward(&input, position),
            Implementation::Llama(model, cache, _) => model.forward(&input, position, cache),
            Implementation::Qwen2(model) => model.forward(&input, position),
        }?;
        let logits = logits.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        let last = logits.len().saturating_sub(self.vocabulary);
        Ok(logits.get(last..).unwrap_or_default().to_vec())
    }
}

/// Its rotary tables are made for so many positions.
const POSITIONS: usize = 4096;

fn load_gguf(checkpoint: &Checkpoint, device: &Device) -> Result<Implementation, OracleError> {
    let implementation = match checkpoint.spec.architecture {
        Architecture::Qwen2 => "quantized_qwen2",
        Architecture::Llama | Architecture::Cwm => "quantized_llama",
    };
    if checkpoint.spec.rope.scaling != RopeScaling::None {
        return Err(OracleError::Unsupported {
            implementation,
            reason: "it does not scale rotary frequencies".to_owned(),
        });
    }
    let [path] = checkpoint.files.as_slice() else {
        return Err(OracleError::Unsupported {
            implementation,
            reason: "it reads a GGUF file in one piece only".to_owned(),
        });
    };
    let read = |source| OracleError::Read {
        path: path.display().to_string(),
        source,
    };
    let mut file = BufReader::new(File::open(path).map_err(read)?);
    let content = gguf_file::Content::read(&mut file)?;
    Ok(match checkpoint.spec.architecture {
        Architecture::Qwen2 => Implementation::QuantisedQwen2(Box::new(
            quantized_qwen2::ModelWeights::from_gguf(content, &mut file, device)?,
        )),
        Architecture::Llama | Architecture::Cwm => Implementation::QuantisedLlama(Box::new(
            quantized_llama::ModelWeights::from_gguf(content, &mut file, device)?,
        )),
    })
}

fn load_safetensors(checkpoint: &Checkpoint, device: &Device) -> Result<Implementation, OracleError> {
    let spec = &checkpoint.spec;
    let weights = VarBuilder::from_tensors(read_tensors(&checkpoint.files, device)?, DType::F32, device);
    if spec.heads * spec.head_dim != spec.hidden {
        return Err(OracleError::Unsupported {
            implementation: if spec.qkv_bias { "qwen2" } else { "llama" },
            reason: format!(
                "its heads have {} / {} elements, not {}",
                spec.hidden, spec.heads, spec.head_dim
            ),
        });
    }
    if spec.architecture == Architecture::Qwen2 {
        let model = qwen2::ModelForCausalLM::new(&qwen2_config(spec)?, weights)?;
        return Ok(Implementation::Qwen2(Box::new(model)));
    }
    let config = llama_config(spec)?;
    let cache = llama::Cache::new(true, DType::F32, &config, device)?;
    Ok(Implementation::Llama(
        Box::new(llama::Llama::load(weights, &config)?),
        Box::new(cache.clone()),
        Box::new(cache),
    ))
}

fn read_tensors(files: &[impl AsRef<Path>], device: &Device) -> Result<HashMap<String, Tensor>, OracleError> {
    let mut tensors = HashMap::new();
    let shards = files
        .iter()
        .map(AsRef::as_ref)
        .filter(|path| path.extension().is_some_and(|end| end == "safetensors"));
    for path in shards {
        for (name, tensor) in candle_core::safetensors::load(path, device)? {
            tensors.insert(name, tensor.to_dtype(DType::F32)?);
        }
    }
    Ok(tensors)
}

fn llama_config(spec: &ModelSpec) -> Result<llama::Config, OracleError> {
    let unsupported = |reason: &str| {
        Err(OracleError::Unsupported {
            implementation: "llama",
            reason: reason.to_owned(),
        })
    };
    if spec.qkv_bias {
        return unsupported("it has no biases");
    }
    let rope_scaling = match &spec.rope.scaling {
        RopeScaling::None => None,
        RopeScaling::Llama3 {
            factor,
            low_frequency_factor,
            high_frequency_factor,
            original_context,
        } => Some(llama::Llama3RopeConfig {
            factor: *factor,
            low_freq_factor: *low_frequency_factor,
            high_freq_factor: *high_frequency_factor,
            original_max_position_embeddings: *original_context,
            rope_type: llama::Llama3RopeType::Llama3,
        }),
        RopeScaling::Linear { .. } | RopeScaling::Factors(_) => {
            return unsupported("it knows no other scaling of rotary frequencies than llama3");
        }
    };
    Ok(llama::Config {
        hidden_size: spec.hidden,
        intermediate_size: spec.intermediate,
        vocab_size: spec.vocabulary,
        num_hidden_layers: spec.layers.len(),
        num_attention_heads: spec.heads,
        num_key_value_heads: spec.kv_heads,
        use_flash_attn: false,
        rms_norm_eps: f64::from(spec.norm_epsilon),
        rope_theta: spec.rope.theta,
        bos_token_id: None,
        eos_token_id: None,
        rope_scaling,
        max_position_embeddings: spec.context.min(POSITIONS),
        tie_word_embeddings: spec.tied_head,
    })
}

fn qwen2_config(spec: &ModelSpec) -> Result<qwen2::Config, OracleError> {
    if spec.rope.scaling != RopeScaling::None {
        return Err(OracleError::Unsupported {
            implementation: "qwen2",
            reason: "it does not scale rotary frequencies".to_owned(),
        });
    }
    Ok(qwen2::Config {
        vocab_size: spec.vocabulary,
        hidden_size: spec.hidden,
        intermediate_size: spec.intermediate,
        num_hidden_layers: spec.layers.len(),
        num_attention_heads: spec.heads,
        num_key_value_heads: spec.kv_heads,
        max_position_embeddings: spec.context.min(POSITIONS),
        sliding_window: spec.context,
        max_window_layers: spec.layers.len(),
        tie_word_embeddings: spec.tied_head,
        rope_theta: f64::from(spec.rope.theta),
        rms_norm_eps: f64::from(spec.norm_epsilon),
        use_sliding_window: false,
        hidden_act: Activation::Silu,
    })
}
