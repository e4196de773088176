//! Hugging Face folders: configurations as `transformers` writes them, old and new, and weights in one file and in shards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cwm_kernels::ElementType;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{assert_says, open, refusal};
use crate::formats::{Checkpoint, LayerTypes, OpenOptions, TokenizerSource};
use crate::model::{
    Architecture, Attention, LayerTensor, ModelSpec, Rope, RopeLayout, RopeScaling, TensorRole,
};

/// Written by `save_pretrained` of transformers 5.23 for small models.
pub(super) const CWM: &str = include_str!("configs/cwm.json");
pub(super) const QWEN2: &str = include_str!("configs/qwen2.json");
pub(super) const LLAMA: &str = include_str!("configs/llama.json");

/// Tensors by name: type, shape and bytes.
pub(super) type Weights = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// The tensors that a configuration wants, with made-up values.
pub(super) fn weights(config: &Value, dtype: Dtype) -> Weights {
    let number = |key: &str| config[key].as_u64().map(|number| number as usize);
    let (hidden, middle) = (
        number("hidden_size").unwrap(),
        number("intermediate_size").unwrap(),
    );
    let (heads, vocabulary) = (
        number("num_attention_heads").unwrap(),
        number("vocab_size").unwrap(),
    );
    let head = number("head_dim").unwrap_or(hidden / heads);
    let (queries, keys) = (heads * head, number("num_key_value_heads").unwrap() * head);
    let mut weights = Weights::new();
    let mut add = |name: String, shape: &[usize]| {
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let salt = name.len() * 5;
        let bytes = (0..bytes).map(|index| ((index * 29 + salt) % 59) as u8).collect();
        weights.insert(name, (dtype, shape.to_vec(), bytes));
    };
    add("model.embed_tokens.weight".to_owned(), &[vocabulary, hidden]);
    for layer in 0..number("num_hidden_layers").unwrap() {
        for (name, shape) in [
            ("input_layernorm", &[hidden][..]),
            ("post_attention_layernorm", &[hidden]),
            ("self_attn.q_proj", &[queries, hidden]),
            ("self_attn.k_proj", &[keys, hidden]),
            ("self_attn.v_proj", &[keys, hidden]),
            ("self_attn.o_proj", &[hidden, queries]),
            ("mlp.gate_proj", &[middle, hidden]),
            ("mlp.up_proj", &[middle, hidden]),
            ("mlp.down_proj", &[hidden, middle]),
        ] {
            add(format!("model.layers.{layer}.{name}.weight"), shape);
        }
        if config["model_type"] == "qwen2" {
            for (name, rows) in [("q", queries), ("k", keys), ("v", keys)] {
                add(
                    format!("model.layers.{layer}.self_attn.{name}_proj.bias"),
                    &[rows],
                );
            }
        }
    }
    add("model.norm.weight".to_owned(), &[hidden]);
    if config["tie_word_embeddings"] != true {
        add("lm_head.weight".to_owned(), &[vocabulary, hidden]);
    }
    weights
}

