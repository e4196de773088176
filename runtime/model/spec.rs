//! The description of a model that the formats produce and the back ends run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A position in a vocabulary.
pub type TokenId = u32;

/// The family whose files a model came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// The Code World Model: Llama's blocks, some with a sliding window.
    Cwm,
    /// Llama 2 and 3 and what shares their form.
    Llama,
    /// Qwen 2 and 2.5: biases on queries, keys and values.
    Qwen2,
}

/// What a layer's queries see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Every earlier position and their own.
    Full,
    /// Their own position and the `window - 1` before it: position i sees j when `i - j < window`.
    Window(usize),
}

/// One transformer block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct LayerSpec {
    /// What its queries see.
    pub attention: Attention,
}

/// Which elements of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeLayout {
    /// Element i with element i + head_dim / 2 (`rotate_half`).
    HalfSplit,
    /// Element 2i with element 2i + 1: GGUF files of the llama family, whose query and key rows are permuted to suit.
    Interleaved,
}

/// How the inverse frequencies differ from `theta^(-2i / head_dim)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All are divided by `factor`.
    Linear {
        /// The divisor.
        factor: f32,
    },
    /// Long wavelengths are stretched, short ones kept, those between blended (Llama 3.1).
    Llama3 {
        /// By how much long wavelengths are stretched.
        factor: f32,
        /// Wavelengths above `original_context / low_frequency_factor` are long.
        low_frequency_factor: f32,
        /// Wavelengths below `original_context / high_frequency_factor` are short.
        high_frequency_factor: f32,
        /// The context that the model was first trained with, in tokens.
        original_context: usize,
    },
    /// Each is divided by its own factor, `[head_dim / 2]` (the tensor `rope_freqs` of GGUF files).
    Factors(Vec<f32>),
}

/// Rotary position embedding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Rope {
    /// The base of the frequencies.
    pub theta: f32,
    /// Which elements are rotated together.
    pub layout: RopeLayout,
    /// How frequencies are scaled.
    pub scaling: RopeScaling,
}

impl Rope {
    /// The inverse frequencies, `[head_dim / 2]`, in radians a position.
    pub fn inverse_frequencies(&self, head_dim: usize) -> Vec<f32> {
        let plain =
            (0..head_dim / 2).map(|i| 1.0 / f64::from(self.theta).powf(2.0 * i as f64 / head_dim as f64));
        plain
            .enumerate()
            .map(|(i, frequency)| self.scale(i, frequency) as f32)
            .collect()
    }

    fn scale(&self, index: usize, frequency: f64) -> f64 {
        match &self.scaling {
            RopeScaling::None => frequency,
            RopeScaling::Linear { factor } => frequency / f64::from(*factor),
            RopeScaling::Llama3 {
                factor,
                low_frequency_factor,
                high_frequency_factor,
                original_context,
            } => {
                let (factor, low, high) = (
                    f64::from(*factor),
                    f64::from(*low_frequency_factor),
                    f64::from(*high_frequency_factor),
                );
                let wavelength = std::f64::consts::TAU / frequency;
                let original = *original_context as f64;
                if wavelength > original / low {
                    frequency / factor
                } else if wavelength < original / high {
                    frequency
                } else {
                    let smooth = (original / wavelength - low) / (high - low);
                    frequency * ((1.0 - smooth) / factor + smooth)
                }
            }
            RopeScaling::Factors(factors) => {
                frequency / f64::from(factors.get(index).copied().unwrap_or(1.0))
            }
        }
    }
}

/// A model: everything about it but its weights and its words. Values are checked where they enter (the formats): every number is
/// positive, `heads` is a multiple of `kv_heads`, `head_dim` is even.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct ModelSpec {
    /// The family.
    pub architecture: Architecture,
    /// The blocks, first to last.
    pub layers: Vec<LayerSpec>,
    /// The width of the residual stream.
    pub hidden: usize,
    /// The width of the gated feed-forward layer.
    pub intermediate: usize,
    /// How many tokens there are.
    pub vocabulary: usize,
    /// The most positions that a sequence may have.
    pub context: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements a head.
    pub head_dim: usize,
    /// What is added to the mean square in RMSNorm.
    pub norm_epsilon: f32,
    /// Rotary positions, the same in all layers.
    pub rope: Rope,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether the output projection is the embedding.
    pub tied_head: bool,
}

