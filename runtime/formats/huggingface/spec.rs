//! From a config.json to the description of a model, as the `transformers` package reads it.

use super::config::Config;
use super::rope::rope_of;
use crate::formats::error::{FormatError, shown};
use crate::formats::layer_types::LayerTypes;
use crate::formats::limits::MOST_LAYERS;
use crate::formats::special_tokens::trace_token;
use crate::model::{
    Architecture, Attention, LayerSpec, LayerTensor, ModelSpec, Rope, RopeLayout, TensorRole,
};

/// The layer of qwen2 configurations from which layers slide, where they name none.
const QWEN2_FULL_LAYERS: usize = 28;

/// What a folder's files call a tensor.
pub(in crate::formats) fn tensor_name(role: TensorRole) -> String {
    match role {
        TensorRole::Embedding => "model.embed_tokens.weight".to_owned(),
        TensorRole::OutputNorm => "model.norm.weight".to_owned(),
        TensorRole::Output => "lm_head.weight".to_owned(),
        TensorRole::Layer(layer, tensor) => {
            let name = match tensor {
                LayerTensor::AttentionNorm => "input_layernorm.weight",
                LayerTensor::Query => "self_attn.q_proj.weight",
                LayerTensor::QueryBias => "self_attn.q_proj.bias",
                LayerTensor::Key => "self_attn.k_proj.weight",
                LayerTensor::KeyBias => "self_attn.k_proj.bias",
                LayerTensor::Value => "self_attn.v_proj.weight",
                LayerTensor::ValueBias => "self_attn.v_proj.bias",
                LayerTensor::AttentionOutput => "self_attn.o_proj.weight",
                LayerTensor::FeedForwardNorm => "post_attention_layernorm.weight",
                LayerTensor::Gate => "mlp.gate_proj.weight",
                LayerTensor::Up => "mlp.up_proj.weight",
                LayerTensor::Down => "mlp.down_proj.weight",
            };
            format!("model.layers.{layer}.{name}")
        }
    }
}

/// Tensors that say nothing new: rotary frequencies that old versions saved, and a head beside the embedding that it is tied to.
pub(super) fn is_redundant(name: &str, tied_head: bool) -> bool {
    name.ends_with("rotary_emb.inv_freq") || (tied_head && name == tensor_name(TensorRole::Output))
}

/// Describes the model. `given` are layer types from the user, which go before the configuration's own.
pub(super) fn read(config: &Config, given: Option<&LayerTypes>) -> Result<ModelSpec, FormatError> {
    let refuse = |reason: String| FormatError::unsupported(config.path(), reason);
    let architecture = match config.string("model_type")? {
        Some("cwm") => Architecture::Cwm,
        Some("llama") => Architecture::Llama,
        Some("qwen2") => Architecture::Qwen2,
        Some(other) => {
            return Err(refuse(format!(
                "its model_type is {}; cwm, llama and qwen2 can be run",
                shown(other)
            )));
        }
        None => return Err(FormatError::not_a_model(config.path(), "it has no model_type")),
    };
    refuse_variants(config, architecture)?;
    let layers = config.required("num_hidden_layers")?;
    if layers > MOST_LAYERS {
        return Err(refuse(format!(
            "it has {layers} layers; {MOST_LAYERS} are possible"
        )));
    }
    let (hidden, heads) = (
        config.required("hidden_size")?,
        config.required("num_attention_heads")?,
    );
    let head_dim = match config.count("head_dim")? {
        Some(head_dim) => head_dim,
        None if heads > 0 && hidden.is_multiple_of(heads) => hidden / heads,
        None => {
            return Err(refuse(format!(
                "its hidden_size {hidden} is not a multiple of its {heads} heads, and it has no head_dim"
            )));
        }
    };
    let (theta, scaling) = rope_of(config)?;
    let attention = attention(config, architecture, layers, given)?;
    let slides = attention.iter().any(|layer| *layer != Attention::Full);
    Ok(ModelSpec {
        // A llama with sliding layers is what the Code World Model is.
        architecture: match architecture {
            Architecture::Llama if slides => Architecture::Cwm,
            other => other,
        },
        layers: attention
            .into_iter()
            .map(|attention| LayerSpec { attention })
            .collect(),
        hidden,
        intermediate: config.required("intermediate_size")?,
        vocabulary: config.required("vocab_size")?,
        context: config.required("max_position_embeddings")?,
        heads,
        kv_heads: config.count("num_key_value_heads")?.unwrap_or(heads),
        head_dim,
        norm_epsilon: config
            .float("rms_norm_eps")?
            .ok_or_else(|| FormatError::damaged(config.path(), "\"rms_norm_eps\" is missing"))?,
        rope: Rope {
            theta,
            layout: RopeLayout::HalfSplit,
            scaling,
        },
        qkv_bias: architecture == Architecture::Qwen2,
        tied_head: config.bool("tie_word_embeddings")?.unwrap_or(false),
    })
}