pub(super) fn write_shard(path: &Path, weights: &Weights) {
    let views = weights.iter().map(|(name, (dtype, shape, bytes))| {
        (
            name.clone(),
            TensorView::new(*dtype, shape.clone(), bytes).unwrap(),
        )
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A folder with a configuration and weights of one type in one file.
pub(super) fn folder(config: &Value, dtype: Dtype) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    write_shard(&folder.path().join("model.safetensors"), &weights(config, dtype));
    folder
}

pub(super) fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn spec(config: &Value) -> ModelSpec {
    open(folder(config, Dtype::BF16).path()).spec
}

fn without(config: &Value, keys: &[&str]) -> Value {
    let mut config = config.clone();
    for key in keys {
        config.as_object_mut().unwrap().remove(*key);
    }
    config
}

fn with(config: &Value, changes: Value) -> Value {
    let mut config = config.clone();
    let Value::Object(changes) = changes else {
        panic!("{changes}");
    };
    config.as_object_mut().unwrap().extend(changes);
    config
}

#[test]
fn a_cwm_configuration_is_read_whole() {
    let spec = spec(&parse(CWM));
    assert_eq!(spec.architecture, Architecture::Cwm);
    let full: Vec<usize> = (0..8)
        .filter(|layer| spec.layers[*layer].attention == Attention::Full)
        .collect();
    assert_eq!(full, [0, 4]);
    assert_eq!(spec.window(), Some(16));
    assert_eq!(
        (spec.hidden, spec.intermediate, spec.vocabulary, spec.context),
        (96, 160, 512, 256)
    );
    assert_eq!((spec.heads, spec.kv_heads, spec.head_dim), (6, 2, 16));
    assert_eq!(spec.norm_epsilon, 1e-5);
    assert!(!spec.qkv_bias && !spec.tied_head);
    assert_eq!(
        spec.rope,
        Rope {
            theta: 10_000.0,
            layout: RopeLayout::HalfSplit,
            scaling: RopeScaling::Llama3 {
                factor: 16.0,
                low_frequency_factor: 1.0,
                high_frequency_factor: 4.0,
                original_context: 64
            }
        }
    );
}

#[test]
fn old_and_new_spellings_are_the_same_model() {
    for text in [CWM, QWEN2, LLAMA] {
        let new = parse(text);
        let mut scaling = new["rope_parameters"].clone();
        let theta = scaling.as_object_mut().unwrap().remove("rope_theta").unwrap();
        let scaling = match scaling["rope_type"] == "default" {
            true => Value::Null,
            false => scaling,
        };
        let old = with(
            &without(&new, &["rope_parameters"]),
            json!({"rope_theta": theta, "rope_scaling": scaling}),
        );
        assert_eq!(spec(&old), spec(&new));
        // Older yet: the type is called so.
        if let Some(kind) = old["rope_scaling"]["rope_type"].as_str() {
            let mut older = old.clone();
            let map = older["rope_scaling"].as_object_mut().unwrap();
            map.insert("type".to_owned(), kind.into());
            map.remove("rope_type");
            assert_eq!(spec(&older), spec(&new));
        }
        // Newer yet: parameters for each kind of layer.
        let parameters = &new["rope_parameters"];
        let each = json!({"full_attention": parameters, "sliding_attention": parameters});
        let newer = with(&new, json!({"rope_parameters": each}));
        assert_eq!(spec(&newer), spec(&new));
    }
}

#[test]
fn llama_and_qwen2_configurations_are_read_whole() {
    let llama = spec(&parse(LLAMA));
    assert_eq!(llama.architecture, Architecture::Llama);
    assert_eq!(
        (llama.window(), llama.qkv_bias, llama.tied_head),
        (None, false, false)
    );
    assert_eq!(
        (llama.rope.theta, &llama.rope.scaling),
        (10_000.0, &RopeScaling::None)
    );
    let qwen = spec(&parse(QWEN2));
    assert_eq!(qwen.architecture, Architecture::Qwen2);
    assert_eq!((qwen.head_dim, qwen.qkv_bias, qwen.tied_head), (16, true, true));
    let layers: Vec<_> = qwen.layers.iter().map(|layer| layer.attention).collect();
    let (full, window) = (Attention::Full, Attention::Window(16));
    assert_eq!(layers, [full, full, window, window]);
}

#[test]
fn what_configurations_leave_out_is_what_transformers_takes() {
    // cwm: every fourth layer full, Llama 3's scaling, base 1e6, a window of 8192.
    let bare = without(&parse(CWM), &["layer_types", "rope_parameters", "sliding_window"]);
    let cwm = spec(&bare);
    let full: Vec<usize> = (0..8)
        .filter(|layer| cwm.layers[*layer].attention == Attention::Full)
        .collect();
    assert_eq!(full, [0, 4]);
    assert_eq!((cwm.window(), cwm.rope.theta), (Some(8192), 1e6));
    assert!(
        matches!(cwm.rope.scaling, RopeScaling::Llama3 { factor, original_context: 8192, .. } if factor == 16.0)
    );
    // qwen2: the published configurations have a window and do not use it.
    let unnamed = without(&parse(QWEN2), &["layer_types"]);
    assert_eq!(spec(&unnamed), spec(&parse(QWEN2)));
    let unused = with(&unnamed, json!({"use_sliding_window": false}));
    assert_eq!(spec(&unused).window(), None);
    let null = with(&unnamed, json!({"sliding_window": null}));
    assert_eq!(spec(&null).window(), None);
    // llama: as many key and value heads as heads would be needed, which these weights have not.
    let heads = without(&parse(LLAMA), &["num_key_value_heads", "head_dim"]);
    let place = folder(&parse(LLAMA), Dtype::F16);
    fs::write(place.path().join("config.json"), heads.to_string()).unwrap();
    assert_says(
        &refusal(place.path()),
        &[
            "tensor \"model.layers.0.self_attn.k_proj.weight\"",
            "its shape is [32, 96] and should be [96, 96]",
        ],
    );
}

#[test]
fn layer_types_are_taken_literally() {
    let mut config = parse(CWM);
    config["layer_types"][7] = json!("full_attention");
    config["layer_types"][0] = json!("sliding_attention");
    let layers = spec(&config).layers;
    assert_eq!(layers[7].attention, Attention::Full);
    assert_eq!(layers[0].attention, Attention::Window(16));
    // A llama that says that it slides does.
    let llama = with(
        &parse(LLAMA),
        json!({"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4}),
    );
    let spec = spec(&llama);
    assert_eq!((spec.architecture, spec.window()), (Architecture::Cwm, Some(4)));
    // And what a user says goes before.
    let place = folder(&parse(LLAMA), Dtype::F32);
    let options = OpenOptions {
        layer_types: Some(LayerTypes::new(["full_attention", "sliding_attention"], Some(9)).unwrap()),
    };
    let spec = Checkpoint::open(place.path(), &options).unwrap().spec;
    assert_eq!(spec.layers[1].attention, Attention::Window(9));
}

#[test]
fn tensors_are_read_where_they_lie_in_each_type() {
    let config = parse(LLAMA);
    for (dtype, element) in [
        (Dtype::F32, ElementType::F32),
        (Dtype::F16, ElementType::F16),
        (Dtype::BF16, ElementType::BF16),
    ] {
        let place = folder(&config, dtype);
        let checkpoint = open(place.path());
        let written = weights(&config, dtype);
        assert_eq!(checkpoint.tensors.len(), written.len());
        for tensor in checkpoint.tensors.values() {
            let (_, shape, bytes) = &written[&tensor.name];
            assert_eq!(
                (tensor.element, &tensor.shape, tensor.bytes()),
                (element, shape, bytes.as_slice())
            );
        }
        assert_eq!(
            checkpoint.tensors[&TensorRole::Layer(1, LayerTensor::Down)].name,
            "model.layers.1.mlp.down_proj.weight"
        );
        assert_eq!(checkpoint.files.len(), 2);
    }
}

/// Splits the weights in two files and writes the index.
pub(super) fn shard(place: &Path, config: &Value) -> Value {
    let _ = fs::remove_file(place.join("model.safetensors"));
    let mut map = serde_json::Map::new();
    let mut shards = [Weights::new(), Weights::new()];
    for (index, (name, tensor)) in weights(config, Dtype::BF16).into_iter().enumerate() {
        map.insert(
            name.clone(),
            format!("model-0000{}-of-00002.safetensors", index % 2 + 1).into(),
        );
        shards[index % 2].insert(name, tensor);
    }
    for (index, shard) in shards.iter().enumerate() {
        write_shard(
            &place.join(format!("model-0000{}-of-00002.safetensors", index + 1)),
            shard,
        );
    }
    let index = json!({"metadata": {"total_size": 1}, "weight_map": map});
    fs::write(place.join("model.safetensors.index.json"), index.to_string()).unwrap();
    index
}

#[test]
fn shards_are_one_model() {
    let config = parse(CWM);
    let place = folder(&config, Dtype::BF16);
    let whole = open(place.path());
    shard(place.path(), &config);
    let split = open(place.path());
    assert_eq!(split.fingerprint(), whole.fingerprint());
    assert_eq!(split.files.len(), 4);
}

#[test]
fn redundant_tensors_are_passed_over() {
    let config = parse(QWEN2);
    let place = folder(&config, Dtype::BF16);
    let mut weights = weights(&config, Dtype::BF16);
    let embedding = weights["model.embed_tokens.weight"].clone();
    weights.insert("lm_head.weight".to_owned(), embedding);
    weights.insert(
        "model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(),
        (Dtype::F32, vec![2], vec![0; 8]),
    );
    write_shard(&place.path().join("model.safetensors"), &weights);
    let checkpoint = open(place.path());
    assert!(checkpoint.spec.tied_head);
    assert!(!checkpoint.tensors.contains_key(&TensorRole::Output));
}

#[test]
fn words_and_generation_come_from_the_files_beside() {
    let config = parse(CWM);
    let place = folder(&config, Dtype::BF16);
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    let bare = open(place.path());
    // The configuration's ids are those of the large model; this one has 512 tokens.
    assert!(bare.generation.stop_ids.is_empty());
    assert!(matches!(bare.tokenizer, TokenizerSource::None) && bare.chat_template.is_none());

    write(
        "tokenizer.json",
        r#"{"version": "1.0", "added_tokens": [{"id": 9, "content": "<|eot_id|>", "special": true},
           {"id": 8, "content": "<|frame_sep|>", "special": true}], "model": {"type": "BPE", "vocab": {}, "merges": []}}"#,
    );
    write(
        "tokenizer_config.json",
        r#"{"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}"#,
    );
    write(
        "generation_config.json",
        r#"{"eos_token_id": [3, 1, 128001], "temperature": 0.6, "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.05}"#,
    );
    let checkpoint = open(place.path());
    let generation = &checkpoint.generation;
    assert_eq!(generation.stop_ids, [1, 3, 9]);
    assert_eq!(
        (
            generation.temperature,
            generation.top_p,
            generation.top_k,
            generation.repetition_penalty
        ),
        (Some(0.6), Some(0.95), Some(20), Some(1.05))
    );
    assert_eq!(checkpoint.chat_template.as_deref(), Some("D"));
    assert!(
        matches!(&checkpoint.tokenizer, TokenizerSource::HuggingFace { tokenizer, config: Some(_) } if tokenizer.starts_with(b"{"))
    );
    write("chat_template.jinja", "{{ messages }}");
    write("generation_config.json", r#"{"eos_token_id": 3, "top_k": -1}"#);
    let checkpoint = open(place.path());
    assert_eq!(checkpoint.chat_template.as_deref(), Some("{{ messages }}"));
    assert_eq!(
        (checkpoint.generation.stop_ids, checkpoint.generation.top_k),
        (vec![3, 9], None)
    );
}

#[test]
fn tokenizer_models_are_ranks_or_refused() {
    let place = folder(&parse(LLAMA), Dtype::BF16);
    let model = place.path().join("tokenizer.model");
    fs::write(&model, "IQ== 0\nIg== 1\n").unwrap();
    assert!(matches!(open(place.path()).tokenizer, TokenizerSource::Tiktoken(ranks) if ranks.len() == 14));
    fs::write(&model, b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02").unwrap();
    assert_says(
        &refusal(place.path()),
        &["tokenizer.model", "SentencePiece", "tokenizer.json"],
    );
}

#[test]
fn a_folder_with_one_gguf_is_that_model() {
    use super::builder::{Builder, SMALL};
    let (folder, path) = Builder::model("llama", SMALL, ElementType::Q8_0).write();
    assert_eq!(open(folder.path()).path, path);
    fs::copy(&path, folder.path().join("other.gguf")).unwrap();
    assert_says(&refusal(folder.path()), &["2 GGUF models", "name one"]);
    let empty = tempfile::tempdir().unwrap();
    assert_says(
        &refusal(empty.path()),
        &["neither a config.json", "nor a GGUF file"],
    );
}
