//! From a GGUF file's metadata to the description of a model.

use std::collections::HashMap;

use cwm_kernels::ElementType;
use half::{bf16, f16};

use super::metadata::Metadata;
use crate::formats::error::{FormatError, shown};
use crate::formats::layer_types::LayerTypes;
use crate::formats::limits::MOST_LAYERS;
use crate::formats::special_tokens::trace_token;
use crate::formats::tensor::Tensor;
use crate::model::{
    Architecture, Attention, LayerSpec, LayerTensor, ModelSpec, Rope, RopeLayout, RopeScaling, TensorRole,
};

/// The tensor of rotary factors that converters write for Llama 3.1's scaling.
const ROPE_FACTORS: &str = "rope_freqs.weight";

/// What a file calls a tensor.
pub(super) fn tensor_name(role: TensorRole) -> String {
    match role {
        TensorRole::Embedding => "token_embd.weight".to_owned(),
        TensorRole::OutputNorm => "output_norm.weight".to_owned(),
        TensorRole::Output => "output.weight".to_owned(),
        TensorRole::Layer(layer, tensor) => {
            let name = match tensor {
                LayerTensor::AttentionNorm => "attn_norm.weight",
                LayerTensor::Query => "attn_q.weight",
                LayerTensor::QueryBias => "attn_q.bias",
                LayerTensor::Key => "attn_k.weight",
                LayerTensor::KeyBias => "attn_k.bias",
                LayerTensor::Value => "attn_v.weight",
                LayerTensor::ValueBias => "attn_v.bias",
                LayerTensor::AttentionOutput => "attn_output.weight",
                LayerTensor::FeedForwardNorm => "ffn_norm.weight",
                LayerTensor::Gate => "ffn_gate.weight",
                LayerTensor::Up => "ffn_up.weight",
                LayerTensor::Down => "ffn_down.weight",
            };
            format!("blk.{layer}.{name}")
        }
    }
}

/// Tensors that are read into the description, not given a role.
pub(super) fn is_description(name: &str) -> bool {
    name == ROPE_FACTORS
}

/// The keys of one family.
struct Keys<'m, 'a> {
    metadata: &'m Metadata<'a>,
    family: &'a str,
}

impl Keys<'_, '_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.family)
    }

    fn required(&self, name: &str) -> Result<usize, FormatError> {
        self.metadata.required(&self.key(name))
    }

    fn count(&self, name: &str) -> Result<Option<usize>, FormatError> {
        self.metadata.count(&self.key(name))
    }

    fn float(&self, name: &str) -> Result<Option<f32>, FormatError> {
        self.metadata.float(&self.key(name))
    }

    fn unsupported(&self, reason: String) -> FormatError {
        FormatError::unsupported(self.metadata.path(), reason)
    }
}

/// Describes the model. `layer_types` are those that the user or a config.json beside the file gave.
pub(super) fn read(
    metadata: &Metadata<'_>,
    tensors: &HashMap<String, Tensor>,
    layer_types: Option<&LayerTypes>,
) -> Result<ModelSpec, FormatError> {
    let family = family(metadata)?;
    let keys = Keys { metadata, family };
    let architecture = match family {
        "llama" if layer_types.is_some() => Architecture::Cwm,
        "llama" => Architecture::Llama,
        "qwen2" => Architecture::Qwen2,
        "cwm" => Architecture::Cwm,
        other => {
            return Err(keys.unsupported(format!(
                "its architecture is {}; llama, qwen2 and cwm can be run",
                shown(other)
            )));
        }
    };
    let layers = keys.required("block_count")?;
    if layers > MOST_LAYERS {
        return Err(keys.unsupported(format!("it has {layers} layers; {MOST_LAYERS} are possible")));
    }
    let (hidden, heads) = (
        keys.required("embedding_length")?,
        keys.required("attention.head_count")?,
    );
    let head_dim = head_dim(&keys, hidden, heads)?;
    if keys.count("expert_count")?.unwrap_or(0) > 0 {
        return Err(keys.unsupported("it is a mixture of experts".to_owned()));
    }
    Ok(ModelSpec {
        architecture,
        layers: attention(&keys, layers, layer_types)?
            .into_iter()
            .map(|attention| LayerSpec { attention })
            .collect(),
        hidden,
        intermediate: keys.required("feed_forward_length")?,
        vocabulary: vocabulary_size(&keys, tensors)?,
        context: keys.required("context_length")?,
        heads,
        kv_heads: keys.count("attention.head_count_kv")?.unwrap_or(heads),
        head_dim,
        norm_epsilon: keys
            .float("attention.layer_norm_rms_epsilon")?
            .ok_or_else(|| metadata.missing(&keys.key("attention.layer_norm_rms_epsilon")))?,
        rope: rope(&keys, tensors, head_dim, layer_types)?,
        qkv_bias: architecture == Architecture::Qwen2
            || tensors.contains_key(&tensor_name(TensorRole::Layer(0, LayerTensor::QueryBias))),
        tied_head: !tensors.contains_key(&tensor_name(TensorRole::Output)),
    })
}

