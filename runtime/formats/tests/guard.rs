//! A Code World Model that calls itself a plain llama is not run as one.

use cwm_kernels::ElementType;

use super::builder::{Builder, SMALL, f32_value, string_value, u32_value};
use super::{assert_says, open, refusal};
use crate::formats::{Checkpoint, LayerTypes, OpenOptions};
use crate::model::{Architecture, Attention, ModelSpec, RopeLayout, RopeScaling};

fn with(types: LayerTypes) -> OpenOptions {
    OpenOptions {
        layer_types: Some(types),
    }
}

/// A small model with the vocabulary of traces.
fn disguised() -> Builder {
    let mut builder = Builder::model("llama", SMALL, ElementType::Q4_0);
    builder.vocabulary(
        40,
        &["<|begin_of_text|>", "<|frame_sep|>", "<|trace_context_start|>"],
    );
    builder
}

/// The same with the rotary factors that converters write.
fn scaled() -> Builder {
    let mut builder = disguised();
    builder.part("rope_freqs.weight", &[4], ElementType::F32);
    builder.named("rope_freqs.weight").bytes = [1f32, 2.0, 16.0, 16.0]
        .iter()
        .flat_map(|factor| factor.to_le_bytes())
        .collect();
    builder
}

#[test]
fn it_is_known_by_its_shape() {
    let mut builder = Builder {
        parts: Vec::new(),
        ..Builder::model("llama", SMALL, ElementType::F32)
    };
    for (key, number) in [
        ("block_count", 64),
        ("embedding_length", 6144),
        ("feed_forward_length", 21504),
        ("attention.head_count", 48),
        ("attention.head_count_kv", 8),
    ] {
        // Until the last of them agrees, it is a llama without tensors.
        let (_folder, path) = builder.write();
        assert_says(
            &refusal(&path),
            &["tensor \"token_embd.weight\"", "it is missing"],
        );
        builder.key(&format!("llama.{key}"), u32_value(number));
    }
    let (_folder, path) = builder.write();
    assert_says(
        &refusal(&path),
        &[
            "says it is a plain llama, but it is the Code World Model (its shape is 64 layers",
            "would be wrong for every text longer than the window",
            "--layer-types config.json",
        ],
    );
}

#[test]
fn it_is_known_by_its_vocabulary() {
    let (_folder, path) = disguised().write();
    assert_says(&refusal(&path), &["its vocabulary has the token <|frame_sep|>"]);
    // The same in a file that says what it is, with its windows.
    let mut builder = Builder::model("qwen2", SMALL, ElementType::Q4_0);
    builder.vocabulary(40, &["<|frame_sep|>"]);
    let (_folder, path) = builder.write();
    assert_eq!(open(&path).spec.architecture, Architecture::Qwen2);
}

#[test]
fn given_layer_types_are_taken_literally() {
    let (_folder, path) = scaled().write();
    let names = ["full_attention", "sliding_attention"];
    for names in [
        names,
        ["sliding_attention", "sliding_attention"],
        ["full_attention"; 2],
    ] {
        let types = LayerTypes::new(names, Some(16)).unwrap();
        let spec = Checkpoint::open(&path, &with(types)).unwrap().spec;
        assert_eq!(spec.architecture, Architecture::Cwm);
        let given: Vec<_> = spec.layers.iter().map(|layer| layer.attention).collect();
        let wanted = names.map(|name| match name {
            "full_attention" => Attention::Full,
            _ => Attention::Window(16),
        });
        assert_eq!(given, wanted);
        assert_eq!(spec.rope.layout, RopeLayout::Interleaved);
    }
    let three = LayerTypes::new(["full_attention"; 3], None).unwrap();
    let error = Checkpoint::open(&path, &with(three)).unwrap_err().to_string();
    assert_says(&error, &["it has 2 layers and the layer types given name 3"]);
}

#[test]
fn sixteen_and_seventeen_full_layers_are_both_possible() {
    let names = |last| {
        let middle = (0..63).map(|layer| {
            if layer % 4 == 0 {
                "full_attention"
            } else {
                "sliding_attention"
            }
        });
        middle.chain([last])
    };
    for (last, count) in [("sliding_attention", 16), ("full_attention", 17)] {
        let types = LayerTypes::new(names(last), Some(8192)).unwrap();
        let full = types.layers().iter().filter(|layer| **layer == Attention::Full);
        assert_eq!(full.count(), count);
    }
}

const CONFIG: &str = r#"{"model_type": "cwm", "layer_types": ["full_attention", "sliding_attention"], "sliding_window": 16,
    "rope_parameters": {"rope_type": "llama3", "rope_theta": 20000.0, "factor": 16.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}"#;