impl ModelSpec {
    /// How many times each key and value head is used.
    pub fn group_size(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// What scores are multiplied by: `1 / sqrt(head_dim)`.
    pub fn attention_scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// The widest window of its layers; `None` when all attend to everything.
    pub fn window(&self) -> Option<usize> {
        let windows = self.layers.iter().filter_map(|layer| match layer.attention {
            Attention::Full => None,
            Attention::Window(window) => Some(window),
        });
        windows.max()
    }

    /// The shape of a tensor, outermost dimension first: `[rows, columns]` for a matrix that maps columns to rows.
    pub fn shape(&self, role: TensorRole) -> Vec<usize> {
        let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        match role {
            TensorRole::Embedding | TensorRole::Output => vec![self.vocabulary, self.hidden],
            TensorRole::OutputNorm => vec![self.hidden],
            TensorRole::Layer(_, tensor) => match tensor {
                LayerTensor::AttentionNorm | LayerTensor::FeedForwardNorm => vec![self.hidden],
                LayerTensor::Query => vec![queries, self.hidden],
                LayerTensor::Key | LayerTensor::Value => vec![keys, self.hidden],
                LayerTensor::QueryBias => vec![queries],
                LayerTensor::KeyBias | LayerTensor::ValueBias => vec![keys],
                LayerTensor::AttentionOutput => vec![self.hidden, queries],
                LayerTensor::Gate | LayerTensor::Up => vec![self.intermediate, self.hidden],
                LayerTensor::Down => vec![self.hidden, self.intermediate],
            },
        }
    }

    /// Every tensor that the model has.
    pub fn roles(&self) -> Vec<TensorRole> {
        let mut roles = vec![TensorRole::Embedding];
        for layer in 0..self.layers.len() {
            let tensors = LayerTensor::ALL
                .into_iter()
                .filter(|tensor| self.qkv_bias || !tensor.is_bias());
            roles.extend(tensors.map(|tensor| TensorRole::Layer(layer, tensor)));
        }
        roles.push(TensorRole::OutputNorm);
        if !self.tied_head {
            roles.push(TensorRole::Output);
        }
        roles
    }
}

/// What a tensor is for, whatever its file calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TensorRole {
    /// Token embeddings.
    Embedding,
    /// The norm before the output projection.
    OutputNorm,
    /// The output projection, when it is not the embedding.
    Output,
    /// A tensor of the layer with that index.
    Layer(usize, LayerTensor),
}

/// A tensor of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerTensor {
    /// The norm before attention.
    AttentionNorm,
    /// The query projection.
    Query,
    /// Its bias.
    QueryBias,
    /// The key projection.
    Key,
    /// Its bias.
    KeyBias,
    /// The value projection.
    Value,
    /// Its bias.
    ValueBias,
    /// The projection of the attended values.
    AttentionOutput,
    /// The norm before the feed-forward layer.
    FeedForwardNorm,
    /// The gate of the feed-forward layer.
    Gate,
    /// What is gated.
    Up,
    /// Back to the residual stream.
    Down,
}

impl LayerTensor {
    /// All of them, in the order in which a layer uses them.
    pub const ALL: [LayerTensor; 12] = [
        LayerTensor::AttentionNorm,
        LayerTensor::Query,
        LayerTensor::QueryBias,
        LayerTensor::Key,
        LayerTensor::KeyBias,
        LayerTensor::Value,
        LayerTensor::ValueBias,
        LayerTensor::AttentionOutput,
        LayerTensor::FeedForwardNorm,
        LayerTensor::Gate,
        LayerTensor::Up,
        LayerTensor::Down,
    ];

    /// Whether it is a bias.
    pub fn is_bias(self) -> bool {
        matches!(
            self,
            LayerTensor::QueryBias | LayerTensor::KeyBias | LayerTensor::ValueBias
        )
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Architecture::Cwm => "cwm",
            Architecture::Llama => "llama",
            Architecture::Qwen2 => "qwen2",
        })
    }
}