fn family<'a>(metadata: &Metadata<'a>) -> Result<&'a str, FormatError> {
    metadata
        .string("general.architecture")?
        .ok_or_else(|| metadata.missing("general.architecture"))
}

/// How a file that calls itself a plain llama gives itself away as the Code World Model; `None` when it is what it says.
pub(super) fn disguise(metadata: &Metadata<'_>) -> Result<Option<String>, FormatError> {
    let family = family(metadata)?;
    if family != "llama" {
        return Ok(None);
    }
    for token in metadata.strings("tokenizer.ggml.tokens")? {
        if let Some(why) = trace_token(token?) {
            return Ok(Some(why));
        }
    }
    let keys = Keys { metadata, family };
    let shape = [
        ("block_count", 64),
        ("embedding_length", 6144),
        ("feed_forward_length", 21504),
        ("attention.head_count", 48),
        ("attention.head_count_kv", 8),
    ];
    for (name, number) in shape {
        if keys.count(name)? != Some(number) {
            return Ok(None);
        }
    }
    Ok(Some(
        "its shape is 64 layers, hidden size 6144, intermediate size 21504, 48 heads, 8 key and value heads"
            .to_owned(),
    ))
}

fn head_dim(keys: &Keys<'_, '_>, hidden: usize, heads: usize) -> Result<usize, FormatError> {
    let head_dim = match keys.count("attention.key_length")? {
        Some(length) => length,
        None if heads > 0 && hidden.is_multiple_of(heads) => hidden / heads,
        None => {
            return Err(keys.unsupported(format!(
                "its hidden size {hidden} is not a multiple of its {heads} heads, and it names no head size"
            )));
        }
    };
    for name in ["attention.value_length", "rope.dimension_count"] {
        if let Some(other) = keys.count(name)?
            && other != head_dim
        {
            return Err(keys.unsupported(format!(
                "its heads have {head_dim} elements and {} is {other}",
                keys.key(name)
            )));
        }
    }
    Ok(head_dim)
}

/// The embedding's rows, which every other count must agree with.
fn vocabulary_size(keys: &Keys<'_, '_>, tensors: &HashMap<String, Tensor>) -> Result<usize, FormatError> {
    let name = tensor_name(TensorRole::Embedding);
    let embedding = tensors
        .get(&name)
        .ok_or_else(|| FormatError::tensor(keys.metadata.path(), &name, "it is missing"))?;
    let rows = embedding.rows();
    match keys.count("vocab_size")? {
        Some(size) if size != rows => Err(FormatError::tensor(
            keys.metadata.path(),
            &name,
            format!("it has {rows} rows and {} is {size}", keys.key("vocab_size")),
        )),
        _ => Ok(rows),
    }
}

/// What each layer attends to. A window that covers the whole context is none.
fn attention(
    keys: &Keys<'_, '_>,
    layers: usize,
    given: Option<&LayerTypes>,
) -> Result<Vec<Attention>, FormatError> {
    if let Some(given) = given {
        return given.for_layers(layers, keys.metadata.path());
    }
    let window = keys
        .count("attention.sliding_window")?
        .filter(|window| *window > 0);
    let pattern_key = keys.key("attention.sliding_window_pattern");
    let Some(window) = window else {
        return match keys.family {
            "cwm" => Err(keys.metadata.missing(&keys.key("attention.sliding_window"))),
            _ => Ok(vec![Attention::Full; layers]),
        };
    };
    let Some(pattern) = keys.metadata.bools(&pattern_key)? else {
        if keys.family != "cwm"
            && keys
                .count("context_length")?
                .is_some_and(|context| context <= window)
        {
            return Ok(vec![Attention::Full; layers]);
        }
        return Err(keys.unsupported(format!(
            "it has a sliding window of {window} and does not say which layers it is for ({pattern_key} is missing); \
             put the model's config.json with layer_types beside the file, or name one"
        )));
    };
    if pattern.len() != layers {
        return Err(FormatError::damaged(
            keys.metadata.path(),
            format!("{pattern_key} names {} layers of {layers}", pattern.len()),
        ));
    }
    let of = |slides| {
        if slides {
            Attention::Window(window)
        } else {
            Attention::Full
        }
    };
    Ok(pattern.into_iter().map(of).collect())
}