const OLD_CONFIG: &str = r#"{"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 16, "rope_theta": 20000.0,
    "rope_scaling": {"rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64}}"#;

#[test]
fn a_configuration_beside_the_file_gives_layers_and_rotary_positions() {
    let (folder, path) = disguised().write();
    std::fs::write(folder.path().join("config.json"), CONFIG).unwrap();
    let is_configured = |spec: &ModelSpec| {
        assert_eq!(spec.architecture, Architecture::Cwm);
        assert_eq!(spec.layers[1].attention, Attention::Window(16));
        assert_eq!(spec.rope.theta, 20_000.0);
        assert_eq!(
            spec.rope.scaling,
            RopeScaling::Llama3 {
                factor: 16.0,
                low_frequency_factor: 1.0,
                high_frequency_factor: 4.0,
                original_context: 64
            }
        );
    };
    for place in [path.as_path(), folder.path()] {
        is_configured(&open(place).spec);
    }
    // Named from elsewhere, as a path or as text, in the new spelling or the old.
    let elsewhere = tempfile::tempdir().unwrap();
    let config = elsewhere.path().join("config.json");
    std::fs::rename(folder.path().join("config.json"), &config).unwrap();
    for text in [config.to_str().unwrap(), CONFIG, OLD_CONFIG] {
        let types = LayerTypes::parse(text, None).unwrap();
        is_configured(&Checkpoint::open(&path, &with(types)).unwrap().spec);
    }
}

#[test]
fn layer_types_that_leave_the_rotary_scaling_open_do_not_do() {
    let (_folder, path) = disguised().write();
    let (_scaled_folder, scaled) = scaled().write();
    for text in [
        r#"["full_attention", "sliding_attention"]"#,
        r#"{"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 16}"#,
        r#"{"layer_types": ["full_attention", "sliding_attention"], "rope_scaling": null}"#,
    ] {
        let types = LayerTypes::parse(text, Some(16)).unwrap();
        let error = Checkpoint::open(&path, &with(types.clone()))
            .unwrap_err()
            .to_string();
        assert_says(
            &error,
            &[
                "small.gguf",
                "scales its rotary frequencies",
                "--layer-types config.json",
            ],
        );
        // A file that has its factors needs no more.
        let spec = Checkpoint::open(&scaled, &with(types)).unwrap().spec;
        assert_eq!(spec.layers[1].attention, Attention::Window(16));
        assert!(matches!(spec.rope.scaling, RopeScaling::Factors(_)));
    }
    // The base alone says nothing of the scaling; that there is none is an answer.
    let open = |rope: &str| {
        let text = format!(
            r#"{{"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 16, {rope}}}"#
        );
        Checkpoint::open(&path, &with(LayerTypes::parse(&text, None).unwrap()))
    };
    let error = open(r#""rope_theta": 20000.0"#).unwrap_err().to_string();
    assert_says(&error, &["scales its rotary frequencies"]);
    let spec = open(r#""rope_parameters": {"rope_type": "default", "rope_theta": 20000.0}"#)
        .unwrap()
        .spec;
    assert_eq!(
        (spec.rope.theta, spec.rope.scaling),
        (20_000.0, RopeScaling::None)
    );
}

#[test]
fn a_configuration_without_layer_types_is_no_help() {
    let (folder, path) = disguised().write();
    std::fs::write(folder.path().join("config.json"), r#"{"sliding_window": 16}"#).unwrap();
    let error = super::try_open(&path).unwrap_err().to_string();
    assert_says(&error, &["config.json", "it has no layer_types"]);
}

#[test]
fn a_configuration_of_another_model_is_refused() {
    let mut builder = disguised();
    builder.part("rope_freqs.weight", &[4], ElementType::F32);
    let write = |builder: &mut Builder, factors: [f32; 4]| {
        builder.named("rope_freqs.weight").bytes = factors.iter().flat_map(|f| f.to_le_bytes()).collect();
        let (folder, path) = builder.write();
        let config = CONFIG.replace("20000.0", "10000.0");
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        (folder, path)
    };
    // Wavelengths of the four pairs: 2π, 20π, 200π and 2000π; 64 positions are one long wave, a quarter of them a short one.
    let smooth = (64.0 / (20.0 * std::f32::consts::PI) - 1.0) / 3.0;
    let middle = 1.0 / ((1.0 - smooth) / 16.0 + smooth);
    let (_folder, path) = write(&mut builder, [1.0, middle, 16.0, 16.0]);
    open(&path);
    let (_folder, path) = write(&mut builder, [1.0, middle, 8.0, 8.0]);
    assert_says(&refusal(&path), &["the two belong to different models"]);
}

#[test]
fn layer_types_that_say_nothing_sensible_are_refused() {
    for (text, window, part) in [
        ("[]", Some(8), "layer_types has 0 layers"),
        (
            r#"["sliding_attention"]"#,
            None,
            "sliding layers and no sliding_window",
        ),
        (
            r#"["sliding_attention"]"#,
            Some(0),
            "sliding layers and no sliding_window",
        ),
        (r#"["half_attention"]"#, Some(8), "\"half_attention\" is neither"),
        (
            r#"["full_attention", 1]"#,
            Some(8),
            "it is not a JSON list of strings",
        ),
        (
            r#"{"layer_types": ["full_attention", 1]}"#,
            None,
            "\"layer_types\" is not a list of strings",
        ),
        (r#"{"sliding_window": 8}"#, None, "it has no layer_types"),
        (
            r#"{"layer_types": ["full_attention"], "rope_scaling": {"rope_type": "yarn"}}"#,
            None,
            "its rope type is \"yarn\"",
        ),
        (r#"{"layer_types": "#, None, "it is not JSON"),
        ("/nowhere/config.json", None, "cannot read /nowhere/config.json"),
    ] {
        let error = LayerTypes::parse(text, window).unwrap_err().to_string();
        assert_says(&error, &[part]);
    }
    let many = vec!["full_attention"; 1025];
    assert_says(
        &LayerTypes::new(many, None).unwrap_err(),
        &["layer_types has 1025 layers"],
    );
}

#[test]
fn a_window_said_by_the_user_goes_before_the_file() {
    let mut builder = Builder::model("llama", SMALL, ElementType::Q4_0);
    builder.key("general.name", string_value("Plain"));
    builder.key("llama.rope.freq_base", f32_value(500_000.0));
    let (_folder, path) = builder.write();
    let types = LayerTypes::new(["sliding_attention", "full_attention"], Some(4)).unwrap();
    let spec = Checkpoint::open(&path, &with(types)).unwrap().spec;
    assert_eq!(spec.window(), Some(4));
    assert_eq!(spec.rope.theta, 500_000.0);
}
