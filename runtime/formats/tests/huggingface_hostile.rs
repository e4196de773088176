//! Hugging Face folders that are damaged, incomplete, mean harm, or hold what is not run here.

use std::fs;
use std::path::Path;

use safetensors::tensor::Dtype;
use serde_json::{Value, json};

use super::huggingface::{CWM, LLAMA, QWEN2, folder, parse, shard, weights, write_shard};
use super::{assert_says, open, refusal};

/// Changes one key of a configuration and opens the folder.
#[track_caller]
fn refused(config: &str, key: &str, value: Value, parts: &[&str]) {
    let original = parse(config);
    let place = folder(&original, Dtype::BF16);
    let mut changed = original;
    changed[key] = value;
    fs::write(place.path().join("config.json"), changed.to_string()).unwrap();
    let message = refusal(place.path());
    assert_says(&message, parts);
}

#[test]
fn variants_that_are_not_run_are_refused_by_name() {
    for (config, key, value, part) in [
        (
            LLAMA,
            "model_type",
            json!("gemma"),
            "its model_type is \"gemma\"; cwm, llama and qwen2",
        ),
        (
            LLAMA,
            "hidden_act",
            json!("gelu"),
            "its hidden_act is \"gelu\"; only silu",
        ),
        (LLAMA, "mlp_bias", json!(true), "its mlp_bias is true"),
        (CWM, "mlp_bias", json!(true), "its mlp_bias is true"),
        (LLAMA, "attention_bias", json!(true), "its attention_bias is true"),
        (
            LLAMA,
            "partial_rotary_factor",
            json!(0.5),
            "its partial_rotary_factor is 0.5",
        ),
        (
            LLAMA,
            "quantization_config",
            json!({"quant_method": "awq"}),
            "by the method \"awq\"",
        ),
        (
            LLAMA,
            "rope_parameters",
            json!({"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4}),
            "its rope type is \"yarn\"; default, linear and llama3",
        ),
        (
            CWM,
            "rope_parameters",
            json!({"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}),
            "different rope_parameters",
        ),
        (
            CWM,
            "rope_parameters",
            json!({"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0}),
            "\"original_max_position_embeddings\" is missing",
        ),
        (
            CWM,
            "rope_parameters",
            json!({"rope_type": "linear", "rope_theta": 1e4}),
            "its rope parameters have no \"factor\"",
        ),
        (
            CWM,
            "sliding_window",
            json!(null),
            "sliding layers and no sliding_window",
        ),
        (
            CWM,
            "sliding_window",
            json!(0),
            "sliding layers and no sliding_window",
        ),
        (
            CWM,
            "layer_types",
            json!(["full_attention"]),
            "8 layers and the layer types given name 1",
        ),
        (
            CWM,
            "layer_types",
            json!(["chunked_attention"]),
            "\"chunked_attention\" is neither",
        ),
        (
            QWEN2,
            "use_sliding_window",
            json!(false),
            "sliding layers and no sliding_window",
        ),
    ] {
        refused(config, key, value, &["config.json", part]);
    }
}

#[test]
fn numbers_that_no_model_has() {
    for key in [
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "vocab_size",
        "max_position_embeddings",
    ] {
        for value in [
            json!(0),
            json!(u64::MAX),
            json!(-1),
            json!(1.5),
            json!("8"),
            json!([8]),
        ] {
            refused(LLAMA, key, value, &["config.json"]);
        }
    }
    for key in [
        "hidden_size",
        "vocab_size",
        "rms_norm_eps",
        "max_position_embeddings",
    ] {
        refused(LLAMA, key, Value::Null, &[&format!("{key:?} is missing")]);
    }
    for value in [json!(0.0), json!(-1.0), json!(1e300), json!("1e-5")] {
        refused(LLAMA, "rms_norm_eps", value, &["config.json"]);
    }
    refused(
        LLAMA,
        "rope_parameters",
        json!({"rope_theta": 0, "rope_type": "default"}),
        &["the base of its rotary frequencies is 0"],
    );
    let llama3 = json!({"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 4.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64});
    refused(
        LLAMA,
        "rope_parameters",
        llama3,
        &["high_freq_factor 4 is not above"],
    );
    refused(
        LLAMA,
        "num_hidden_layers",
        json!(1025),
        &["it has 1025 layers; 1024 are possible"],
    );
    refused(
        LLAMA,
        "tie_word_embeddings",
        json!("yes"),
        &["\"tie_word_embeddings\" is not true or false"],
    );
}

#[test]
fn a_cwm_that_calls_itself_a_llama_is_refused_here_too() {
    let mut config = parse(LLAMA);
    for (key, number) in [
        ("num_hidden_layers", 64),
        ("hidden_size", 6144),
        ("intermediate_size", 21504),
        ("num_attention_heads", 48),
        ("num_key_value_heads", 8),
    ] {
        config[key] = json!(number);
    }
    let place = folder(&parse(LLAMA), Dtype::BF16);
    fs::write(place.path().join("config.json"), config.to_string()).unwrap();
    assert_says(
        &refusal(place.path()),
        &["it is the Code World Model (its shape is 64 layers"],
    );
}

#[test]
fn a_cwm_vocabulary_in_a_llama_is_refused_unless_layers_are_given() {
    let place = folder(&parse(LLAMA), Dtype::BF16);
    let tokenizer = r#"{"added_tokens": [{"id": 9, "content": "<|frame_sep|>"}]}"#;
    fs::write(place.path().join("tokenizer.json"), tokenizer).unwrap();
    assert_says(
        &refusal(place.path()),
        &["it is the Code World Model (its vocabulary has the token <|frame_sep|>)"],
    );
    let mut config = parse(LLAMA);
    config["layer_types"] = json!(["full_attention", "sliding_attention"]);
    config["sliding_window"] = json!(16);
    fs::write(place.path().join("config.json"), config.to_string()).unwrap();
    assert_eq!(open(place.path()).spec.window(), Some(16));
    // A window without layers is refused in any llama.
    refused(
        LLAMA,
        "sliding_window",
        json!(16),
        &["a sliding_window of 16", "layer_types is missing"],
    );
}

/// Opening a pipe would wait for ever.
#[test]
fn pipes_are_not_opened() {
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "generation_config.json",
    ] {
        let place = folder(&parse(LLAMA), Dtype::BF16);
        let path = place.path().join(name);
        let _ = fs::remove_file(&path);
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert_says(&refusal(place.path()), &[name, "it is not a regular file"]);
    }
}

#[test]
fn configurations_that_are_not_json() {
    let place = folder(&parse(LLAMA), Dtype::BF16);
    for (text, part) in [
        (String::new(), "it is not JSON"),
        ("[]".to_owned(), "it is not a JSON object"),
        ("{".repeat(200_000), "it is not JSON"),
        (
            format!("{{\"model_type\": {}", "[".repeat(200_000)),
            "it is not JSON",
        ),
        ("{\"a\": 1e999}".to_owned(), "it is not JSON"),
        ("{}".to_owned(), "it has no model_type"),
        (" ".repeat((16 << 20) + 1), "it is larger than 16777216 bytes"),
    ] {
        fs::write(place.path().join("config.json"), text).unwrap();
        assert_says(&refusal(place.path()), &["config.json", part]);
    }
    fs::remove_file(place.path().join("config.json")).unwrap();
    fs::create_dir(place.path().join("config.json")).unwrap();
    assert_says(&refusal(place.path()), &["it is not a regular file"]);
}

#[test]
fn indexes_that_lie() {
    let config = parse(LLAMA);
    let place = folder(&config, Dtype::BF16);
    let index = shard(place.path(), &config);
    let write = |index: &Value| {
        fs::write(
            place.path().join("model.safetensors.index.json"),
            index.to_string(),
        )
        .unwrap();
    };
    let name = "model.layers.1.mlp.up_proj.weight";
    for escape in [
        json!("../model.safetensors"),
        json!("/etc/passwd"),
        json!("sub/model.safetensors"),
        json!(".."),
        json!(""),
        json!(7),
    ] {
        let mut changed = index.clone();
        changed["weight_map"][name] = escape;
        write(&changed);
        assert_says(
            &refusal(place.path()),
            &[
                &format!("tensor {name:?}"),
                "is not the name of a file in this folder",
            ],
        );
    }
    let mut changed = index.clone();
    changed["weight_map"][name] = json!("model-00003-of-00003.safetensors");
    write(&changed);
    assert_says(&refusal(place.path()), &["tensor", "the index does not say so"]);
    let mut changed = index.clone();
    changed["weight_map"]["model.extra"] = json!("model-00003-of-00003.safetensors");
    write(&changed);
    assert_says(
        &refusal(place.path()),
        &["model-00003-of-00003.safetensors", "is missing"],
    );
    changed["weight_map"]["model.extra"] = json!("model-00002-of-00002.safetensors");
    write(&changed);
    assert_says(
        &refusal(place.path()),
        &["tensor \"model.extra\"", "in this shard, and it is not"],
    );
    write(&json!({}));
    assert_says(&refusal(place.path()), &["it has no weight_map"]);
    write(&json!({"weight_map": {}}));
    assert_says(
        &refusal(place.path()),
        &["tensor \"model.embed_tokens.weight\"", "it is missing"],
    );
    write(&index);
    open(place.path());
    fs::remove_file(place.path().join("model-00002-of-00002.safetensors")).unwrap();
    assert_says(
        &refusal(place.path()),
        &["model-00002-of-00002.safetensors", "is missing"],
    );
}

#[test]
fn folders_without_weights() {
    let place = folder(&parse(LLAMA), Dtype::BF16);
    fs::remove_file(place.path().join("model.safetensors")).unwrap();
    assert_says(
        &refusal(place.path()),
        &["neither model.safetensors nor model.safetensors.index.json"],
    );
    fs::write(place.path().join("pytorch_model.bin"), "x").unwrap();
    assert_says(&refusal(place.path()), &["Python pickles; convert them"]);
}

/// A safetensors file with any header.
fn write_raw(path: &Path, header: &str, data: usize) {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    fs::write(path, bytes).unwrap();
}

#[test]
fn headers_of_safetensors_that_lie() {
    let place = folder(&parse(LLAMA), Dtype::BF16);
    let path = place.path().join("model.safetensors");
    let huge = format!("[0, {}]", u64::MAX);
    for (header, parts) in [
        ("", &["its header is not what safetensors has there"][..]),
        ("[]", &["its header is not what safetensors has there"]),
        (
            r#"{"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}"#,
            &[
                "tensor \"a\"",
                "its type \"F8_E4M3\" is not supported (only F32, F16 and BF16)",
            ],
        ),
        (
            r#"{"a": {"dtype": "I8", "shape": [4], "data_offsets": [0, 4]}}"#,
            &["tensor \"a\"", "its type \"I8\""],
        ),
        (
            r#"{"a": {"dtype": "X9", "shape": [4], "data_offsets": [0, 4]}}"#,
            &["tensor \"a\"", "its type \"X9\""],
        ),
        (
            r#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}"#,
            &["tensor \"a\"", "its bytes 0 to 8 are not those of F32 [4]"],
        ),
        (
            r#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}"#,
            &["tensor \"a\"", "its bytes 16 to 0"],
        ),
        (
            r#"{"a": {"dtype": "F32", "shape": [1099511627776, 1099511627776], "data_offsets": [0, 16]}}"#,
            &["tensor \"a\"", "are not those of F32"],
        ),
        (
            r#"{"a": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}}"#,
            &["tensor \"a\"", "end behind the file's"],
        ),
        (
            &format!(r#"{{"a": {{"dtype": "F32", "shape": [8], "data_offsets": {huge}}}}}"#),
            &["tensor \"a\"", "end behind the file's"],
        ),
        (
            r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "F32", "shape": [3], "data_offsets": [4, 16]}}"#,
            &["tensor \"b\"", "overlap"],
        ),
        (
            r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]}}"#,
            &["tensor \"b\"", "a gap before them"],
        ),
        (
            r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}"#,
            &["its tensors take 8 bytes and there are 16"],
        ),
        (
            r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}"#,
            &["tensor \"a\"", "it is there twice"],
        ),
    ] {
        write_raw(&path, header, 16);
        assert_says(&refusal(place.path()), parts);
    }
    for (bytes, part) in [
        (&b""[..], "it is empty"),
        (b"1234", "it ends within its header"),
        (b"\xff\0\0\0\0\0\0\0{}", "it ends within its header"),
        (
            b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
            "its header claims 18446744073709551615 bytes",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_says(&refusal(place.path()), &["model.safetensors", part]);
    }
}

#[test]
fn weights_that_are_not_what_they_should_be() {
    let config = parse(LLAMA);
    let place = folder(&config, Dtype::F32);
    let path = place.path().join("model.safetensors");
    let good = weights(&config, Dtype::F32);
    let name = "model.layers.1.input_layernorm.weight";
    let mut changed = good.clone();
    changed.remove(name);
    write_shard(&path, &changed);
    assert_says(
        &refusal(place.path()),
        &[&format!("tensor {name:?}"), "it is missing"],
    );
    let mut changed = good.clone();
    changed.get_mut(name).unwrap().1 = vec![1, 96];
    write_shard(&path, &changed);
    assert_says(
        &refusal(place.path()),
        &["its shape is [1, 96] and should be [96]"],
    );
    let mut changed = good.clone();
    changed.get_mut(name).unwrap().2[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    write_shard(&path, &changed);
    assert_says(
        &refusal(place.path()),
        &[name, "element 2 of row 0 is NaN or infinite"],
    );
    let mut changed = good.clone();
    changed.insert(
        "model.layers.0.self_attn.q_norm.weight".to_owned(),
        good[name].clone(),
    );
    write_shard(&path, &changed);
    assert_says(
        &refusal(place.path()),
        &["self_attn.q_norm.weight", "a llama model has no such tensor"],
    );
}

#[test]
fn words_that_are_not_what_they_should_be() {
    let place = folder(&parse(LLAMA), Dtype::BF16);
    for (name, text, part) in [
        (
            "generation_config.json",
            "{\"eos_token_id\": \"x\"}",
            "\"eos_token_id\" is not a token id",
        ),
        (
            "generation_config.json",
            "{\"eos_token_id\": [-1]}",
            "\"eos_token_id\" is not a token id",
        ),
        (
            "generation_config.json",
            "{\"temperature\": -1}",
            "\"temperature\" is -1",
        ),
        ("generation_config.json", "{\"top_p\": 1.5}", "\"top_p\" is 1.5"),
        ("generation_config.json", "no", "it is not JSON"),
        (
            "tokenizer_config.json",
            "{\"chat_template\": 5}",
            "\"chat_template\" is not a string",
        ),
        ("tokenizer.json", "[1, 2]", "it is not a tokenizer"),
    ] {
        let path = place.path().join(name);
        fs::write(&path, text).unwrap();
        assert_says(&refusal(place.path()), &[name, part]);
        fs::remove_file(path).unwrap();
    }
    fs::write(place.path().join("chat_template.jinja"), b"\xff\xfe").unwrap();
    assert_says(
        &refusal(place.path()),
        &["chat_template.jinja", "it is not UTF-8"],
    );
}