fn rope(
    keys: &Keys<'_, '_>,
    tensors: &HashMap<String, Tensor>,
    head_dim: usize,
    given: Option<&LayerTypes>,
) -> Result<Rope, FormatError> {
    // Files of the llama family have their query and key rows permuted so that neighbours are rotated together. No library writes
    // the family cwm; whoever does takes a converter of llama's, and so the same order.
    let layout = match keys.family {
        "qwen2" => RopeLayout::HalfSplit,
        _ => RopeLayout::Interleaved,
    };
    let own = Rope {
        theta: keys.float("rope.freq_base")?.unwrap_or(10_000.0),
        layout,
        scaling: scaling(keys, tensors)?,
    };
    if own.scaling == RopeScaling::None
        && given.is_some_and(|given| !given.says_scaling())
        && let Some(why) = disguise(keys.metadata)?
    {
        return Err(keys.unsupported(format!(
            "it is the Code World Model ({why}), which scales its rotary frequencies, and neither the file nor the layer types given for \
             it say how; give the model's whole config.json, which does: --layer-types config.json"
        )));
    }
    let Some((theta, scaling)) = given.and_then(LayerTypes::rope) else {
        return Ok(own);
    };
    let configured = Rope {
        theta,
        layout,
        scaling,
    };
    // Where the file has factors of its own they are the same thing said twice.
    if own.scaling != RopeScaling::None {
        let pairs = own
            .inverse_frequencies(head_dim)
            .into_iter()
            .zip(configured.inverse_frequencies(head_dim));
        for (own, configured) in pairs {
            if (own - configured).abs() > own.abs() * 1e-3 {
                return Err(keys.unsupported(format!(
                    "its rotary frequencies ({own} where config.json says {configured}) are not those of the config.json given for it; \
                     the two belong to different models"
                )));
            }
        }
    }
    Ok(configured)
}

fn scaling(keys: &Keys<'_, '_>, tensors: &HashMap<String, Tensor>) -> Result<RopeScaling, FormatError> {
    let kind = keys.metadata.string(&keys.key("rope.scaling.type"))?;
    let kind_given = kind.is_some();
    let factor = match keys.float("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => keys.float("rope.scale_linear")?,
    };
    let linear = match kind.unwrap_or("none") {
        "none" if kind_given => None,
        // llama.cpp takes a factor without a type as a linear one.
        "none" | "linear" => factor.filter(|factor| *factor != 1.0),
        other => {
            return Err(keys.unsupported(format!(
                "its rope scaling is {}; none, linear and the tensor {ROPE_FACTORS} can be run",
                shown(other)
            )));
        }
    };
    match (linear, tensors.get(ROPE_FACTORS)) {
        (None, None) => Ok(RopeScaling::None),
        (Some(factor), None) => Ok(RopeScaling::Linear { factor }),
        (None, Some(tensor)) => floats(tensor).map(RopeScaling::Factors),
        (Some(_), Some(_)) => Err(keys.unsupported(format!(
            "it has both linear rope scaling and the tensor {ROPE_FACTORS}"
        ))),
    }
}

/// A small tensor of plain floats as numbers.
fn floats(tensor: &Tensor) -> Result<Vec<f32>, FormatError> {
    let wrong = |reason: &str| FormatError::tensor(tensor.file().path(), &tensor.name, reason);
    if tensor.shape.len() != 1 || tensor.columns() > 1 << 12 {
        return Err(wrong("it is not a vector of a head's size"));
    }
    match tensor.element {
        ElementType::F32 => Ok(tensor
            .bytes()
            .chunks_exact(4)
            .filter_map(|bytes| bytes.first_chunk())
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect()),
        ElementType::F16 => Ok(halves(tensor, |bytes| f16::from_le_bytes(bytes).to_f32())),
        ElementType::BF16 => Ok(halves(tensor, |bytes| bf16::from_le_bytes(bytes).to_f32())),
        _ => Err(wrong("rotary factors are floats")),
    }
}

fn halves(tensor: &Tensor, convert: impl Fn([u8; 2]) -> f32) -> Vec<f32> {
    let halves = tensor
        .bytes()
        .chunks_exact(2)
        .filter_map(|bytes| bytes.first_chunk());
    halves.map(|bytes| convert(*bytes)).collect()
}