/// Refuses what these families can be configured to and is not run here.
fn refuse_variants(config: &Config, architecture: Architecture) -> Result<(), FormatError> {
    let refuse = |reason: String| Err(FormatError::unsupported(config.path(), reason));
    if let Some(activation) = config.string("hidden_act")?
        && !matches!(activation, "silu" | "swish")
    {
        return refuse(format!(
            "its hidden_act is {}; only silu can be run",
            shown(activation)
        ));
    }
    if config.bool("mlp_bias")? == Some(true) {
        return refuse("its mlp_bias is true; feed-forward layers with biases cannot be run".to_owned());
    }
    if architecture != Architecture::Qwen2 && config.bool("attention_bias")? == Some(true) {
        return refuse("its attention_bias is true; output projections with biases cannot be run".to_owned());
    }
    if let Some(quantisation) = config.object("quantization_config")? {
        let method = quantisation.string("quant_method")?.unwrap_or("unnamed");
        return refuse(format!(
            "its tensors are quantised by the method {}; bf16, f16 and f32 folders and GGUF files can be run",
            shown(method)
        ));
    }
    Ok(())
}

/// What each layer attends to: `layer_types` literally where they are, else what `transformers` takes for the family (cwm: full
/// where the layer's index is a multiple of 4; qwen2: full before `max_window_layers` when `use_sliding_window`; llama: full).
fn attention(
    config: &Config,
    architecture: Architecture,
    layers: usize,
    given: Option<&LayerTypes>,
) -> Result<Vec<Attention>, FormatError> {
    if let Some(given) = given {
        return given.for_layers(layers, config.path());
    }
    let refuse = |reason: String| FormatError::unsupported(config.path(), reason);
    let window = config.count("sliding_window")?;
    let window = match architecture {
        Architecture::Qwen2 if config.bool("use_sliding_window")? != Some(true) => None,
        Architecture::Qwen2 if !config.has("sliding_window") => Some(4096),
        // A window that is left out is the published one; null or 0 says that there is none.
        Architecture::Cwm if !config.has("sliding_window") => Some(8192),
        _ => window,
    };
    if let Some(names) = config.strings("layer_types")? {
        return LayerTypes::new(names, window)
            .map_err(refuse)?
            .for_layers(layers, config.path());
    }
    if architecture == Architecture::Llama
        && let Some(window) = window
        && config
            .count("max_position_embeddings")?
            .is_some_and(|context| context > window)
    {
        return Err(refuse(format!(
            "it has a sliding_window of {window} and does not say which layers it is for (layer_types is missing)"
        )));
    }
    let slides_from = match architecture {
        Architecture::Cwm => None,
        Architecture::Qwen2 if window.is_some() => {
            Some(config.count("max_window_layers")?.unwrap_or(QWEN2_FULL_LAYERS))
        }
        _ => Some(layers),
    };
    if layers == 0 {
        return Ok(Vec::new());
    }
    let names = (0..layers).map(|layer| match slides_from {
        None if layer.is_multiple_of(4) => "full_attention",
        Some(first) if layer < first => "full_attention",
        _ => "sliding_attention",
    });
    let types = LayerTypes::new(names, window).map_err(refuse)?;
    Ok(types.layers().to_vec())
}

/// How a folder that calls itself a plain llama, and gives no layer types, gives itself away as the Code World Model: by its special
/// tokens or its shape.
pub(super) fn disguise<'a>(
    config: &Config,
    special: impl Iterator<Item = &'a str>,
) -> Result<Option<String>, FormatError> {
    if config.string("model_type")? != Some("llama") || config.value("layer_types").is_some() {
        return Ok(None);
    }
    if let Some(why) = special.filter_map(trace_token).next() {
        return Ok(Some(why));
    }
    let shape = [
        ("num_hidden_layers", 64),
        ("hidden_size", 6144),
        ("intermediate_size", 21504),
        ("num_attention_heads", 48),
        ("num_key_value_heads", 8),
    ];
    for (key, number) in shape {
        if config.count(key)? != Some(number) {
            return Ok(None);
        }
    }
    Ok(Some(
        "its shape is 64 layers, hidden size 6144, intermediate size 21504, 48 heads, 8 key and value heads"
            .to_owned(),
    ))
}
